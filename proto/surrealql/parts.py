"""The parts of a path: what may follow its head, one node each.

A part holds expressions, and expressions hold paths: the other half of the tree is in `ast.py`, which also names all of
these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sp00ky.proto.surrealql.ast import Expr, Field, Idiom, OrderKey, RangeExpr


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
class FlattenPart:
    """`…` or `...`: the elements of the arrays in an array."""


@dataclass(frozen=True, slots=True)
class RecursePart:
    """`.{1..3+collect+inclusive}(…)`: the parts in brackets over and over, or all that follow if there are none.
    `instruction` is one of `path`, `collect`, `shortest` (to `target`), or empty."""

    low: int | None
    high: int | None  # the same as `low` for `.{3}`
    instruction: str = ""
    target: Expr | None = None
    inclusive: bool = False
    path: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class RepeatPart:
    """`.@`: the recursion around this path once more, from here."""


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


@dataclass(frozen=True, slots=True)
class GraphQuery:
    """A graph step with more than a `GraphPart` says: `->likes:1..5`, `<~(comment FIELD post)`,
    `->(SELECT VALUE a FROM likes GROUP BY a AS b.c)`. Its tables, clauses and columns are those of `step`."""

    step: GraphPart
    keys: tuple[RangeExpr | None, ...] = ()  # one per table of the step, or none at all; so are `referrers`
    referrers: tuple[str | None, ...] = ()
    value: bool = False
    split: tuple[Idiom, ...] = ()
    group: tuple[Idiom, ...] | None = None
    order_rand: bool = False
    alias: Idiom | None = None  # then the step has none


Part: TypeAlias = (
    FieldPart
    | IndexPart
    | AllPart
    | LastPart
    | WherePart
    | MethodPart
    | DestructurePart
    | OptionalPart
    | FlattenPart
    | RecursePart
    | RepeatPart
    | GraphPart
    | GraphQuery
)
