"""The built-in functions that are evaluated here: pure, and confirmed against core 3.2 by `tests/oracle`.

A function is registered under SurrealQL's name with the kinds of its arguments, as SurrealDB has them: another number
of arguments, or an argument of another kind, is an error there too. Any name that is not here (`rand::*`, `http::*`,
`time::now`, `fn::*`, …) is NotPlain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

from sp00ky.proto.values.kinds import Datetime, Duration, Geometry, RecordId, SurrealSet, Value
from sp00ky.proto.whole.effort import bounded, closure_called, evaluation, made, outermost, read
from sp00ky.proto.whole.numbers import I64_MAX, I64_MIN
from sp00ky.proto.whole.scope import EvaluationError, NotPlain


@dataclass(frozen=True, slots=True)
class Lambda:
    """A closure on its way to a function; it is no value and never leaves the evaluator."""

    apply: Callable[[list[Value]], Value]
    arity: int

    def __call__(self, *values: Value) -> Value:
        closure_called()
        return self.apply(list(values[: self.arity]))


class _Whole:
    """Marks the kind of a parameter that takes every number without a fraction, as an int."""


Kinds: TypeAlias = frozenset[type]
Function: TypeAlias = Callable[..., Value]
_F = TypeVar("_F", bound=Function)

ANY: Final[Kinds] = frozenset()  # every value, no closure
ARRAY: Final[Kinds] = frozenset({list})
TEXT: Final[Kinds] = frozenset({str})
INT: Final[Kinds] = frozenset({int})
WHOLE: Final[Kinds] = frozenset({int, _Whole})
NUMBER: Final[Kinds] = frozenset({int, float, Decimal})
REAL: Final[Kinds] = frozenset({int, float})
OBJECT: Final[Kinds] = frozenset({dict})
RECORD: Final[Kinds] = frozenset({RecordId})
DATETIME: Final[Kinds] = frozenset({Datetime})
DURATION: Final[Kinds] = frozenset({Duration})
GEOMETRY: Final[Kinds] = frozenset({Geometry})
CLOSURE: Final[Kinds] = frozenset({Lambda})
ANY_OR_CLOSURE: Final[Kinds] = frozenset({object})
BYTES: Final[Kinds] = frozenset({bytes})
SET: Final[Kinds] = frozenset({SurrealSet})


@dataclass(frozen=True, slots=True)
class _Entry:
    run: Function
    kinds: tuple[Kinds, ...]
    optional: int
    rest: Kinds | None


_TABLE: dict[str, _Entry] = {}


def function(*names: str, kinds: tuple[Kinds, ...], optional: int = 0, rest: Kinds | None = None) -> Callable[[_F], _F]:
    """Register a Python function under these names. The last `optional` arguments may be left out; any number more
    may follow if their kinds are given as `rest`."""

    def register(run: _F) -> _F:
        for name in names:
            assert name not in _TABLE, f"function {name} is registered twice"
            _TABLE[name] = _Entry(run, kinds, optional, rest)
        return run

    return register


def call(name: str, args: list[Value]) -> Value:
    """The value of `name(args)`; NotPlain if it is not one of ours, EvaluationError if the arguments do not fit."""
    _load()
    entry = _TABLE.get(name)
    if entry is None:
        raise NotPlain(f"function {name}")
    kinds = entry.kinds
    if entry.rest is not None and len(args) > len(kinds):
        kinds += (entry.rest,) * (len(args) - len(kinds))
    if not args and name.startswith("time::"):
        raise NotPlain(f"function {name} of the present")
    if not len(entry.kinds) - entry.optional <= len(args) <= len(kinds):
        raise EvaluationError(f"function {name} with {len(args)} arguments")
    taken = [_argument(name, arg, kind) for arg, kind in zip(args, kinds, strict=False)]
    with evaluation:
        for arg in taken:
            read(arg)
        if type(args[-1] if args else None) is Lambda:
            with outermost():
                result = bounded(entry.run(*taken))
        else:
            result = entry.run(*taken)
        made(result)
    return result


def _argument(name: str, arg: Value, kinds: Kinds) -> Value:
    """The argument as the function takes it."""
    kind = type(arg)
    if kind in kinds or kinds is ANY_OR_CLOSURE:
        return arg
    if kinds is ANY:
        if kind is Lambda:
            raise NotPlain(f"function {name} of a closure")
        return arg
    if kinds is WHOLE and (kind is float or kind is Decimal):
        return whole(arg)
    raise EvaluationError(f"function {name} with an argument of type {kind.__name__}")


def whole(value: Value) -> int:
    """A number without a fraction as an int; SurrealDB saturates a float, and refuses a decimal out of range."""
    match value:
        case int() if type(value) is int:
            return value
        case float() if value.is_integer():
            return max(I64_MIN, min(I64_MAX, int(value)))
        case Decimal() if value == value.to_integral_value() and I64_MIN <= value <= I64_MAX:
            return int(value)
    raise EvaluationError("not a whole number")


def plain_functions() -> frozenset[str]:
    """The names of all functions that are evaluated here and that a query can name."""
    _load()
    return frozenset(name for name in _TABLE if not name.startswith("\0"))


def parameters(name: str) -> tuple[Kinds, ...]:
    """The kinds of a function's arguments; of those that may be repeated, one."""
    _load()
    entry = _TABLE[name]
    return entry.kinds if entry.rest is None else (*entry.kinds, entry.rest)


_MODULES: Final = (
    *("access", "arrays", "closures", "conversions", "cryptos", "distances", "durations", "encodings", "formats"),
    *("geo", "logic", "markup", "maths", "objects", "parses", "scalars", "semvers", "sets", "sorting", "strings"),
    *("times", "validity", "values", "vectors"),
)


@cache
def _load() -> None:
    """The families register themselves when first imported; they need this module, so it cannot import them above."""
    for name in _MODULES:
        import_module(f"sp00ky.proto.whole.{name}")


__all__ = [
    "ANY",
    "ANY_OR_CLOSURE",
    "ARRAY",
    "BYTES",
    "CLOSURE",
    "DATETIME",
    "DURATION",
    "GEOMETRY",
    "INT",
    "NUMBER",
    "OBJECT",
    "REAL",
    "RECORD",
    "SET",
    "TEXT",
    "UUID",
    "WHOLE",
    "Lambda",
    "call",
    "function",
    "parameters",
    "plain_functions",
    "whole",
]
