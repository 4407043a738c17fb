"""The views of an SSP's engine, read after every transaction, held against a fresh query.

An incremental view shows exactly the fresh rows; its members are the records of those rows, in their order; what it
emitted adds up to its members. Where the engine answers an error, the view shows no rows. A re-evaluated view is the
engine's own answer: it is counted by its reason, and not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.scheduler.capture.schema import SCHEMA_TABLE, schema_changes
from sp00ky.scheduler.datastore.datastore import Row
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.plan.identified import IDS_FIELD, with_ids

from tests.fuzz.bench import Bench, Changes
from tests.fuzz.case import Case
from tests.fuzz.judge import is_read_in_any_order
from tests.fuzz.play import Asked, Difference, Tally, held_against
from tests.fuzz.seen import unseen
from tests.fuzz.users import redefines
from tests.harness.driven_engine import Driven, Place
from tests.harness.oracle import Refused, exact

_NOT_FOR_A_USER = "cannot be evaluated for a user: "


def views(case: Case, bench: Bench, tally: Tally) -> Iterator[Difference]:
    """Every query as a view, read after every transaction."""
    bench.begin(case)
    asked = [Asked.of(query, f"v{number}", bench) for number, query in enumerate(case.queries)]
    driven = Driven()
    driven.welcome()
    _feed_schema(driven, bench)
    for step, statements in enumerate(case.transactions):
        _register(driven, bench, [each for each in asked if each.query.since == step])
        yield from unseen(driven, asked, step, bench)
        changes = bench.write(statements)
        if redefines(statements):
            _feed_schema(driven, bench)
        _feed(driven, changes)
        if step == 0:
            _register(driven, bench, [each for each in asked if each.query.since == 1])
        yield from unseen(driven, asked, step, bench)
        for each in asked:
            if step >= each.query.since - (each.query.since == 1):
                yield from _view_check(driven, each, step, bench, tally)
    yield from _refused_check(driven, asked, len(case.steps), bench)


def _refused_check(driven: Driven, asked: list[Asked], step: int, bench: Bench) -> Iterator[Difference]:
    """What is refused would be refused anew: no change of rules after which it can be kept was missed."""
    refused = [each for each in asked if _NOT_FOR_A_USER in _error(driven, each)]
    anew = [replace(each, name=f"{each.name} anew") for each in refused]
    _register(driven, bench, anew)
    for before, each in zip(refused, anew, strict=True):
        if _NOT_FOR_A_USER not in _error(driven, each):
            yield Difference("refused for ever", each.query, step, _error(driven, before), _error(driven, each))


def _error(driven: Driven, asked: Asked) -> str:
    reading = driven.engine.view(ViewKey(asked.name))
    return "" if reading is None else reading.error


def _register(driven: Driven, bench: Bench, asked: list[Asked]) -> None:
    for each in asked:
        auth = bench.viewer(each.query.auth) if each.query.auth else None
        driven.log.register(each.name, each.query.text, each.params, auth=auth)
    if asked:
        driven.catch_up()


def _feed_schema(driven: Driven, bench: Bench) -> None:
    """What has changed of the tables' definitions, before whatever else the same frame brings."""
    known = [Row(row.key, row.packed, Seq(row.seq), (0, 0)) for row in driven.log.rows(SCHEMA_TABLE, driven.log.head)]
    for change in schema_changes(bench.schema(), known):
        driven.log.append(common_pb2.Entry(change=change))


def _feed(driven: Driven, changes: Changes) -> None:
    """The records that one transaction changed, as the log has them."""
    for number, (record, row) in enumerate(changes, start=1):
        content = None if row is None else {name: value for name, value in row.items() if name != "id"}
        driven.log.change(record.table, record.key, content, txn_last=number == len(changes))
    if driven.engine.applied_seq < driven.log.head:
        driven.catch_up()


def _view_check(driven: Driven, asked: Asked, step: int, bench: Bench, tally: Tally) -> Iterator[Difference]:
    reading = driven.engine.view(ViewKey(asked.name))
    tally.checks += 1
    tally.queries.add((asked.query.text, asked.query.params))
    if reading is None:
        yield Difference("lost", asked.query, step, "no such view", "")
        return
    if _NOT_FOR_A_USER in reading.error:
        tally.reasons["as a user: " + reading.error.partition(_NOT_FOR_A_USER)[2].partition(" (leave")[0]] += 1
        return
    if reading.mode != "incremental" and str(reading.state) != "failed":
        tally.reasons[reading.reason] += 1
        return
    theirs = asked.answer(bench, asked.query.text)
    ours = _shown_by(reading)
    found = list(held_against(asked, step, (ours, theirs), bench, tally))
    if not found and not isinstance(ours, Refused):
        found = list(_members_check(driven, asked, reading, step, bench))
    yield from found


def _shown_by(reading: ViewReading) -> Value | Refused:
    """The rows; a refusal if the view has failed or a row cannot be projected."""
    if reading.error or str(reading.state) == "failed":
        return Refused(reading.error)
    try:
        return reading.rows()
    except NotPlain as refusal:
        return Refused(refusal.name)


def _members_check(driven: Driven, asked: Asked, reading: ViewReading, step: int, bench: Bench) -> Iterator[Difference]:
    """Members are the records of the rows, in their order; deltas add up to them."""
    key = ViewKey(asked.name)
    emitted = _versions(driven.members.get(key, {})) + _versions(driven.children.get(key, {}))
    present = _versions(driven.current(asked.name)) + _versions(driven.current_children(asked.name))
    if emitted != present:
        yield Difference("deltas do not add up", asked.query, step, "; ".join(emitted), "; ".join(present))
    text = with_ids(asked.select, IDS_FIELD)
    answer = asked.answer(bench, text) if text else None
    if text and not isinstance(answer, Refused):
        rows = [row for row in (answer if isinstance(answer, list) else [answer]) if isinstance(row, dict)]
        theirs = list(dict.fromkeys(row[IDS_FIELD] for row in rows if isinstance(row.get(IDS_FIELD), RecordId)))
        ours = [member.id for member in reading.members if member.parent is None]
        free = asked.select is not None and (
            (asked.select.order and asked.select.limit is None)
            or (bench.indexed and is_read_in_any_order(asked.select))
        )
        same = set(ours) == set(theirs) and len(ours) == len(theirs) if free else ours == theirs
        if not same:
            yield Difference("members differ", asked.query, step, exact(ours), exact(theirs))


def _versions(members: Mapping[RecordId, int] | Mapping[Place, int]) -> list[str]:
    return sorted(f"{exact(list(at) if isinstance(at, tuple) else at)} at {seq}" for at, seq in members.items())
