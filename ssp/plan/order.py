"""In which order SurrealDB reads a table, where a query shows it: ties of ORDER BY, what LIMIT takes, an array's order.

Read in record id order are a table without an index that the query mentions, and the rows that an index finds for one
value. Sorts are stable over that for a LIMIT up to 1,000. An index that is read in the order of its field gives that
order, and for DESC the reverse of all of it: ties come with the greatest record id first.

`settled` writes that order into the query, as one more key of ORDER BY, and asks of the rows found through an index
that they are not among those which an index answers otherwise than a comparison does (`INDEXED`). The choice of the
index is SurrealDB's planner's; what is said here of it was asked of core 3.2, and what was not asked is a reason to
have the query run there. Sub-selects are settled as the query itself is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from sp00ky.proto.surrealql.ast import (
    Array,
    Binary,
    Call,
    Expr,
    FieldPart,
    Idiom,
    Literal,
    OrderKey,
    Param,
    Select,
    Star,
    TableTarget,
)
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole.access import INDEXED
from sp00ky.ssp.plan.facts import TableFacts
from sp00ky.ssp.plan.terms import STRUCTURAL
from sp00ky.ssp.plan.tree import conjunction, conjuncts, field_of, rewrite, walk

STABLE_ROWS_MAX: Final = 1_000  # START + LIMIT up to which SurrealDB's ORDER BY keeps ties in the order they were read
IDENTITY: Final = Idiom(None, (FieldPart("id"),))

Schema = Callable[[str], TableFacts]
_Index = tuple[str, ...]
_COMPARISONS: Final = frozenset({"=", "==", "!=", "<", "<=", ">", ">=", "IN", "NOT IN"})
_ANY_ORDER: Final = frozenset({"count", "math::max", "math::min", "time::max", "time::min"})  # aggregates


class Unsettled(Exception):
    """Only SurrealDB knows which rows the query takes, or in which order."""


def settled(select: Select, schema: Schema, *, as_user: bool = False) -> Select:
    """The query with its order written out. Raises Unsettled."""

    def settle(node: object) -> object:
        return _settled(node, schema, nested=True, as_user=as_user) if isinstance(node, Select) else node

    below = {each.name: rewrite(getattr(select, each.name), settle) for each in fields(select)}
    return _settled(replace(select, **below), schema, nested=False, as_user=as_user)


def beyond(select: Select, params: Mapping[str, Value]) -> str:
    """Why the rows taken are not stable under these parameters; empty if they are."""
    if not select.order or (select.limit is None and select.start is None) or select.group is not None:
        return ""
    if any(key.expr == IDENTITY for key in select.order):
        return ""
    taken = [_constant(expr, params, otherwise) for expr, otherwise in ((select.start, 0), (select.limit, None))]
    if all(type(each) is int for each in taken) and sum(taken) <= STABLE_ROWS_MAX:
        return ""
    return f"ORDER BY takes rows beyond the first {STABLE_ROWS_MAX}, where SurrealDB leaves ties open"


def _constant(expr: Expr | None, params: Mapping[str, Value], otherwise: Value) -> Value:
    """The value of LIMIT or START, if it is a literal or a parameter."""
    match expr:
        case Literal(value=value):
            return value
        case Param(name=name):
            return params.get(name, NONE)
        case _:
            return otherwise


# --- one SELECT ------------------------------------------------------------------------------------------------------


def _settled(select: Select, schema: Schema, *, nested: bool, as_user: bool) -> Select:
    tables = [target.name for target in select.targets if isinstance(target, TableTarget)]
    indexes = [index for table in tables for index in schema(table).indexes]
    if not indexes:
        return select
    mention = _Mention(select)
    near = [index for index in indexes if any(column.rstrip(".") in mention.names for column in index)]
    if not near:
        return select
    if any(column.endswith(".") for index in near for column in index):
        raise Unsettled("an index on a path may hold a record more than once")
    arrays = {field for table in tables for field in schema(table).arrays}
    if any(not arrays.isdisjoint(index) for index in near):
        raise Unsettled("a field with an index holds an array, of which SurrealDB finds each element")
    if any(not mention.doubtful.isdisjoint(index) for index in near):
        raise Unsettled("it is open whether SurrealDB asks an index for an equality")
    if any(_read_short(index, mention) for index in near):
        raise Unsettled("SurrealDB does not read every range of an index on several fields whole")
    if select.group is None and any(index[0] in mention.renamed for index in near):
        raise Unsettled("SurrealDB may sort by an index on the field that has the name of an alias")
    if select.split and (select.limit is not None or select.start is not None):
        raise Unsettled("SurrealDB cuts what an index gives before it is SPLIT")
    if as_user and select.group == ():
        raise Unsettled("to a user SurrealDB counts no rows otherwise where it asks an index")
    guarded = _guarded(select, mention, near)
    try:
        by_index = _reads_by_index(select, mention, near)
    except Unsettled:
        if _shows_order(select, nested):
            raise
        return guarded
    if by_index:
        return replace(guarded, order=(*select.order, OrderKey(IDENTITY, select.order[0].descending)))
    return guarded


def _shows_order(select: Select, nested: bool) -> bool:
    """Whether the result depends on the order in which rows are read. An outermost result without LIMIT is a set of
    members, whose order is the reader's."""
    if select.group is not None:
        calls = {node.name for node in walk(select.fields) if isinstance(node, Call)}
        keys = [field for field in select.fields if field.expr in select.group or field.alias in select.group]
        return not calls <= _ANY_ORDER or any(
            not isinstance(each.expr, Call) for each in select.fields if each not in keys
        )
    if any(key.expr == IDENTITY for key in select.order):
        return False
    return nested or select.only or select.limit is not None or select.start is not None


def _reads_by_index(select: Select, mention: _Mention, indexes: Sequence[_Index]) -> bool:
    """Whether the rows come in the order of ORDER BY off an index; else they come in that of their ids. Raises
    Unsettled where they come in another, or nobody knows."""
    if len(select.targets) > 1 or select.with_index is not None:
        raise Unsettled("SurrealDB may read several tables by their indexes, or one by WITH INDEX, whose order shows")
    names = " or ".join(", ".join(index) for index in indexes)
    unknown = Unsettled(f"SurrealDB may read the rows by an index on {names}, whose order shows in the result")
    if select.group is not None and any(index[0] in mention.groups for index in indexes):
        raise unknown
    key = mention.order[0] if len(mention.order) == 1 else None
    by_value = [index for index in indexes if index[0] in mention.equal]
    several = [index for index in by_value if len(index) > 1]
    if len(several) > 1:
        raise unknown
    for index in several:
        rest = index[_prefix(index, mention.equal) :]
        if rest == (key,) or (not rest and not mention.order):
            return bool(rest)
        raise unknown
    if by_value:
        return False
    if any(index[0] in mention.otherwise and index[0] != key for index in indexes):
        raise unknown
    ordered = [index for index in indexes if index[0] == key]
    if ordered and ordered != [(key,)]:
        raise unknown
    if mention.order and any(index[0] == mention.order[0] and len(index) > 1 for index in indexes):
        raise unknown
    if not mention.order and any(index[0] in mention.otherwise for index in indexes):
        raise unknown
    return bool(ordered)


def _read_short(index: _Index, mention: _Mention) -> bool:
    """Core 3.2 leaves out rows at the upper end of a range over the first of an index's several fields."""
    named = mention.equal | mention.otherwise
    return len(index) > 1 and index[0] in named and not mention.otherwise.isdisjoint(index)


def _prefix(index: _Index, equal: frozenset[str]) -> int:
    """How many of the first fields of the index are held equal to something."""
    count = 0
    while count < len(index) and index[count] in equal:
        count += 1
    return count


def _guarded(select: Select, mention: _Mention, indexes: Sequence[_Index]) -> Select:
    """With the condition that an index does not answer otherwise for any row of the result."""
    names = dict.fromkeys(name for index in indexes for name in index)
    calls = [Call(INDEXED, (Idiom(None, (FieldPart(name),)), *mention.compared.get(name, ()))) for name in names]
    return replace(select, where=conjunction((*conjuncts(select.where), *calls)))


# --- what it mentions ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Mention:
    """The fields of a SELECT's rows that its WHERE and ORDER BY name.

    `equal`: held equal to a constant by a conjunct; `doubtful`: to what SurrealDB's planner perhaps takes for one;
    `otherwise`: named in WHERE in another way that an index might be asked for; `compared`: what a field is compared
    with; `order`: the keys, None for one that is no plain field, none where they are those of groups; `groups`: what
    groups are made or ordered by; `renamed`: names in ORDER BY that are not the field of that name."""

    names: frozenset[str]
    equal: frozenset[str]
    otherwise: frozenset[str]
    doubtful: frozenset[str]
    compared: dict[str, tuple[Expr, ...]]
    order: tuple[str | None, ...]
    groups: frozenset[str]
    renamed: frozenset[str]

    def __init__(self, select: Select) -> None:
        equal: set[str] = set()
        otherwise: set[str] = set()
        doubtful: set[str] = set()
        self.compared = {}
        for term in conjuncts(select.where):
            sides = _equality(term)
            if sides is None:
                otherwise.update(_fields_in(term))
            elif _is_planned(sides[1]):
                equal.add(sides[0])
            elif not _is_late(sides[1]):
                doubtful.add(sides[0])
            for name, other in _comparisons(term):
                self.compared[name] = (*self.compared.get(name, ()), other)
        keys = select.order if select.group is None else ()
        self.groups = frozenset(
            name for key in (*select.order, *map(OrderKey, select.group or ())) for name in _fields_in(key.expr)
        )
        self.order = tuple(_plain_key(key, select) for key in keys)
        unlike = [key.expr for key, plain in zip(keys, self.order, strict=True) if plain is None]
        self.renamed = frozenset(name for expr in unlike for name in _fields_in(expr))
        self.equal = frozenset(equal)
        self.otherwise = frozenset(otherwise)
        self.doubtful = frozenset(doubtful)
        ordered = {name for key in select.order for name in _fields_in(key.expr)}
        self.names = frozenset({*_fields_in(select.where), *ordered, *filter(None, self.order)})


def _equality(term: Expr) -> tuple[str, Expr] | None:
    """The field and what it is held equal to."""
    if isinstance(term, Binary) and term.op in ("=", "=="):
        for field, other in ((term.left, term.right), (term.right, term.left)):
            name = field_of(field)
            if name is not None and field_of(other) is None:
                return name, other
    return None


def _is_planned(expr: Expr) -> bool:
    """Whether SurrealDB's planner takes it for a constant."""
    match expr:
        case Literal():
            return True
        case Param(name=name):
            return name not in STRUCTURAL
        case Array(items=items) | Call(args=items):
            return all(map(_is_planned, items))
        case Binary(left=left, right=right):
            return _is_planned(left) and _is_planned(right)
        case _:
            return False


def _is_late(expr: Expr) -> bool:
    """Whether SurrealDB knows it only row by row: a path, of the row around or of a parameter."""
    return isinstance(expr, Idiom) or (isinstance(expr, Param) and expr.name in STRUCTURAL)


def _comparisons(term: Expr) -> Iterator[tuple[str, Expr]]:
    """Fields, and constants that they are compared with."""
    for node in walk(term):
        if isinstance(node, Binary) and node.op in _COMPARISONS:
            for field, other in ((node.left, node.right), (node.right, node.left)):
                name = field_of(field)
                if name is not None and _is_planned(other):
                    yield name, other


def _plain_key(key: OrderKey, select: Select) -> str | None:
    """The stored field that the key is, if it is one."""
    if key.collate or key.numeric:
        return None
    for field in select.fields:
        if field.alias == key.expr and not isinstance(field.expr, Star):
            return field_of(field.expr) if field.expr == key.expr else None
    return field_of(key.expr)


def _fields_in(node: object) -> set[str]:
    """The top-level names of the fields that an expression reads."""
    paths = (each for each in walk(node) if isinstance(each, Idiom) and each.head is None)
    return {path.parts[0].name for path in paths if isinstance(path.parts[0], FieldPart)}
