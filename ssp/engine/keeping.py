"""What becomes of a view: planned, hosted when its table is held, hydrated, judged, quarantined, dropped.

Every change of a view's state goes through `View.signal` here, and every ViewHydrated and ViewDropped comes from here.
A view that fails takes nobody with it. One that a circuit cannot keep on some record is traced instead, one that cannot
be evaluated here is run on SurrealDB, and one on which SurrealDB fails as well keeps its error until something that it
has read changes. All are planned again when the record that did it, the schema, or the specification changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import chain

from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql.admit import Admitted, admit
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.viewer import unpack_viewer
from sp00ky.proto.whole.rules import TableRules, auth_params
from sp00ky.proto.whole.scope import NotPlain
from sp00ky.ssp.circuit.arrangement import Moved
from sp00ky.ssp.circuit.members import Failure, Members
from sp00ky.ssp.circuit.traced import TracedResult
from sp00ky.ssp.circuit.tracing import shown_key
from sp00ky.ssp.engine.emission import Emission
from sp00ky.ssp.engine.events import QueryFailed, QueryRan, ViewKey
from sp00ky.ssp.engine.hosting import Hosting
from sp00ky.ssp.engine.hosting import Outcome as Flushed
from sp00ky.ssp.engine.indexed import IndexedArrays
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped, ViewHydrated
from sp00ky.ssp.engine.tables import Tables
from sp00ky.ssp.engine.transactions import SCHEMA_TABLE
from sp00ky.ssp.plan.build import demoted
from sp00ky.ssp.plan.facts import TableFacts, facts_of
from sp00ky.ssp.plan.nodes import Incremental, Plan, Reevaluated, Traced, User
from sp00ky.ssp.plan.templates import Templates
from sp00ky.ssp.views.lifecycle import Signal, State
from sp00ky.ssp.views.reevaluated import Outcome, Rerun
from sp00ky.ssp.views.registry import Registry, View


class Keeping:
    """`applied_seq` answers the engine's present revision; `kept` names tables that are never released."""

    def __init__(
        self,
        registry: Registry,
        tables: Tables,
        hosting: Hosting,
        emission: Emission,
        *,
        applied_seq: Callable[[], int],
        kept: Iterable[str],
    ) -> None:
        self._registry = registry
        self._tables = tables
        self._hosting = hosting
        self._emission = emission
        self._applied_seq = applied_seq
        self._kept = frozenset(kept)
        self._facts: dict[str, tuple[int, TableFacts]] = {}  # read off a row of the schema, with its seq
        self._arrays = IndexedArrays()
        self._planning_many = False
        self._templates = Templates(self.schema)
        self.tick = 0

    # --- planning ---

    def schema(self, table: str) -> TableFacts:
        """What `_00_schema` says of a table."""
        held = self._tables.held.get(SCHEMA_TABLE)
        row = held.rows.get(pack(table)) if held is not None else None
        if row is None:
            return facts_of(None)
        known = self._facts.get(table)
        if known is None or known[0] != row[1]:
            known = self._facts[table] = (row[1], facts_of(row[0]))
        arrays = self._arrays.arrays(table)
        return replace(known[1], arrays=arrays) if arrays else known[1]

    def schema_changed(self) -> None:
        """Plans are to be made anew."""
        self._templates.clear()

    def follow(self, table: str) -> bool:
        """The table is held now, or its indexes are others: whether that tells something new about it."""
        before = self._arrays.arrays(table)
        arrangement = self._tables.held.get(table)
        if arrangement is not None:
            self._arrays.follow(arrangement, dict.fromkeys(chain.from_iterable(self.schema(table).indexes)))
        return before != self._arrays.arrays(table)

    def arrays_moved(self, moved: Mapping[str, Iterable[Moved]]) -> frozenset[str]:
        """The tables about which the change tells something new."""
        return frozenset(table for table, changes in moved.items() if self._arrays.move(table, changes))

    def forget_tables(self) -> None:
        """Nothing is held any more."""
        self._arrays.clear()
        self.schema_changed()

    def rules(self, table: str) -> TableRules:
        return self.schema(table).rules

    def plan(self, view: View) -> None:
        """Plan the view, from whatever state, and host it as far as its tables are held."""
        self._become_pending(view)
        self._registry.absolve(view)
        view.error = ""
        try:
            params = unpack(view.spec.params) if view.spec.params else {}
            user = user_of(view.spec.auth)
            plan = self._templates.plan(_admitted(view.spec.surql, user is not None), params, user)
            self._hosting.check(plan)
        except Fault as fault:
            self._plan_to(view, None)
            self._break(view, str(fault))
        except PackError as error:
            self._plan_to(view, None)
            self._break(view, f"params cannot be read: {error}")
        except NotPlain as error:
            self._plan_to(view, None)
            self._break(view, f"it cannot be evaluated for a user: {error}")
        else:
            self._plan_to(view, plan)
            self.host(view)

    def _plan_to(self, view: View, plan: Plan | None) -> None:
        """Give the view a plan, and the tables that it needs; tables that nobody needs any more are let go."""
        self._registry.release(view)
        view.plan = plan
        if isinstance(plan, Incremental):
            self._registry.need(view, plan.table)
        if isinstance(plan, Incremental | Traced):
            for table in plan.tables or ():
                self._registry.need(view, table)
        if not self._planning_many:
            self._let_go()

    @contextmanager
    def planning_many(self) -> Iterator[None]:
        """Tables that one view lets go, and the next wants again, stay."""
        self._planning_many = True
        try:
            yield
        finally:
            self._planning_many = False
            self._let_go()

    def _let_go(self) -> None:
        """Forget the tables that nobody needs or reads."""
        for table in self._tables.names():
            if not (table in self._registry.users or table in self._kept or self._hosting.tracing.is_read(table)):
                self._tables.release(table)
                self._arrays.let_go(table)

    def want(self, table: str) -> bool:
        """Whether the table is held; if not it is on its way."""
        page = self._tables.want(table, self._applied_seq())
        if page is not None:
            self._emission.load(page)
        return table in self._tables.held

    def host(self, view: View) -> None:
        """Give the view its holder, if every table that it needs is held; those that are not are on their way."""
        if isinstance(view.plan, Reevaluated):
            self._host_rerun(view, view.plan)
            return
        held = [self.want(table) for table in sorted(view.needs)]  # each is asked for
        if not all(held):
            return
        for table in sorted(view.needs):
            poisoned = self._tables.held[table].poisoned
            if poisoned:
                self._poison(view, table, poisoned)
                return
        match view.plan:
            case Incremental() as plan:
                self._host_incremental(view, plan)
            case Traced() as plan:
                self._host_traced(view, plan)
            case _:
                raise AssertionError("a view is planned before it is hosted")

    def _host_incremental(self, view: View, plan: Incremental) -> None:
        holder = self._hosting.host_circuit(view.key, plan, self._tables.held[plan.table])
        if isinstance(holder, Failure):
            self.fail(view, holder)
            return
        view.holder = holder
        self._become_hydrated(view)

    def _host_traced(self, view: View, plan: Traced) -> None:
        holder = view.holder = self._hosting.host_traced(view.key, plan)
        self._traced_ran(view, holder)

    def _host_rerun(self, view: View, plan: Reevaluated) -> None:
        rerun = view.holder = self._hosting.host_rerun(view.key, plan, bytes(view.spec.params))
        if rerun.hydrated:
            self._become_hydrated(view)
        elif rerun.due(self.tick):
            self._emission.run(self._hosting.begin(rerun, self.tick))

    def _become_pending(self, view: View) -> None:
        """Without a holder; a user's view without members too, since he may not be shown them any more."""
        shown = view.state in (State.LIVE, State.LAGGING)
        self._signal(view, Signal.REPLANNED)
        self._hosting.evict(view)
        if shown:
            self.maybe_withdraw(view)

    def maybe_withdraw(self, view: View) -> bool:
        """Take back what a user's view held, until it is hydrated again."""
        if view.spec.auth:
            self.emit_hydrated(view)
        return bool(view.spec.auth)

    # --- results ---

    def _become_hydrated(self, view: View) -> None:
        self._signal(view, Signal.HYDRATED)
        view.error = ""
        self.emit_hydrated(view)

    def _signal(self, view: View, signal: Signal) -> None:
        view.signal(signal)
        self._emission.turn(view.key)

    def emit_hydrated(self, view: View) -> None:
        reading = self.reading(view)
        spec = view.spec
        self._emission.hydrate(
            ViewHydrated(
                key=view.key,
                surql=spec.surql,
                params=spec.params,
                client_id=spec.client_id,
                ttl_ms=spec.ttl_ms,
                seq=reading.seq,
                members=reading.members,
                writes=view.writes,
                registered_seq=spec.registered_seq,
            )
        )

    def reading(self, view: View) -> ViewReading:
        return ViewReading(view, self._applied_seq(), self._tables.held.get(view.table), self._hosting.source_of)

    def drop(self, key: ViewKey, *, unregistered: bool) -> None:
        view = self._registry.views.get(key)
        if view is None:
            return
        self._hosting.evict(view)
        self._registry.absolve(view)
        self._plan_to(view, None)
        del self._registry.views[key]
        self._emission.drop(ViewDropped(key, unregistered))

    # --- failures ---

    def emit(self, out: Flushed) -> None:
        """A delta; or a group that failed, or a traced result that has run."""
        match out:
            case ViewDelta():
                self._emission.delta(out)
            case Members():
                assert out.failure is not None, "a group comes as itself when it failed"
                for key in out.views:
                    self.fail(self._registry.views[key], out.failure)
            case TracedResult():
                for key in out.views:
                    self._traced_ran(self._registry.views[key], out)

    def _traced_ran(self, view: View, result: TracedResult) -> None:
        failure = result.failure
        if failure is None:
            if view.state is not State.LIVE:
                self._become_hydrated(view)
        elif failure.missing or failure.culprit is not None or (failure.not_plain and not view.spec.auth):
            self.fail(view, failure)
        else:  # it stays with its holder, which runs again when what it has read changes
            beyond = "it cannot be evaluated for a user: " if failure.not_plain else ""
            self._break(view, f"{beyond}{failure.reason}")

    def fail(self, view: View, failure: Failure) -> None:
        """The view cannot be kept as it is planned: it waits for a table, or is planned to the next way there is."""
        plan = view.plan
        assert isinstance(plan, Incremental | Traced), "a re-evaluated view fails in its runs"
        self._become_pending(view)
        if failure.missing:
            self._registry.need(view, failure.missing)
            self.host(view)
            return
        if failure.culprit is not None:
            self._break(view, failure.reason)
            self._registry.blame(view, failure.culprit)
            return
        reason = f"a record needs {failure.reason}" if failure.not_plain else failure.reason
        try:
            self._plan_to(view, demoted(plan, reason, plain=isinstance(plan, Incremental)))
        except Fault as fault:
            self._plan_to(view, None)
            self._break(view, str(fault))
            return
        self.host(view)
        if failure.key and isinstance(plan, Incremental) and view.culprit is None:  # else it waits for another already
            self._registry.blame(view, (plan.table, failure.key))

    def _break(self, view: View, reason: str) -> None:
        """Quarantine the view."""
        known = view.state is State.FAILED
        self._signal(view, Signal.BROKE)
        view.error = reason
        if not known:
            self.maybe_withdraw(view)

    def _poison(self, view: View, table: str, poisoned: Mapping[bytes, str]) -> None:
        """A table that it needs holds records that cannot be decoded; one of them is named."""
        self._hosting.evict(view)
        key = min(poisoned)
        self._break(view, f"record {table}:{shown_key(key)}: {poisoned[key]}")
        self._registry.blame(view, (table, key))

    def waiting_for(self, changes: Mapping[str, Iterable[bytes]]) -> list[View]:
        """Views that failed on one of these records, until now: to be asked before what the change itself fails."""
        return [view for table, keys in changes.items() for view in self._registry.waiting_for(table, keys)]

    def records_changed(self, changes: Mapping[str, Iterable[bytes]], waiting: Iterable[View]) -> None:
        """Views that waited for a record try again; a record that cannot be read fails the views on it."""
        for view in waiting:
            self.plan(view)
        for table in changes:
            arrangement = self._tables.held.get(table)
            if arrangement is not None and arrangement.poisoned:
                for view in self._registry.users_of(table):
                    if view.state is not State.FAILED:
                        self._poison(view, table, arrangement.poisoned)

    # --- re-evaluated views ---

    def run_ended(self, answer: QueryRan | QueryFailed) -> None:
        rerun = self._hosting.ended(answer.run)
        if rerun is None:
            return
        if isinstance(answer, QueryRan):
            rerun.ran(answer)
            self._judge(rerun)
            return
        outcome = rerun.failed(answer, self.tick)
        if outcome is not Outcome.AGAIN:
            broke = outcome is Outcome.BROKE
            for view in self._views_of(rerun):
                self._signal(view, Signal.BROKE if broke else Signal.OVERTAKEN)
                view.error = answer.reason if broke else ""

    def judge_all(self) -> None:
        """The applied seq has moved: answers that waited for it can be judged."""
        for rerun in list(self._hosting.unjudged()):
            self._judge(rerun)

    def _judge(self, rerun: Rerun) -> None:
        first = not rerun.hydrated
        judged = rerun.judge(self._applied_seq())
        if judged is None:
            self._hosting.await_verdict(rerun)
            return
        outcome, delta = judged
        if outcome is Outcome.AGAIN:
            return
        if delta is not None:
            self._emission.delta(delta)
        for view in self._views_of(rerun):
            if first or view.state is State.FAILED:
                self._become_hydrated(view)
            if outcome is Outcome.OVERTAKEN:
                self._signal(view, Signal.OVERTAKEN)
            elif view.state is State.LAGGING:
                self._signal(view, Signal.SETTLED)

    def _views_of(self, rerun: Rerun) -> list[View]:
        return [self._registry.views[key] for key in rerun.views]


@lru_cache(maxsize=1_024)
def _admitted(surql: str, as_user: bool) -> Admitted:
    """Many views have one text: it is read once."""
    return admit(surql, as_user=as_user)


def user_of(auth: bytes) -> User | None:
    """Whose eyes a view is kept with; None for a service's. Raises Fault INVALID."""
    if not auth:
        return None
    viewer = unpack_viewer(auth)
    return User(viewer["id"], auth_params(viewer))
