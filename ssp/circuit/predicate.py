"""Predicates and sort keys as Python code objects, made once a shape.

`compile_predicate(expr)(record, binding, scope)` is `truthy(whole.evaluate(expr, record, scope))` with hole *i*
standing for `binding[i]`. Comparisons, AND, OR and NOT over fields and constants become Python expressions that decide
equal types (text, integers, booleans) in place and ask `values.order` about the rest; any other expression is handed to
`whole.evaluate`, its holes renamed to parameters, which a group's `scope_of(binding)` supplies.

The twin is `whole.evaluate` itself; `tests/properties/test_circuit.py` holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

from sp00ky.proto.surrealql.ast import Binary, Call, Expr, Hole, Idiom, Literal, Param, Unary
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole.access import INDEXED, indexed
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.project import extract
from sp00ky.proto.whole.scope import Scope, Source
from sp00ky.ssp.circuit.arrangement import Record
from sp00ky.ssp.plan.nodes import SortKey
from sp00ky.ssp.plan.tree import field_of, rewrite

Binding: TypeAlias = tuple[Value, ...]
Predicate: TypeAlias = Callable[[Record, Binding, Scope], bool]
SortFunction: TypeAlias = Callable[[Record, Binding, Scope], tuple[Any, ...]]

E = TypeVar("E", Expr, Expr | None)

HOLE_PARAM = "_00_hole_"
_ORDERED = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}


def scope_of(binding: Binding, source: Source | None = None) -> Scope:
    """What `whole.evaluate` needs to know a group's constants by."""
    return Scope({f"{HOLE_PARAM}{index}": value for index, value in enumerate(binding)}, source)


def holes_as_params(expr: E) -> E:
    """The expression for `whole.evaluate`, which knows no holes."""
    return rewrite(expr, lambda node: Param(f"{HOLE_PARAM}{node.index}") if isinstance(node, Hole) else node)


class _Writer:
    """Writes Python for an expression; collects the constants that the text refers to."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {
            "NONE": NONE,
            "EQUAL_IN_PLACE": frozenset({str, int, bool}),
            "ORDERED_IN_PLACE": frozenset({str, int}),
            "equal": order.equal,
            "truthy": order.truthy,
            "evaluate": evaluate,
            "indexed": indexed,
            **{name: getattr(order, name) for name in _ORDERED.values()},
        }
        self._count = 0

    def truth(self, expr: Expr) -> str:
        """Python that is True exactly where the expression is truthy."""
        match expr:
            case Binary(op="AND", left=left, right=right):
                return f"({self.truth(left)} and {self.truth(right)})"
            case Binary(op="OR", left=left, right=right):
                return f"({self.truth(left)} or {self.truth(right)})"
            case Unary(op="!", operand=operand):
                return f"(not {self.truth(operand)})"
            case Unary(op="!!", operand=operand):
                return self.truth(operand)
            case Binary(op="=", left=left, right=right):
                return self._compared(left, right, "==", "equal", "EQUAL_IN_PLACE")
            case Binary(op="!=", left=left, right=right):
                return f"(not {self._compared(left, right, '==', 'equal', 'EQUAL_IN_PLACE')})"
            case Binary(op=op, left=left, right=right) if op in _ORDERED:
                return self._compared(left, right, op, _ORDERED[op], "ORDERED_IN_PLACE")
            case _:
                return f"truthy({self.value(expr)})"

    def value(self, expr: Expr) -> str:
        """Python whose value is the expression's."""
        field = field_of(expr)
        if field is not None:
            return f"get({field!r}, NONE)"
        match expr:
            case Hole(index=index):
                return f"binding[{index}]"
            case Literal(value=value):
                return self._constant(value)
            case Call(name=name, args=args) if name == INDEXED:
                return f"indexed({', '.join(map(self.value, args))})"
            case _:
                return f"evaluate({self._constant(holes_as_params(expr))}, record, scope)"

    def _compared(self, left: Expr, right: Expr, op: str, asked: str, in_place: str) -> str:
        self._count += 1
        a, b = f"a{self._count}", f"b{self._count}"
        return (
            f"({a} {op} {b} if (t := type({a} := {self.value(left)})) is type({b} := {self.value(right)})"
            f" and t in {in_place} else {asked}({a}, {b}))"
        )

    def _constant(self, value: object) -> str:
        self._count += 1
        name = f"k{self._count}"
        self.names[name] = value
        return name

    def function(self, body: str) -> Callable[..., Any]:
        text = f"def compiled(record, binding, scope):\n    get = record.get\n    return {body}\n"
        names = dict(self.names)
        exec(compile(text, "<shape>", "exec"), names)
        return names.pop("compiled")  # type: ignore[return-value]


def compile_predicate(expr: Expr | None) -> Predicate | None:
    """None for no condition: everything passes."""
    if expr is None:
        return None
    writer = _Writer()
    return writer.function(writer.truth(expr))


def compile_value(expr: Expr) -> Callable[[Record, Binding, Scope], Value]:
    writer = _Writer()
    return writer.function(writer.value(expr))


class _Descending:
    """Sorts the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(other.key == self.key)

    def __hash__(self) -> int:
        return hash(self.key)


_NEGATABLE = frozenset({int, float, Decimal})


def descending(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key that sorts as `key` does, backwards. Numbers and times are negated, which C compares; the rest is wrapped.

    Keys of one rank that go on after equal beginnings come first backwards: hence the 1 at the end of a short one."""
    if len(key) == 2 and type(key[1]) in _NEGATABLE:
        return (-key[0], -key[1], 1)
    if len(key) > 2 and type(key[1]) in _NEGATABLE:
        return (-key[0], -key[1], 0, _Descending(key[2:]))
    return (-key[0], _Descending(key[1:]))


def _stored(expr: Expr) -> Callable[[Record, Binding, Scope], Value]:
    assert isinstance(expr, Idiom), "a stored key is a path"
    return lambda record, binding, scope: extract(record, expr.parts)


def compile_sort(keys: Sequence[SortKey]) -> SortFunction:
    """The sort key of a record as a tuple of SurrealDB sort keys, one a key of ORDER BY."""
    parts = [(_stored(key.expr) if key.stored else compile_value(key.expr), key.descending) for key in keys]
    if len(parts) == 1:
        value_of, backwards = parts[0]
        if backwards:
            return lambda record, binding, scope: descending(order.sort_key(value_of(record, binding, scope)))
        return lambda record, binding, scope: order.sort_key(value_of(record, binding, scope))

    def sort(record: Record, binding: Binding, scope: Scope) -> tuple[Any, ...]:
        found = [(order.sort_key(value_of(record, binding, scope)), backwards) for value_of, backwards in parts]
        return tuple([descending(key) if backwards else key for key, backwards in found])

    return sort
