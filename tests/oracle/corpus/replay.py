"""Every query of an application, held as a view and evaluated plainly, against a fresh query after every step.

Views live in an engine that is fed the difference that each step made to the tables, as one transaction; indexes,
computed fields and derived tables are told to it as the capture tells them. A view that is kept incrementally has the
fresh query's rows exactly, and its members are the records of those rows; where SurrealDB answers an error, the view
has one. A view that is re-evaluated waits for a run that nobody makes here: it is counted, with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.surrealql.ast import Select
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.order import hash_key
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope
from sp00ky.proto.whole.select import run_select
from sp00ky.scheduler.capture.schema import schema_row
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.plan.identified import IDS_FIELD, with_ids

from tests.harness.driven_engine import Driven
from tests.harness.oracle import Refused, exact
from tests.oracle.corpus.application import Application, Played, Query

_Row = dict[str, Value]
_Table = dict[Hashable, tuple[RecordId, _Row]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query after a step, and SurrealDB's answer. `text`: exact, or "" for an error."""

    step: int
    query: Query
    select: Select | None
    answer: Value | Refused
    text: str


@dataclass
class Report:
    """What became of an application's queries. `aside`: those that were not answered here, and `wrong`: those that were
    answered wrongly, each with the first time it happened."""

    application: Application
    aside: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    compared: int = 0

    @property
    def answered(self) -> int:
        return len(self.application.queries) - len(self.aside)

    def reasons(self) -> Counter[str]:
        """How often each reason; what it quotes of the query is left out."""
        return Counter(re.sub("`.*`", "`…`", reason) for reason in self.aside.values())

    def compare(self, asked: Asked, ours: Value | Refused) -> None:
        """Errors need not have the same words."""
        self.compared += 1
        text = "" if isinstance(ours, Refused) else exact(ours)
        if text != asked.text:
            self.note(asked, text or ours, asked.text or asked.answer)

    def note(self, asked: Asked, ours: object, theirs: object) -> None:
        where = f"{asked.query.view}, step {asked.step}: {asked.query.written}"
        self.wrong.setdefault(asked.query.view, f"{where}\n  ours:   {ours}\n  engine: {theirs}")

    def put_aside(self, asked: Asked, reason: str) -> None:
        self.aside.setdefault(asked.query.view, reason)


@dataclass
class Replayed:
    """`answers`: SurrealDB's own, a text for every step; "" for an error."""

    views: Report
    plain: Report
    answers: dict[Query, list[str]]


def replay(application: Application) -> Replayed:
    played = Played(application)
    fed, answers = Fed(played), {query: list[str]() for query in application.queries}
    replayed = Replayed(Report(application), Report(application), answers)
    selects = {query.view: admit(query.text).select for query in application.queries}
    for step in played.steps():
        fed.feed()
        source = played.source()
        for query in application.queries:
            answer = played.fresh(query)
            text = "" if isinstance(answer, Refused) else exact(answer)
            asked = Asked(step, query, selects[query.view], answer, text)
            answers[query].append(text)
            _compare_plain(replayed.plain, asked, Scope(played.params[query.view], source))
            _compare_view(replayed.views, asked, fed)
    return replayed


# --- evaluated plainly -----------------------------------------------------------------------------------------------


def _compare_plain(report: Report, asked: Asked, scope: Scope) -> None:
    if asked.select is None:
        report.put_aside(asked, "not held in a query tree")
        return
    ours: Value | Refused
    try:
        ours = run_select(asked.select, scope)
    except EvaluationError as error:
        ours = Refused(error.name)
    except NotPlain as refusal:
        report.put_aside(asked, refusal.name)
        return
    report.compare(asked, ours)


# --- held as a view --------------------------------------------------------------------------------------------------


def _compare_view(report: Report, asked: Asked, fed: Fed) -> None:
    reading = fed.reading(asked.query)
    if reading.mode != "incremental":
        report.put_aside(asked, reading.reason)
        return
    report.compare(asked, _rows(reading))
    if not reading.error and asked.text:
        _compare_members(report, asked, fed)


def _rows(reading: ViewReading) -> Value | Refused:
    """A failed view has no rows, and neither has one whose rows SurrealDB cannot project."""
    if reading.error:
        return Refused(reading.error)
    try:
        return reading.rows()
    except NotPlain as refusal:
        return Refused(f"rows that cannot be projected: {refusal.name}")


def _compare_members(report: Report, asked: Asked, fed: Fed) -> None:
    """Deltas add up to what a reader is told."""
    driven, view = fed.driven, asked.query.view
    members = exact([member.id for member in fed.reading(asked.query).members if member.parent is None])
    records = exact(_records(asked, fed.played))
    if members != records:
        report.note(asked, f"members {members}", f"records {records}")
    if driven.members[ViewKey(view)] != driven.current(view):
        report.note(asked, "members as told by deltas", "members as read")
    if driven.children[ViewKey(view)] != driven.current_children(view):
        report.note(asked, "children as told by deltas", "children as read")


def _records(asked: Asked, played: Played) -> list[Value]:
    """The records of the rows of the answer, in order; none if its rows are no records."""
    surql = with_ids(asked.select, IDS_FIELD)
    if asked.select is None or not surql:
        return []
    rows = _listed(asked.answer)
    if not asked.select.value and all(isinstance(row.get("id"), RecordId) for row in rows):
        return [row["id"] for row in rows]
    return [row[IDS_FIELD] for row in _listed(played.ask(surql, asked.query))]


def _listed(answer: Value | Refused) -> list[Value]:
    """The rows of an answer, which with ONLY is its one row, or NONE."""
    return answer if isinstance(answer, list) else [answer] if isinstance(answer, dict) else []


class Fed:
    """An engine whose log is what an application writes."""

    def __init__(self, played: Played) -> None:
        self.driven = Driven(page_rows=100)
        self.played = played
        self._held: dict[str, _Table] = {}
        for table in played.schema.values():
            self.driven.log.change("_00_schema", table.name, schema_row(table))
        self.driven.welcome()

    def feed(self) -> None:
        """What changed since it was last fed, as one transaction. The first time, the data and then the views."""
        changed = False
        for name, schema in self.played.schema.items():
            if not schema.derived:  # the feed is silent about a derived table
                changed |= self._feed_table(name, schema.computed)
        if changed:
            self.driven.log.entries[-1].txn_last = True
        if not self.driven.log.specs:
            for query in self.played.application.queries:
                self.driven.log.register(query.view, query.text, self.played.params[query.view])
        self.driven.catch_up()

    def reading(self, query: Query) -> ViewReading:
        reading = self.driven.engine.view(ViewKey(query.view))
        assert reading is not None
        return reading

    def _feed_table(self, name: str, computed: tuple[str, ...]) -> bool:
        before, after = self._held.get(name, {}), _stored(self.played, name, computed)
        self._held[name] = after
        gone = [(record, None) for key, (record, _) in before.items() if key not in after]
        written = [
            (record, row)
            for key, (record, row) in after.items()
            if key not in before or exact(row) != exact(before[key][1])
        ]
        for record, content in (*gone, *written):
            self.driven.log.change(name, record.key, content, txn_last=False)
        return bool(gone or written)


def _stored(played: Played, name: str, computed: tuple[str, ...]) -> _Table:
    rows = played.rows(name)
    return {
        hash_key(row["id"]): (row["id"], {field: value for field, value in row.items() if field not in computed})
        for row in rows
    }
