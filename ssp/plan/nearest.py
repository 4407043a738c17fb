"""The nearest query that is kept better: the same text with one or two things other, planned to see that it is.

A re-evaluated query is near one that is evaluated here, one that is evaluated whole is near one that a circuit keeps,
and one that is refused for its clock or its dice is near the one that gets them as parameters. Each change is a small
rewrite of the tree; those that keep what the query means come first. A rewrite is told only if the text that it prints
is admitted and planned to a better way: nothing is promised that registering it would not give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeAlias

from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.admit import NO_CLOCK, NO_RANDOM, NO_SESSION, REFUSED_CALLS, Admitted, admit
from sp00ky.proto.surrealql.ast import Binary, Expr, Field, FieldPart, Idiom, Literal, OrderKey, Param, Select, Star
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import read_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.whole.functions import plain_functions
from sp00ky.proto.whole.rowwise import is_perhaps_an_error
from sp00ky.ssp.plan.build import build, resolved
from sp00ky.ssp.plan.nodes import Incremental, Plan, Traced, User
from sp00ky.ssp.plan.order import IDENTITY, STABLE_ROWS_MAX, Schema
from sp00ky.ssp.plan.terms import given_params, reads_row
from sp00ky.ssp.plan.tree import conjunction, conjuncts, rewrite, walk

_Change: TypeAlias = tuple[str, Select]  # what is other, and the query with it
_TOGETHER_MAX: Final = 2  # changes that one rewrite is made of


@dataclass(frozen=True, slots=True)
class Nearest:
    """`surql` is kept as `plan`; `change` says in words what is other in it."""

    surql: str
    change: str
    plan: Plan


def nearest(
    select: Select | None, plan: Plan | None, params: Mapping[str, Value], schema: Schema, user: User | None = None
) -> Nearest | None:
    """The nearest query that is kept better than by this plan; `plan` None: it is refused."""
    if select is None or isinstance(plan, Incremental):
        return None
    found: list[tuple[int, Nearest]] = []
    for changed, words in _reached(select):
        near = _planned(changed, params, schema, user)
        if near is not None and _rank(near) > _rank(plan):
            if isinstance(near, Incremental):
                return Nearest(near.text, words, near)
            found.append((_rank(near), Nearest(near.text, words, near)))
    return max(found, key=lambda each: each[0])[1] if found else None


def nearest_admitted(text: str, params: Mapping[str, Value], schema: Schema, user: User | None) -> Nearest | None:
    """The nearest view to a text that is refused as one."""
    try:
        reading = read_select(text)
    except ParseError:
        return None
    return None if reading.aside is not None else nearest(reading.select, None, params, schema, user)


def _rank(plan: Plan | None) -> int:
    match plan:
        case None:
            return 0
        case Incremental():
            return 3
        case Traced():
            return 2
        case _:
            return 1


def _reached(select: Select) -> Iterator[tuple[Select, str]]:
    """The queries that one change makes, then those that more make together."""
    ends: list[tuple[Select, tuple[str, ...]]] = [(select, ())]
    seen = [select]
    for _ in range(_TOGETHER_MAX):
        further: list[tuple[Select, tuple[str, ...]]] = []
        for at, words in ends:
            for said, changed in _changes(at):
                if changed not in seen:
                    seen.append(changed)
                    further.append((changed, (*words, said)))
                    yield changed, "; ".join((*words, said))
        ends = further


_STAND_INS: Final[Mapping[str, Value]] = {
    "limit": 1,
    "start": 0,
}  # parameters that a change has made of LIMIT and START


def _planned(select: Select, params: Mapping[str, Value], schema: Schema, user: User | None) -> Plan | None:
    try:
        admitted: Admitted = admit(print_node(select), as_user=user is not None)
        return build(admitted, {**_STAND_INS, **params}, schema, user)
    except Fault:
        return None


# --- changes, the ones that keep the meaning first -------------------------------------------------------------------


def _changes(select: Select) -> Iterator[_Change]:
    yield from chain.from_iterable(change(select) for change in _CHANGES)


def _given(select: Select) -> Iterator[_Change]:
    """The clock, the dice and the session come as parameters."""
    names: dict[str, str] = {}
    now = _fresh("now", select)

    def as_param(node: object) -> object:
        match node:
            case ast.Call(name="time::now"):
                name = now
            case ast.Call(name=function, args=()) if function.startswith("time::"):
                names[now] = "the time"
                return ast.Call(function, (Param(now),))
            case ast.Call(name=function, args=args) if _is_of_the_moment(function) and not reads_row(args):
                name = _fresh(function.replace("::", "_"), select)
            case _:
                return node
        names[name] = print_node(node)
        return Param(name)

    changed = rewrite(select, as_param)
    if names:
        yield ", ".join(f"{text} is passed as ${name}" for name, text in names.items()), changed


def _fresh(name: str, select: Select) -> str:
    """A parameter that the query does not have yet."""
    taken = given_params(select)
    while name in taken:
        name += "_"
    return name


def _is_of_the_moment(name: str) -> bool:
    return any(_is_below(name, path) and hint in _GIVEN for path, hint in REFUSED_CALLS.items())


_GIVEN: Final = frozenset({NO_RANDOM, NO_CLOCK, NO_SESSION})


def _is_below(name: str, path: str) -> bool:
    return name == path or (path.endswith("::") and name.startswith(path))


def _is_foreign(name: str) -> bool:
    return name not in plain_functions() or any(_is_below(name, path) for path in REFUSED_CALLS)


def _ties(select: Select) -> Iterator[_Change]:
    """ORDER BY ends with what no two records share."""
    if select.group is not None or any(key.expr == IDENTITY for key in select.order):
        return
    if not select.order and select.limit is None and select.start is None:
        return
    shown = select.value or any(isinstance(each.expr, Star) or each.expr == IDENTITY for each in select.fields)
    fields = select.fields if shown else (*select.fields, Field(IDENTITY))
    told = "ORDER BY breaks ties by id" if select.order else "ORDER BY id says which rows LIMIT takes"
    yield told, replace(select, fields=fields, order=(*select.order, OrderKey(IDENTITY)))


def _as_condition(select: Select) -> Iterator[_Change]:
    """Records by name, written as a condition on their table."""
    match select.targets:
        case (Literal(value=RecordId(table=table)) as one,):
            condition: Expr = Binary("=", IDENTITY, one)
        case (ast.Array(items=items),) if len({_table(item) for item in items}) == 1 and _table(items[0]):
            table, condition = _table(items[0]), Binary("IN", IDENTITY, ast.Array(items))
        case _:
            return
    where = condition if select.where is None else Binary("AND", condition, select.where)
    changed = replace(select, targets=(ast.TableTarget(table),), where=where, only=False)
    yield f"FROM {table}, with {print_node(condition)} as a condition: rows come in the order of their ids", changed


def _table(expr: Expr) -> str:
    return expr.value.table if isinstance(expr, Literal) and isinstance(expr.value, RecordId) else ""


def _alias(select: Select) -> Iterator[_Change]:
    """What ORDER BY sorts by gets a name in the result."""
    fields, order, named = select.fields, list(select.order), []
    for place, key in enumerate(select.order):
        if resolved(key, select) is not None:
            continue
        alias = Idiom(None, (FieldPart(f"order_{place}"),))
        here = [each for each in fields if each.expr == key.expr and each.alias is None]
        fields = tuple(Field(each.expr, alias) if each in here else each for each in fields)
        if not here:
            fields = (*fields, Field(key.expr, alias))
        order[place] = replace(key, expr=alias)
        named.append(f"{print_node(key.expr)} has the alias order_{place}")
    if named and not select.value:
        yield ", ".join(named), replace(select, fields=fields, order=tuple(order))


def _constant_window(select: Select) -> Iterator[_Change]:
    """LIMIT and START come as parameters."""
    clauses = {"limit": select.limit, "start": select.start}
    given = [clause for clause, expr in clauses.items() if not (expr is None or isinstance(expr, Literal | Param))]
    if given and not any(clause in given_params(select) for clause in given):
        limit, start = (Param(clause) if clause in given else expr for clause, expr in clauses.items())
        told = ", ".join(f"{clause.upper()} is passed as ${clause}" for clause in given)
        yield told, replace(select, limit=limit, start=start)


def _within(select: Select) -> Iterator[_Change]:
    """Rows beyond the first thousand are left to another view."""
    start = 0 if select.start is None else _constant(select.start)
    limit = _constant(select.limit)
    most = STABLE_ROWS_MAX - start if type(start) is int else 0
    if select.order and most > 0 and (select.limit is None or (type(limit) is int and limit > most)):
        yield f"LIMIT {most}: up to row {STABLE_ROWS_MAX} of the order", replace(select, limit=Literal(most))


def _constant(expr: Expr | None) -> Value:
    return expr.value if isinstance(expr, Literal) else None


def _plain_order(select: Select) -> Iterator[_Change]:
    if any(key.collate or key.numeric for key in select.order):
        order = tuple(replace(key, collate=False, numeric=False) for key in select.order)
        yield "ORDER BY without COLLATE and NUMERIC: the reader sorts", replace(select, order=order)
    if select.order_rand:
        yield "without ORDER BY RAND(): the reader shuffles", replace(select, order_rand=False)


def _errors_last(select: Select) -> Iterator[_Change]:
    """What may be an error is asked only of rows that everything else has let pass."""
    terms = conjuncts(select.where)
    ordered = tuple(sorted(terms, key=is_perhaps_an_error))
    if ordered != terms:
        yield "what may be an error on some row is asked last", replace(select, where=conjunction(ordered))


def _present(select: Select) -> Iterator[_Change]:
    if select.version is not None:
        yield "without VERSION: a view follows the present", replace(select, version=None)
    if select.explain:
        yield "without EXPLAIN", replace(select, explain="")


def _several(select: Select) -> Iterator[_Change]:
    if select.only:
        yield "without ONLY: the reader takes the one row", replace(select, only=False)


def _fewer_fields(select: Select) -> Iterator[_Change]:
    """Fields that only SurrealDB can compute are left to the reader."""
    left = tuple(each for each in select.fields if not any(_is_call_of_others(node) for node in walk(each)))
    if len(left) == len(select.fields) or select.value or select.group is not None:
        return
    gone = ", ".join(print_node(each) for each in select.fields if each not in left)
    yield f"without {gone} in the result", replace(select, fields=left or (Field(IDENTITY),))


def _is_call_of_others(node: object) -> bool:
    return isinstance(node, ast.Call) and _is_foreign(node.name)


_CHANGES: Final[tuple[Callable[[Select], Iterator[_Change]], ...]] = (
    *(_given, _ties, _as_condition, _alias, _constant_window, _errors_last, _present, _plain_order, _within, _several),
    _fewer_fields,
)
