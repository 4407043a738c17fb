"""The SSP as a pure function of what it is told: `step(event)`, then `ready()`.

    Welcome ──▶ load `_00_schema` ──▶ plan the views ──▶ load their tables ──▶ `loaded`, views hydrated ──▶ live

Live, a batch is one move: tables, then circuits (deltas), then what re-evaluated views must know, then commands about
views in their order. A view hydrates when its table is held, at the applied seq; a load beside live entries holds up
its own views only.

Guarantees: entries are applied in seq order, whole transactions only, once; an incremental view is exact at
`applied_seq`; a view that cannot be evaluated fails alone, with its reason. Raises Fault DATA_LOSS when the stream
skipped an entry: the driver drops the stream and says a fresh hello.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import replication_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import PackError, unpack
from sp00ky.proto.whole.rules import TableRules
from sp00ky.ssp.circuit.arrangement import Moved
from sp00ky.ssp.circuit.tracing import Tracing
from sp00ky.ssp.engine.dependencies import Dependencies, dependencies_of
from sp00ky.ssp.engine.emission import Emission
from sp00ky.ssp.engine.events import (
    CheckpointReceived,
    EntriesReceived,
    Event,
    PageReceived,
    QueryFailed,
    QueryRan,
    Ticked,
    ViewKey,
    WelcomeReceived,
)
from sp00ky.ssp.engine.explained import Explanation, explained
from sp00ky.ssp.engine.hosting import Hosting
from sp00ky.ssp.engine.hosting import Outcome as Flushed
from sp00ky.ssp.engine.keeping import Keeping
from sp00ky.ssp.engine.ownership import Ownership
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import LoadPage, Ready
from sp00ky.ssp.engine.tables import Tables
from sp00ky.ssp.engine.transactions import SCHEMA_TABLE, Batch, Transactions
from sp00ky.ssp.engine.why import Reasoning, Why
from sp00ky.ssp.plan.facts import MESH_PREFIX, TableFacts
from sp00ky.ssp.plan.nodes import User
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.views.registry import Registry, View


@dataclass(frozen=True, slots=True)
class EngineOptions:
    backlog_max: int = 200_000  # records that may change during one load before it starts again
    rerun_ticks_min: int = 1  # ticks between two runs of one re-evaluated query


class Engine:
    """One SSP's state. `bootstrap_tables` are loaded before the views' own and never released."""

    def __init__(
        self,
        bootstrap_tables: Sequence[str] = (SCHEMA_TABLE,),
        *,
        ssp_id: str = "",
        options: EngineOptions | None = None,
    ) -> None:
        chosen = options or EngineOptions()
        self.ssp_id = ssp_id
        self.loaded = False
        self._bootstrap_tables = tuple(dict.fromkeys((SCHEMA_TABLE, *bootstrap_tables)))
        self._planned = False  # the bootstrap tables are held
        self._transactions = Transactions()
        self._tables = Tables(chosen.backlog_max)
        self._tracing = Tracing(self._tables.held, self._why_closed, self._table_names)
        self._hosting = Hosting(chosen.rerun_ticks_min, self._tracing, self._rules)
        self._registry = Registry()
        self._emission = Emission()
        self._keeping = Keeping(
            self._registry, self._tables, self._hosting, self._emission,
            applied_seq=lambda: self.applied_seq, kept=self._bootstrap_tables,
        )  # fmt: skip
        self._ownership = Ownership(ssp_id, self._registry, self._keeping, self._emission)

    def _why_closed(self, table: str) -> str:
        return self._keeping.schema(table).why_closed(table)

    def _rules(self, table: str) -> TableRules:
        return self._keeping.rules(table)

    def _table_names(self) -> set[str]:
        schema = self._tables.held.get(SCHEMA_TABLE)
        named = [row[0].get("name") for row in schema.rows.values()] if schema is not None else []
        held = [name for name in self._tables.held if not name.startswith(MESH_PREFIX)]
        return {name for name in (*named, *held) if isinstance(name, str)}

    # --- in and out ---

    def step(self, event: Event) -> None:
        """Move. Raises Fault DATA_LOSS for a peer's mistake; all else that can go wrong is a view's state."""
        match event:
            case EntriesReceived(entries=entries, frame_ends=frame_ends):
                if frame_ends:
                    self._emission.count_frame()
                batch = self._transactions.accept(entries)
                if batch is not None:
                    self._apply(batch)
            case PageReceived():
                self._take_page(event)
            case WelcomeReceived(welcome=welcome):
                if welcome.resume:
                    self._resume(welcome.at_seq)
                else:
                    self._begin(welcome)
            case QueryRan() | QueryFailed():
                self._keeping.run_ended(event)
            case Ticked():
                self._keeping.tick += 1
                for query in self._hosting.begin_due(self._keeping.tick):
                    self._emission.run(query)
            case CheckpointReceived():
                pass  # entries carry every seq: an idle head says nothing new

    def ready(self) -> Ready:
        """What is to be done since the last call."""
        return self._emission.drain(self.applied_seq if self.loaded else 0)

    @property
    def applied_seq(self) -> int:
        return self._transactions.applied_seq

    @property
    def arrived_seq(self) -> int:
        """Every view handed over to us up to here has a first result, or has failed."""
        return self._ownership.arrived_seq(self.applied_seq)

    # --- the stream begins ---

    def _begin(self, welcome: replication_pb2.Welcome) -> None:
        """Drop everything and load at the snapshot's revision."""
        owned = self._registry.clear()
        self._hosting.clear()
        self._tables.clear()
        self._emission.forget()
        self.loaded = self._planned = False
        self._transactions.reset_to(welcome.at_seq)
        self._keeping.forget_tables()
        self._ownership.begin(welcome, owned)
        for table in self._bootstrap_tables:
            self._keeping.want(table)

    def _resume(self, at_seq: int) -> None:
        if not self.loaded or at_seq > self.applied_seq:
            raise Fault(
                Code.DATA_LOSS,
                f"stream resumes at {at_seq}, this ssp holds {self.applied_seq if self.loaded else 'nothing'}",
                "a fresh hello loads everything again",
            )
        self._transactions.resume()
        for page in self._tables.restart(self.applied_seq):
            self._emission.load(page)

    def _take_page(self, page: PageReceived) -> None:
        taken = self._tables.take_page(page)
        if isinstance(taken, LoadPage):
            self._emission.load(taken)
        elif taken and not self._planned:
            self._maybe_plan()
        elif taken and self._keeping.follow(page.table):
            self._plan_anew(frozenset({page.table}))
        elif taken:
            for view in self._registry.users_of(page.table):
                if view.state is State.PENDING and view.holder is None:
                    self._keeping.host(view)
        if self._planned and not self.loaded and not self._tables.loading:
            self.loaded = True
            self._emission.become_loaded()

    def _maybe_plan(self) -> bool:
        """Plan the assigned views once the schema is known."""
        if self._tables.loading:
            return False
        self._planned = True
        for table in list(self._tables.held):
            self._keeping.follow(table)
        for view in list(self._registry.views.values()):
            self._keeping.plan(view)
        return True

    # --- entries ---

    def _apply(self, batch: Batch) -> None:
        before = batch.first_seq - 1
        facts = self._facts_of(batch)
        moved, pages = self._tables.apply(batch.tables, self.applied_seq)
        for page in pages:
            self._emission.load(page)
        waiting = self._keeping.waiting_for(batch.tables)
        for out in self._move(moved, batch.last_seq):
            self._keeping.emit(out)
        self._keeping.records_changed(batch.tables, waiting)
        self._plan_anew(self._keeping.arrays_moved(moved))
        schema = batch.spans.pop(SCHEMA_TABLE, None)
        self._hosting.touch(batch.spans, before, batch.tables)
        if schema is not None:
            self._keeping.schema_changed()
            self._replan(facts, schema, before)
        for entry in batch.commands:
            self._ownership.take(entry)
        self._keeping.judge_all()

    def _move(self, moved: Mapping[str, Sequence[Moved]], seq: int) -> list[Flushed]:
        """Every table has moved: tell who has read what did, then images and indexes, then what came of it."""
        for table, changes in moved.items():
            self._tracing.touch(table, changes)
        stale, self._tracing.stale = self._tracing.stale, {}
        tables = dict.fromkeys((*moved, *stale))
        for table in tables:
            arrangement = self._tables.held.get(table)
            if arrangement is not None:
                arrangement.propagate(moved.get(table, ()))
        return list(self._hosting.flush(tables, seq))

    def _facts_of(self, batch: Batch) -> dict[str, TableFacts]:
        """What is known until now of the tables whose schema this batch touches."""
        names: list[Value] = []
        for key in batch.tables.get(SCHEMA_TABLE, ()):
            try:
                names.append(unpack(key))
            except PackError:
                continue  # a schema row that names no table says nothing
        return {name: self._keeping.schema(name) for name in names if isinstance(name, str)}

    def _replan(self, before: Mapping[str, TableFacts], span: tuple[int, int], applied_before: int) -> None:
        """The schema of tables changed: views that it may move are planned anew, and what reads them is run again."""
        for name in before:
            self._keeping.follow(name)
        self._plan_anew(frozenset(name for name, facts in before.items() if self._keeping.schema(name) != facts))
        self._hosting.touch(dict.fromkeys(before, span), applied_before)

    def _plan_anew(self, tables: frozenset[str]) -> None:
        """Something is known about these tables that was not."""
        if not tables:
            return
        self._keeping.schema_changed()
        self._make_anew(self._registry.readers(tables))

    def rehydrate(self, key: ViewKey) -> None:
        """Make the view's result anew of the tables that are held, with those of the views that share it."""
        view = self._registry.views.get(key)
        if view is None:
            return
        shared = [view] if view.holder is None else [self._registry.views[each] for each in view.holder.views]
        self._make_anew(shared)

    def _make_anew(self, views: Sequence[View]) -> None:
        with self._keeping.planning_many():
            for view in views:  # all of them first: what one still held another would be given again, as it was
                self._hosting.evict(view)
            for view in views:
                self._keeping.plan(view)

    # --- reading ---

    def view(self, key: ViewKey) -> ViewReading | None:
        """The view as it is now; None if this SSP does not own it."""
        view = self._registry.views.get(key)
        return None if view is None else self._keeping.reading(view)

    @property
    def view_count(self) -> int:
        return len(self._registry.views)

    def newest_views(self, count: int) -> list[ViewKey]:
        """So many of those that came last."""
        return list(islice(reversed(self._registry.views), count))

    @property
    def shape_count(self) -> int:
        """Distinct shapes that circuits are kept for."""
        return len(self._hosting.circuits)

    def views_by_state(self) -> Mapping[str, int]:
        return {state.value: 0 for state in State} | Counter(view.state.value for view in self._registry.views.values())

    def views(self) -> list[ViewReading]:
        return [self._keeping.reading(view) for view in self._registry.views.values()]

    def why(self, key: ViewKey, record: RecordId, *, for_user: bool = False) -> Why | None:
        """Why the record is, or is not, in the view; None if this SSP does not own the view. `for_user`: it is told to
        the view's user, who must not learn of records that he may not read."""
        view = self._registry.views.get(key)
        if view is None:
            return None
        reasoning = Reasoning(self._tracing.source, self._tables.held, self._rules, for_user=for_user)
        return reasoning.why(view, self._keeping.reading(view), record)

    def dependencies(self) -> Dependencies:
        return dependencies_of(self._registry, self._tables)

    def explain(self, surql: str, params: Mapping[str, Value], user: User | None = None) -> Explanation:
        """Every stage of a query. Raises Fault UNSUPPORTED_QUERY as registering it would."""
        return explained(surql, params, user, self._keeping.schema, self._hosting)
