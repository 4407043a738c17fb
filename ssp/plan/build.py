"""Tree → plan: a circuit where there is one for the query, else traced evaluation, else re-evaluation, with the reason.

A circuit keeps one table by name, or a range of its records, with WHERE, ORDER BY, LIMIT and START; membership does not
depend on the projection, so shapes are taken from the query without it: `SELECT name` and `SELECT *` over the same
filter share a circuit. A projection that reads other records does belong to the shape.

For a user the table's rule is one more condition, and comes first. Where another table that the query reads has a rule,
everything beyond the table's own rows is read with that user's eyes, and the circuit is that user's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import Admitted
from sp00ky.proto.surrealql.ast import (
    Binary,
    Expr,
    Field,
    FieldPart,
    Hole,
    Idiom,
    Literal,
    OrderKey,
    Select,
    Star,
    TableTarget,
)
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.shape import lift
from sp00ky.proto.values.kinds import NONE, Range, RecordId, Regex, Value
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.group import Grouping, is_counting
from sp00ky.proto.whole.rowwise import why_not_rowwise
from sp00ky.proto.whole.rules import may_fail
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.plan.alone import why_not_alone, why_not_plain
from sp00ky.ssp.plan.asking import why_in_order
from sp00ky.ssp.plan.identified import IDS_FIELD, with_ids
from sp00ky.ssp.plan.nodes import (
    Filter,
    Group,
    Incremental,
    Node,
    Order,
    Plan,
    Project,
    Reevaluated,
    Scan,
    SortKey,
    Traced,
    User,
    Window,
)
from sp00ky.ssp.plan.order import IDENTITY, Schema, Unsettled, beyond, settled
from sp00ky.ssp.plan.terms import DERIVED, Dynamic, Localizer, columns_in, given_params, is_local, never_fails
from sp00ky.ssp.plan.tree import conjunction, conjuncts, field_of, walk


def build(admitted: Admitted, params: Mapping[str, Value], schema: Schema, user: User | None = None) -> Plan:
    """The plan of a query that was admitted. Raises Fault UNSUPPORTED_QUERY for a user's query that cannot be evaluated
    here: SurrealDB would run it with our rights."""
    select = admitted.select
    if user is not None:
        params = {**params, **user.params}
    reason = admitted.aside or why_not_plain(select) or _tables(admitted.tables, schema, user)
    if select is None or reason:
        return reevaluated(admitted.text, select, params, admitted.tables, reason, user=user)
    why_traced = _why_no_circuit(select, admitted.tables, params, schema, user)
    try:
        select = settled(select, schema, as_user=user is not None)
    except Unsettled as unsettled:
        return reevaluated(admitted.text, select, params, admitted.tables, str(unsettled), user=user)
    why_traced = why_traced or beyond(select, params)
    if why_traced:
        return Traced(admitted.text, select, params, admitted.tables, why_traced, user)
    return _incremental(admitted, select, params, schema, user)


def reevaluated(
    text: str,
    select: Select | None,
    params: Mapping[str, Value],
    tables: frozenset[str] | None,
    reason: str,
    *,
    user: User | None,
) -> Reevaluated:
    if user is not None:
        raise Fault(
            Code.UNSUPPORTED_QUERY,
            f"view query cannot be evaluated for a user: {reason}",
            "leave that out, or register it without auth from a service that may see every row of it",
        )
    return Reevaluated(text, select, params, tables, reason, with_ids(select, IDS_FIELD))


def demoted(plan: Incremental | Traced, reason: str, *, plain: bool) -> Plan:
    """The next way to keep the query, when a record has turned up on which this one does not do. `plain`: it can still
    be evaluated here, only not by a circuit."""
    if plain and isinstance(plan, Incremental):
        return Traced(plan.text, plan.select, plan.params, plan.tables, reason, plan.user)
    return reevaluated(plan.text, plan.select, plan.params, plan.tables, reason, user=plan.user)


# --- a circuit's plan ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Localized:
    """The query over its table with what it reads of other records made columns and dynamics, as far as can be."""

    select: Select
    columns: Mapping[str, Expr]
    params: Mapping[str, Value]  # with dynamics


def _incremental(
    admitted: Admitted, select: Select, params: Mapping[str, Value], schema: Schema, user: User | None
) -> Incremental:
    table, bounds = source_table(select)
    restricted = _restricted(admitted.tables, table, schema, user)
    choosing = select if select.group is None else replace(select, order=(), limit=None, start=None)
    localized = _localized(choosing, table, bounds, params, schema=schema, user=user, restricted=restricted)
    lifted = lift(localized.select, localized.params)
    node: Node = Scan(table)
    if lifted.select.where is not None:
        node = Filter(node, lifted.select.where)
    if lifted.select.order:
        node = Order(node, tuple(_sort_key(key, lifted.select) for key in lifted.select.order))
    if lifted.select.limit is not None or lifted.select.start is not None:
        node = Window(node, lifted.select.start, lifted.select.limit)
    if select.group is not None:
        node = Group(node, select.group)
    shows = _shows(select)
    shape = lifted.key
    if shows or select.group is not None:
        shape += _shown_text(select, params, user)
    seen = any(isinstance(value, Dynamic) and not value.ruling for value in localized.params.values())
    own = restricted and (shows or seen or not is_local(lifted.select.where))
    if own:
        assert user is not None, "only a user is restricted"
        shape += f" AS {to_surql(dict(user.params))}"
    return Incremental(
        text=admitted.text,
        select=select,
        params=params,
        table=table,
        root=Project(node, select.fields, select.value),
        shape=shape,
        binding=lifted.binding,
        columns={name: localized.columns[name] for name in sorted(columns_in(lifted.select))},
        tables=admitted.tables,
        shows=shows,
        restricted=restricted,
        own=own,
        user=user,
    )


def source_table(select: Select) -> tuple[str, Expr | None]:
    """The table, and the condition that a record range in FROM is. Names "" if FROM is anything else."""
    match select.targets:
        case (TableTarget(name=name),):
            return name, None
        case (Literal(value=RecordId(table=name, key=Range() as bounds)),):
            terms = [
                Binary(f"{sign}=" if bound.inclusive else sign, IDENTITY, Literal(RecordId(name, bound.value)))
                for sign, bound in ((">", bounds.begin), ("<", bounds.end))
                if bound is not None
            ]
            return name, conjunction(tuple(terms))
        case _:
            return "", None


def _localized(
    select: Select,
    table: str,
    bounds: Expr | None,
    params: Mapping[str, Value],
    *,
    schema: Schema,
    user: User | None,
    restricted: bool,
) -> _Localized:
    localizer = Localizer(params, columns_allowed=not restricted)
    terms: list[Expr] = []
    if user is not None:
        terms += [localizer.local(term, ruling=True) for term in conjuncts(schema(table).rule)]
    terms += conjuncts(bounds)
    for term in conjuncts(select.where):
        local = localizer.local(term)
        terms.append(local if is_local(local) else term)
    keys = [resolved(key, select) for key in select.order]
    order = [
        Field(expr if stored else localizer.local(expr), _alias(place, stored))
        for place, (expr, stored) in enumerate(key for key in keys if key is not None)
    ]
    identity = Field(IDENTITY)
    membership = Select(
        (identity, *order),
        (TableTarget(table),),
        where=conjunction(tuple(terms)),
        order=tuple(OrderKey(each.alias or _alias(0, False), key.descending)
                    for each, key in zip(order, select.order, strict=True)),
        limit=select.limit,
        start=select.start,
    )  # fmt: skip
    dynamics: Mapping[str, Value] = localizer.dynamics
    return _Localized(membership, localizer.columns, {**params, **dynamics})


_STORED = "stored"


def _alias(place: int, stored: bool) -> Idiom:
    return Idiom(None, (FieldPart(f"{_STORED if stored else 'order'}{place}"),))


def _sort_key(key: OrderKey, lifted: Select) -> SortKey:
    name = field_of(key.expr)
    assert name is not None
    for field in lifted.fields:
        if field.alias == key.expr and not isinstance(field.expr, Star):
            return SortKey(field.expr, key.descending, name.startswith(_STORED))
    raise AssertionError("every key of ORDER BY is a field here")


def resolved(key: OrderKey, select: Select) -> tuple[Expr, bool] | None:
    """What a key of ORDER BY means over the row, and whether it is a path of the stored row, in which links are not
    followed. The first alias of that name, else the stored field. None: neither a name nor selected."""
    for field in select.fields:
        if field.alias is not None and field.alias == key.expr and not isinstance(field.expr, Star):
            return field.expr, False
    if key.expr == IDENTITY:
        return key.expr, False
    if key.expr.head is not None or not all(isinstance(part, FieldPart) for part in key.expr.parts):
        return None
    stored = select.value or any(isinstance(field.expr, Star) or field.expr == key.expr for field in select.fields)
    return (key.expr, field_of(key.expr) is None) if stored else None


def _shows(select: Select) -> bool:
    """Whether the result holds more of a member than its record says at once: what other records say, and what may be
    an error. A plain list of fields is taken when somebody reads, and a group has no members."""
    if select.group is not None:
        return False
    fields = tuple(field.expr for field in select.fields)
    return bool(select.fetch or select.omit or why_not_alone(fields)) or not never_fails(fields)


def shown_params(select: Select) -> frozenset[str]:
    """The parameters that decide what a result shows, beyond which rows it has."""
    if select.group is not None:
        return given_params(replace(select, where=None))
    return given_params((select.fields, select.fetch, select.omit)) if _shows(select) else frozenset()


def _shown_text(select: Select, params: Mapping[str, Value], user: User | None) -> str:
    """What follows WHERE; where that is GROUP, a user is answered otherwise than a service if there are no rows."""
    shown = replace(select, where=None) if select.group is not None else _only_shown(select)
    given = "".join(f" ${name}={to_surql(params.get(name, NONE))}" for name in sorted(shown_params(select)))
    return f" SHOWS {print_node(shown)}{given}{' TO A USER' if user and select.group is not None else ''}"


def _only_shown(select: Select) -> Select:
    return replace(select, where=None, order=(), limit=None, start=None)


def _restricted(tables: frozenset[str] | None, table: str, schema: Schema, user: User | None) -> bool:
    """Whether a read beyond the table's own rows may show a user less than there is. The table itself counts too: a
    path may come back to it."""
    if user is None:
        return False
    if tables is None:
        return True
    return not all(schema(name).open for name in tables | {table})


# --- what is not incremental -----------------------------------------------------------------------------------------


def _tables(tables: frozenset[str] | None, schema: Schema, user: User | None) -> str:
    """Why the tables that the text names cannot be read here."""
    for name in sorted(tables or ()):
        facts = schema(name)
        reason = facts.why_closed(name)
        if reason or (user is not None and facts.unread):
            return reason or f"table {name}: {facts.unread}"
    return ""


def _why_no_circuit(
    select: Select, tables: frozenset[str] | None, params: Mapping[str, Value], schema: Schema, user: User | None
) -> str:
    """The first reason; empty if a circuit can keep the query."""
    reason = (
        _clauses(select)
        or why_not_rowwise(select, params)
        or _rules(select, schema, user)
        or _expressions(select, params)
    )
    if reason:
        return reason
    table = source_table(select)[0]
    restricted = _restricted(tables, table, schema, user)
    unsure = restricted and (tables is None or any(may_fail(schema(name).rules.select) for name in tables))
    reason = why_in_order(select.where, params, restricted=unsure)
    return reason or _order(select, params, restricted=restricted)


def _clauses(select: Select) -> str:
    if len(select.targets) != 1:
        return "FROM several sources"
    if not source_table(select)[0]:
        return "FROM is neither a table by name nor a range of its records"
    if select.split:
        return "SPLIT"
    if select.group is not None:
        return _grouping(select)
    return "ONLY" if select.only else ""


def _grouping(select: Select) -> str:
    """Why the groups cannot be kept row by row."""
    if select.fetch:
        return "GROUP with FETCH"
    try:
        Grouping(select)
    except NotPlain as refusal:
        return refusal.name
    reason = why_not_alone((select.fields, select.group, select.order, select.limit, select.start))
    return f"GROUP: {reason}" if reason else ""


def _rules(select: Select, schema: Schema, user: User | None) -> str:
    if user is None:
        return ""
    facts = schema(source_table(select)[0])
    if facts.rules.fields:
        return "permissions of fields"
    if may_fail(facts.rules.select) or (select.where is not None and may_fail(select.where)):
        return "a condition that may be an error, as a user"  # then it counts which is asked first, and of which rows
    if is_counting(select):
        return "count() of a table, as a user"
    localizer = Localizer(user.params)
    if not all(is_local(localizer.local(term, ruling=True)) for term in conjuncts(facts.rule)):
        return "permissions of the table that read other records with the user"
    return ""


def _expressions(select: Select, params: Mapping[str, Value]) -> str:
    literals = {str(place): node.value for place, node in enumerate(walk(select)) if isinstance(node, Literal)}
    reason = why_not_hashed(params) or why_not_hashed(literals)
    if reason:
        return reason
    lifted = lift(replace(select, order=()), params).select
    for clause, expr in (("LIMIT", lifted.limit), ("START", lifted.start)):
        if expr is not None and not isinstance(expr, Hole):
            return f"{clause} is not a constant"
    return ""


def why_not_hashed(constants: Mapping[str, Value]) -> str:
    """A regex equals many strings: no hash finds it."""
    return "a regex" if any(map(_holds_regex, constants.values())) else ""


def _holds_regex(value: Value) -> bool:
    return isinstance(value, Regex) or (isinstance(value, list) and any(map(_holds_regex, value)))


def _order(select: Select, params: Mapping[str, Value], *, restricted: bool) -> str:
    """A key is a column or alone: what else it read would not be traced."""
    localizer = Localizer(params, columns_allowed=not restricted)
    for key in select.order:
        if key.collate or key.numeric:
            return "ORDER BY with COLLATE or NUMERIC"
        found = resolved(key, select)
        if found is None:
            return "ORDER BY something that is not a field of the result"
        if not found[1] and (not is_local(localizer.local(found[0])) or localizer.dynamics):
            return f"ORDER BY what reads other records {'as a user' if restricted else 'with a parameter'}"
    return ""


__all__ = ["DERIVED", "Schema", "build", "demoted", "resolved", "source_table"]
