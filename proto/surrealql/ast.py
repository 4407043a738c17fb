"""The tree of a query: frozen nodes, no behaviour.

Invariant: `parse(print(tree)) == tree` for every tree the parser can make. `Span`s are not kept in the tree (two texts
that mean the same have equal trees); errors carry their position from the tokens.

Fields are tuples, so trees are hashable wherever their literals are; `shape.py` lifts the literals out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.proto.values.kinds import Value

# --- expressions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant of any kind, record ids with constant keys and durations and datetimes included."""

    value: Value

    def __hash__(self) -> int:
        from sp00ky.proto.values.kinds import hashable

        return hash((type(self.value), hashable(self.value)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and type(self.value) is type(other.value) and bool(self.value == other.value)


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
    `CONTAINSANY`, `CONTAINSNONE`, `ALLINSIDE`, `ANYINSIDE`, `NONEINSIDE`, `OUTSIDE`, `INTERSECTS`, `@@`."""

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
class Closure:
    """`|$a, $b| body`."""

    params: tuple[str, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class IfElse:
    branches: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr | None


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


# --- parts of an idiom -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldPart:
    name: str


@dataclass(frozen=True, slots=True)
class IndexPart:
    """`[0]`, `[$i]`, `["name"]`."""

    index: Expr


@dataclass(frozen=True, slots=True)
class AllPart:
    """`[*]` or `.*`."""


@dataclass(frozen=True, slots=True)
class LastPart:
    """`[$]`."""


@dataclass(frozen=True, slots=True)
class WherePart:
    """`[WHERE cond]` or `[? cond]`."""

    cond: Expr


@dataclass(frozen=True, slots=True)
class MethodPart:
    """`.len()`."""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class DestructurePart:
    """`.{ a, b: b.c, d.* }`: name → idiom on the value, None meaning the field of that name."""

    fields: tuple[tuple[str, Idiom | None], ...]


@dataclass(frozen=True, slots=True)
class OptionalPart:
    """`.?` or `?`."""


@dataclass(frozen=True, slots=True)
class RecursePart:
    """`.{1..3}(…)`; re-evaluated only. `text` is its canonical source."""

    text: str


@dataclass(frozen=True, slots=True)
class GraphPart:
    """`->likes`, `<-(wrote, liked WHERE x LIMIT 3)`, `<->knows`, `<~comment`; no tables means `?`, any."""

    direction: str  # "->", "<-", "<->", "<~"
    tables: tuple[str, ...]
    cond: Expr | None = None
    order: tuple[OrderKey, ...] = ()
    limit: Expr | None = None
    start: Expr | None = None
    alias: str | None = None
    fields: tuple[Field, ...] = ()  # `->(SELECT a FROM likes)`; re-evaluated only


Part: TypeAlias = (
    FieldPart
    | IndexPart
    | AllPart
    | LastPart
    | WherePart
    | MethodPart
    | DestructurePart
    | OptionalPart
    | RecursePart
    | GraphPart
)

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
    | Closure
    | IfElse
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
