"""The tree of a query: frozen nodes, no behaviour.

Invariant: `parse(print(tree)) == tree` for every tree the parser can make. `Span`s are not kept in the tree (two texts
that mean the same have equal trees); errors carry their position from the tokens.

Fields are tuples, so trees are hashable wherever their literals are; `shape.py` lifts the literals out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.proto.surrealql.parts import (
    AllPart,
    DestructurePart,
    FieldPart,
    FlattenPart,
    GraphPart,
    GraphQuery,
    IndexPart,
    LastPart,
    MethodPart,
    OptionalPart,
    Part,
    RecursePart,
    RepeatPart,
    WherePart,
)
from sp00ky.proto.values.kinds import Value, hashable

# --- expressions -----------------------------------------------------------------------------------------------------


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant of any kind: record ids with constant keys, durations, datetimes and geometries included.

    `spelling` is the name of a constant (`math::PI`), or a mock (`|t:1..3|`), where the text matters: in a column that
    is named by it."""

    value: Value
    spelling: str = ""

    def __hash__(self) -> int:
        return hash((type(self.value), "nan" if _is_nan(self.value) else hashable(self.value)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Literal) or type(self.value) is not type(other.value):
            return False
        same = bool(self.value == other.value) or (_is_nan(self.value) and _is_nan(other.value))
        return same and self.spelling == other.spelling


@dataclass(frozen=True, slots=True)
class Param:
    """`$name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Hole:
    """A lifted constant: the `index`-th of a shape's binding. Only `shape.py` makes these."""

    index: int


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class SetLiteral:
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Object:
    items: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class RecordIdExpr:
    """`table:[…]`, `table:{…}` or `table:a..b` whose key is not constant (a constant one is a Literal)."""

    table: str
    key: Expr


@dataclass(frozen=True, slots=True)
class RangeExpr:
    """`begin..end`, `begin..=end`, `begin>..end`; a bound that is None is open."""

    begin: Expr | None
    end: Expr | None
    begin_inclusive: bool = True
    end_inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Unary:
    """`op` is one of `!`, `-`, `+`, `!!`."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """`op` is the canonical spelling: `=` (also IS), `!=` (IS NOT), `==`, `?=`, `*=`, `~`…, `<`, `<=`, `>`, `>=`,
    `AND`, `OR`, `??`, `?:`, `+ - * / % **`, `IN` (INSIDE, ∈), `NOT IN`, `CONTAINS`, `CONTAINSNOT`, `CONTAINSALL`,
    `CONTAINSANY`, `CONTAINSNONE`, `ALLINSIDE`, `ANYINSIDE`, `NONEINSIDE`, `OUTSIDE`, `INTERSECTS`, `@@`, `@1@`,
    `@1,OR@`, `<|3|>`, `<|3,40|>`, `<|3,COSINE|>`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Cast:
    """`<kind> expr`, `kind` as canonical text (`int`, `array<string>`, …)."""

    kind: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """`name(args)`: `math::max`, `count`, `type::record`, `fn::mine`, `http::get`, …"""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """`$f(args)`: a call of what an expression yields."""

    callee: Expr
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Closure:
    """`|$a, $b| body`."""

    params: tuple[str, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class TypedClosure:
    """`|$a: int, $b| -> string { body }`: a kind for each parameter, `any` where none is said, and of the result."""

    params: tuple[str, ...]
    kinds: tuple[str, ...]
    returns: str
    body: Expr


@dataclass(frozen=True, slots=True)
class IfElse:
    branches: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr | None


@dataclass(frozen=True, slots=True)
class Block:
    """`{ LET $a = 1; RETURN $a }`; its value is that of the last statement. One plain expression in braces is that
    expression, except in a column that is named by its text."""

    statements: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Let:
    """`LET $name: kind = value`, seen by the rest of the block around it; `kind` empty: none is said."""

    name: str
    value: Expr
    kind: str = ""


@dataclass(frozen=True, slots=True)
class For:
    """`FOR $name IN over { … }`."""

    name: str
    over: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class Leave:
    """`RETURN value [FETCH paths]`, `THROW value`, `BREAK`, `CONTINUE`."""

    keyword: str
    value: Expr | None = None
    fetch: tuple[Idiom, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """`@`, the record at hand, as the head of a path."""


@dataclass(frozen=True, slots=True)
class Subquery:
    """`(SELECT …)`."""

    select: Select


@dataclass(frozen=True, slots=True)
class Idiom:
    """A path. `head` None: it starts at a field of the current row (the first part is then a `FieldPart`, or a graph
    part); else at the value of that expression (`$parent.id`, `person:1.name`, `(SELECT …)[0]`)."""

    head: Expr | None
    parts: tuple[Part, ...]


Expr: TypeAlias = (
    Literal
    | Param
    | Hole
    | Array
    | SetLiteral
    | Object
    | RecordIdExpr
    | RangeExpr
    | Unary
    | Binary
    | Cast
    | Call
    | Apply
    | Closure
    | TypedClosure
    | IfElse
    | Block
    | Let
    | For
    | Leave
    | Document
    | Subquery
    | Idiom
)

# --- statements ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Star:
    """`*` in a field list."""


@dataclass(frozen=True, slots=True)
class Field:
    expr: Expr | Star
    alias: Idiom | None = None  # `AS a.b`


@dataclass(frozen=True, slots=True)
class TableTarget:
    """A table by name. A bare name in FROM is always a table."""

    name: str


# FROM: a table, or any expression: a record id, a range of ids, an array, a $param, a sub-select, an idiom
Target: TypeAlias = TableTarget | Expr


@dataclass(frozen=True, slots=True)
class OrderKey:
    expr: Idiom
    descending: bool = False
    collate: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT. `group` None: no GROUP; an empty tuple: GROUP ALL. `order_rand`: ORDER BY RAND()."""

    fields: tuple[Field, ...]
    targets: tuple[Target, ...]
    value: bool = False  # SELECT VALUE expr
    only: bool = False  # FROM ONLY
    omit: tuple[Idiom, ...] = ()
    with_index: tuple[str, ...] | None = None  # WITH INDEX a, b; WITH NOINDEX is ()
    where: Expr | None = None
    split: tuple[Idiom, ...] = ()
    group: tuple[Idiom, ...] | None = None
    order: tuple[OrderKey, ...] = ()
    order_rand: bool = False
    limit: Expr | None = None
    start: Expr | None = None
    fetch: tuple[Idiom, ...] = ()
    version: Expr | None = None
    timeout: Expr | None = None
    parallel: bool = False
    tempfiles: bool = False
    explain: str = ""  # "", "EXPLAIN", "EXPLAIN FULL"


Node: TypeAlias = Expr | Part | Field | Star | TableTarget | OrderKey | Select

__all__ = [
    "AllPart",
    "Apply",
    "Array",
    "Binary",
    "Block",
    "Call",
    "Cast",
    "Closure",
    "DestructurePart",
    "Document",
    "Expr",
    "Field",
    "FieldPart",
    "FlattenPart",
    "For",
    "GraphPart",
    "GraphQuery",
    "Hole",
    "Idiom",
    "IfElse",
    "IndexPart",
    "LastPart",
    "Leave",
    "Let",
    "Literal",
    "MethodPart",
    "Node",
    "Object",
    "OptionalPart",
    "OrderKey",
    "Param",
    "Part",
    "RangeExpr",
    "RecordIdExpr",
    "RecursePart",
    "RepeatPart",
    "Select",
    "SetLiteral",
    "Star",
    "Subquery",
    "TableTarget",
    "Target",
    "TypedClosure",
    "Unary",
    "WherePart",
]
