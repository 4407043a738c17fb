"""Tree → plan: the incremental subset, or re-evaluation with the reason.

Incremental is one table by name with WHERE, ORDER BY, LIMIT and START, all decidable on the row alone, and projections
of the same kind. Membership does not depend on the projection, so shapes are taken from the query without it: `SELECT
name` and `SELECT *` over the same filter share a circuit. Everything else is run whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sp00ky.proto.surrealql.admit import Admitted
from sp00ky.proto.surrealql.ast import (
    Expr,
    Field,
    FieldPart,
    Hole,
    Idiom,
    Literal,
    OrderKey,
    Param,
    Select,
    Star,
    TableTarget,
)
from sp00ky.proto.surrealql.shape import lift
from sp00ky.proto.values.kinds import NONE, Regex, Value
from sp00ky.ssp.plan.alone import why_not_alone
from sp00ky.ssp.plan.identified import IDS_FIELD, with_ids
from sp00ky.ssp.plan.nodes import Filter, Incremental, Node, Order, Plan, Project, Reevaluated, Scan, SortKey, Window
from sp00ky.ssp.plan.tree import field_of, walk

STABLE_ROWS_MAX = 1_000  # START + LIMIT up to which SurrealDB's ORDER BY keeps ties in record id order


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a plan must know about a table."""

    computed: bool = False  # has COMPUTED fields: its rows are not what is stored
    derived: bool = False  # DEFINE TABLE … AS SELECT
    indexed: bool = False  # has indexes: an unordered LIMIT takes rows in an index's order


Schema = Callable[[str], TableFacts]


def build(admitted: Admitted, params: Mapping[str, Value], schema: Schema) -> Plan:
    """The plan of a query that was admitted. Never raises: what is not incremental is re-evaluated."""
    select = admitted.select
    reason = why_not_incremental(select, params, schema)
    if reason or select is None:
        return Reevaluated(admitted.text, select, params, admitted.tables, reason, with_ids(select, IDS_FIELD))
    return _incremental(admitted.text, select, params)


def demoted(plan: Incremental, reason: str) -> Reevaluated:
    """The same query run whole: a record turned up on which it cannot be evaluated here."""
    return Reevaluated(plan.text, plan.select, plan.params, plan.tables, reason, with_ids(plan.select, IDS_FIELD))


def _incremental(text: str, select: Select, params: Mapping[str, Value]) -> Incremental:
    table = select.targets[0]
    assert isinstance(table, TableTarget)
    lifted = lift(_membership(select), params)
    node: Node = Scan(table.name)
    if lifted.select.where is not None:
        node = Filter(node, lifted.select.where)
    if lifted.select.order:
        node = Order(node, tuple(_sort_key(key, lifted.select) for key in lifted.select.order))
    if lifted.select.limit is not None or lifted.select.start is not None:
        node = Window(node, lifted.select.start, lifted.select.limit)
    projected = Project(node, select.fields, select.value)
    return Incremental(text, select, params, table.name, projected, lifted.key, lifted.binding)


# --- membership: the query without what decides only how rows look ----------------------------------------------------


def _membership(select: Select) -> Select:
    """`SELECT id` with the expressions that ORDER BY names by an alias, and all that chooses and orders rows."""
    keys = [resolved(key, select) for key in select.order]
    named = [Field(expr, _alias(place)) for place, expr in enumerate(keys) if expr is not None]
    order = tuple(OrderKey(_alias(place), key.descending) for place, key in enumerate(select.order))
    identity = Field(Idiom(None, (FieldPart("id"),)))
    return Select(
        (identity, *named), select.targets, where=select.where, order=order, limit=select.limit, start=select.start
    )


def _alias(place: int) -> Idiom:
    return Idiom(None, (FieldPart(f"order{place}"),))


def _sort_key(key: OrderKey, lifted: Select) -> SortKey:
    expr = resolved(key, lifted)
    assert expr is not None
    return SortKey(expr, key.descending)


def resolved(key: OrderKey, select: Select) -> Expr | None:
    """What a key of ORDER BY means over the row: the first alias of that name, else the stored field. None: neither a
    name nor selected."""
    name = field_of(key.expr)
    if name is None:
        return None
    for field in select.fields:
        if field.alias is not None and field_of(field.alias) == name and not isinstance(field.expr, Star):
            return field.expr
    stored = select.value or any(isinstance(field.expr, Star) or field.expr == key.expr for field in select.fields)
    return key.expr if stored else None


# --- what is not incremental -----------------------------------------------------------------------------------------


def why_not_incremental(select: Select | None, params: Mapping[str, Value], schema: Schema) -> str:
    """The first reason; empty if the query is incremental."""
    if select is None:
        return "the query is accepted but not taken apart"
    return _clauses(select) or _table(select, schema) or _expressions(select, params) or _order(select, params)


def _clauses(select: Select) -> str:
    if len(select.targets) != 1:
        return "FROM several sources"
    if not isinstance(select.targets[0], TableTarget):
        return "FROM is not a table by name"
    present = {
        "ONLY": select.only,
        "OMIT": bool(select.omit),
        "WITH INDEX": select.with_index is not None,
        "SPLIT": bool(select.split),
        "GROUP": select.group is not None,
        "ORDER BY RAND()": select.order_rand,
        "FETCH": bool(select.fetch),
        "VERSION": select.version is not None,
        "TIMEOUT": select.timeout is not None,
        "EXPLAIN": bool(select.explain),
    }
    return next((clause for clause, found in present.items() if found), "")


def _table(select: Select, schema: Schema) -> str:
    table = select.targets[0]
    assert isinstance(table, TableTarget)
    facts = schema(table.name)
    if facts.computed:
        return f"table {table.name} has computed fields"
    if facts.derived:
        return f"table {table.name} is itself a view"
    if facts.indexed and (select.limit is not None or select.start is not None):
        return f"table {table.name} has indexes, which decide what LIMIT takes"
    if table.name.startswith("_00_"):
        return f"table {table.name} belongs to the mesh"
    return ""


def _expressions(select: Select, params: Mapping[str, Value]) -> str:
    for field in select.fields:
        if field.alias is not None and field_of(field.alias) is None:
            return "an alias that is a path"
    if any(isinstance(field.expr, Star) for field in select.fields) and any(map(_renames, select.fields)):
        return "a renamed field beside *"  # SurrealDB then leaves the old name out, depending on what else is selected
    parts = (select.where, select.limit, select.start, tuple(field.expr for field in select.fields))
    for node in walk(parts):
        value = params.get(node.name) if isinstance(node, Param) else node.value if isinstance(node, Literal) else None
        if isinstance(value, Regex):
            return "a regex"  # equals many strings: no hash finds it
    lifted = lift(replace(select, order=()), params).select
    for clause, expr in (("WHERE", lifted.where), ("LIMIT", lifted.limit), ("START", lifted.start)):
        reason = why_not_alone(expr)
        if reason:
            return f"{clause}: {reason}"
        if clause != "WHERE" and expr is not None and not isinstance(expr, Hole):
            return f"{clause} is not a constant"
    reason = why_not_alone(tuple(field.expr for field in lifted.fields))
    return f"SELECT: {reason}" if reason else ""


def _renames(field: Field) -> bool:
    return field.alias is not None and not isinstance(field.expr, Star) and field_of(field.expr) is not None


def _order(select: Select, params: Mapping[str, Value]) -> str:
    for key in select.order:
        if key.collate or key.numeric:
            return "ORDER BY with COLLATE or NUMERIC"
        if resolved(key, select) is None:
            return "ORDER BY something that is not a field of the result"
    if select.order and (select.limit is not None or select.start is not None):
        taken = [_constant(expr, params, otherwise) for expr, otherwise in ((select.start, 0), (select.limit, None))]
        if not all(type(each) is int for each in taken) or sum(taken) > STABLE_ROWS_MAX:
            return f"ORDER BY takes rows beyond the first {STABLE_ROWS_MAX}, where SurrealDB leaves ties open"
    return ""


def _constant(expr: Expr | None, params: Mapping[str, Value], otherwise: Value) -> Value:
    """The value of LIMIT or START, which are literals or parameters here."""
    match expr:
        case Literal(value=value):
            return value
        case Param(name=name):
            return params.get(name, NONE)
        case _:
            return otherwise
