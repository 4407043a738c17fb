"""The built-in functions that are evaluated here: pure, and confirmed against core 3.2 by `tests/oracle`.

A function is registered under SurrealQL's name with the kinds of its arguments; any other number or kind of arguments,
and any name that is not here (`rand::*`, `http::*`, `time::now`, `fn::*`, …), is NotPlain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final, TypeAlias
from uuid import UUID

from sp00ky.proto.values.kinds import Datetime, Duration, RecordId, SurrealSet, Value
from sp00ky.proto.whole.scope import EvaluationError, NotPlain


@dataclass(frozen=True, slots=True)
class Lambda:
    """A closure on its way to a function; it is no value and never leaves the evaluator."""

    apply: Callable[[list[Value]], Value]
    arity: int

    def __call__(self, *values: Value) -> Value:
        return self.apply(list(values[: self.arity]))


Kinds: TypeAlias = frozenset[type]
Function: TypeAlias = Callable[..., Value]

ANY: Final[Kinds] = frozenset()  # every value, no closure
ARRAY: Final[Kinds] = frozenset({list})
TEXT: Final[Kinds] = frozenset({str})
INT: Final[Kinds] = frozenset({int})
NUMBER: Final[Kinds] = frozenset({int, float, Decimal})
REAL: Final[Kinds] = frozenset({int, float})
OBJECT: Final[Kinds] = frozenset({dict})
RECORD: Final[Kinds] = frozenset({RecordId})
DATETIME: Final[Kinds] = frozenset({Datetime})
DURATION: Final[Kinds] = frozenset({Duration})
CLOSURE: Final[Kinds] = frozenset({Lambda})
ANY_OR_CLOSURE: Final[Kinds] = frozenset({object})
BYTES: Final[Kinds] = frozenset({bytes})
SET: Final[Kinds] = frozenset({SurrealSet})


@dataclass(frozen=True, slots=True)
class _Entry:
    run: Function
    kinds: tuple[Kinds, ...]
    optional: int


_TABLE: dict[str, _Entry] = {}

_METHOD_FAMILIES: dict[type, str] = {
    list: "array",
    str: "string",
    int: "math",
    float: "math",
    Decimal: "math",
    dict: "object",
    RecordId: "record",
    Datetime: "time",
    Duration: "duration",
    SurrealSet: "set",
}


def function(*names: str, kinds: tuple[Kinds, ...], optional: int = 0) -> Callable[[Function], Function]:
    """Register a Python function under these names. The last `optional` arguments may be left out."""

    def register(run: Function) -> Function:
        for name in names:
            assert name not in _TABLE, f"function {name} is registered twice"
            _TABLE[name] = _Entry(run, kinds, optional)
        return run

    return register


def call(name: str, args: list[Value]) -> Value:
    """The value of `name(args)`; NotPlain if it is not one of ours or the arguments are not of its kinds."""
    _load()
    entry = _TABLE.get(name)
    if entry is None:
        raise NotPlain(f"function {name}")
    if not len(entry.kinds) - entry.optional <= len(args) <= len(entry.kinds):
        raise NotPlain(f"function {name} with {len(args)} arguments")
    for kinds, arg in zip(entry.kinds, args, strict=False):
        if not _fits(arg, kinds):
            raise EvaluationError(f"function {name} with an argument of type {type(arg).__name__}")
    return entry.run(*args)


def _fits(arg: Value, kinds: Kinds) -> bool:
    if kinds is ANY:
        return type(arg) is not Lambda
    return kinds is ANY_OR_CLOSURE or type(arg) in kinds


def call_method(name: str, value: Value, args: list[Value]) -> Value:
    """`value.name(args)`: the function of that name in the family of the value's kind."""
    family = _METHOD_FAMILIES.get(type(value))
    if family is None or (type(value) is dict and name in value):
        raise NotPlain(f"method {name} of a {type(value).__name__}")
    return call(f"{family}::{name}", [value, *args])


def plain_functions() -> frozenset[str]:
    """The names of all functions that are evaluated here."""
    _load()
    return frozenset(_TABLE)


@cache
def _load() -> None:
    """The families register themselves when first imported; they need this module, so it cannot import them above."""
    from sp00ky.proto.whole import arrays, maths, objects, strings, times

    assert all((arrays, maths, objects, strings, times)), "modules are true"


__all__ = [
    "ANY",
    "ANY_OR_CLOSURE",
    "ARRAY",
    "BYTES",
    "CLOSURE",
    "DATETIME",
    "DURATION",
    "INT",
    "NUMBER",
    "OBJECT",
    "REAL",
    "RECORD",
    "SET",
    "TEXT",
    "UUID",
    "Lambda",
    "call",
    "call_method",
    "function",
    "plain_functions",
]
