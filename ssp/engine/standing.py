"""Where a record that passes WHERE stands among all that do, and the edge of LIMIT and START behind which it lies.

A circuit's window has the place of every row that passes, and knows the rank by counting; a result that is evaluated
whole is evaluated once more without LIMIT and START. The keys of ORDER BY are shown beside those of the member at the
edge, as the view's user sees both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sp00ky.proto.surrealql.ast import OrderKey, Select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.values.text import record_id_text
from sp00ky.proto.whole.expr import evaluate, whole_number
from sp00ky.proto.whole.project import extract
from sp00ky.proto.whole.scope import Scope, tables_of
from sp00ky.proto.whole.select import chosen
from sp00ky.ssp.circuit.arrangement import Arrangement
from sp00ky.ssp.circuit.deciding import shown
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.pipeline import pipeline_of
from sp00ky.ssp.circuit.predicate import compile_sort
from sp00ky.ssp.circuit.traced import TracedResult
from sp00ky.ssp.plan.build import resolved
from sp00ky.ssp.plan.nodes import Incremental, Traced
from sp00ky.ssp.views.registry import Holder


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key of ORDER BY: of the record, and of the member at the edge."""

    text: str
    value: str
    boundary: str


@dataclass(frozen=True, slots=True)
class Standing:
    """`rank` from 1. `boundary`: the member at the edge behind which the record lies; None: there are no members."""

    rank: int
    passing: int
    start: int
    limit: int | None
    boundary: RecordId | None = None
    keys: tuple[KeyShown, ...] = ()

    @property
    def before(self) -> bool:
        """Whether START leaves it out, and not LIMIT."""
        return self.rank <= self.start

    @property
    def sentence(self) -> str:
        start = f"START {self.start}" if self.start else ""
        clause = start if self.before else f"LIMIT {self.limit} {start}".rstrip()
        told = f"it is row {self.rank} of {self.passing}, and {clause} leaves it out"
        if self.boundary is None:
            return told
        edge = record_id_text(self.boundary)
        return f"{told}; the window {'begins behind it' if self.before else 'ends before it'}, at {edge}"


def standing_of(
    row: Mapping[str, Value],
    plan: Incremental | Traced,
    holder: Holder | None,
    scope: Scope,
    held: Mapping[str, Arrangement],
) -> Standing:
    """Of a row that passes WHERE. `scope`: the eyes of the view's user. Raises NotPlain."""
    select = plan.select
    start = 0 if select.start is None else whole_number(select.start, NONE, scope, "START")
    limit = None if select.limit is None else whole_number(select.limit, NONE, scope, "LIMIT")
    record = row["id"]
    ranked = None
    if isinstance(plan, Incremental) and isinstance(holder, Members):
        ranked = _ranked_in(holder, plan, held[plan.table], pack(record.key))
    rank, passing = ranked or _ranked(record, select, scope)
    standing = Standing(rank, passing, start, limit)
    members = _members(holder)
    if not members:
        return standing
    boundary = members[0 if standing.before else -1]
    edge = tables_of(scope, "the member at the edge").get(boundary)
    assert edge is not None, "a member is there"
    return replace(standing, boundary=boundary, keys=tuple(_keys(select, row, edge, scope)))


def _ranked_in(group: Members, plan: Incremental, held: Arrangement, own: bytes) -> tuple[int, int] | None:
    """The record's place among the rows that the circuit holds, and how many these are, without sorting them; None if
    it holds none, as for LIMIT 0."""
    known = group.known()
    if own not in known:
        return None
    order = pipeline_of(plan.root).order
    sort = compile_sort(order) if order else None

    def place(key: bytes) -> Any:
        by = () if sort is None else sort(held.images[key][0], group.binding, group.scope)
        return by, held.order_of(key)

    mine = place(own)
    return 1 + sum(bool(place(key) < mine) for key in known), len(known)


def _ranked(record: RecordId, select: Select, scope: Scope) -> tuple[int, int]:
    passing = chosen(replace(select, limit=None, start=None), scope)
    ids = (row.get("id") for row in passing if type(row) is dict)
    return 1 + next((at for at, each in enumerate(ids) if is_record(each, record)), len(passing)), len(passing)


def is_record(value: Value, record: RecordId) -> bool:
    """Whether the value is the id of this very record: `t:[1]` and `t:[1.0]` are two."""
    return isinstance(value, RecordId) and value == record and pack(value) == pack(record)


def _members(holder: Holder | None) -> list[RecordId]:
    match holder:
        case Members():
            return [holder.members[key].id for key in holder.ordered()]
        case TracedResult():
            return [member.id for member in holder.members() if member.parent is None]
        case _:
            return []


def _keys(select: Select, row: Value, edge: Value, scope: Scope) -> Iterator[KeyShown]:
    for key in select.order:
        text = print_node(key.expr) + (" DESC" if key.descending else "")
        yield KeyShown(text, _key(key, select, row, scope), _key(key, select, edge, scope))


def _key(key: OrderKey, select: Select, row: Value, scope: Scope) -> str:
    expr, stored = resolved(key, select) or (key.expr, False)
    return shown(extract(row, key.expr.parts) if stored else evaluate(expr, row, scope))
