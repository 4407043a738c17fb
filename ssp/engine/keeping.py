"""What becomes of a view: planned, hosted when its table is held, hydrated, judged, quarantined, dropped.

Every change of a view's state goes through `View.signal` here, and every ViewHydrated and ViewDropped comes from here.
A view that fails takes nobody with it: it leaves its holder, keeps its error, and is planned again when the record it
failed on, the schema of its table, or its specification changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql.admit import Admitted, admit
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.values.text import to_surql
from sp00ky.ssp.circuit.members import Failure, Members
from sp00ky.ssp.engine.emission import Emission
from sp00ky.ssp.engine.events import QueryFailed, QueryRan, ViewKey
from sp00ky.ssp.engine.hosting import Hosting
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped, ViewHydrated
from sp00ky.ssp.engine.tables import Tables
from sp00ky.ssp.engine.transactions import SCHEMA_TABLE
from sp00ky.ssp.plan.build import TableFacts, build, demoted
from sp00ky.ssp.plan.nodes import Incremental, Plan, Reevaluated
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
        self.tick = 0

    # --- planning ---

    def schema(self, table: str) -> TableFacts:
        """What `_00_schema` says of a table; nothing special if it says nothing."""
        held = self._tables.held.get(SCHEMA_TABLE)
        row = held.rows.get(pack(table)) if held is not None else None
        if row is None:
            return TableFacts()
        return TableFacts(*(row[0].get(name) is True for name in ("computed", "derived", "indexed")))

    def plan(self, view: View) -> None:
        """Plan the view, from whatever state, and host it as far as its table is held."""
        view.signal(Signal.REPLANNED)
        self._hosting.evict(view)
        self._registry.absolve(view)
        view.error = ""
        try:
            params = unpack(view.spec.params) if view.spec.params else {}
            self._plan_to(view, build(_admitted(view.spec.surql), params, self.schema))
        except Fault as fault:
            self._plan_to(view, None)
            self.fail(view, Failure(b"", str(fault), not_plain=False))
        except PackError as error:
            self._plan_to(view, None)
            self.fail(view, Failure(b"", f"params cannot be read: {error}", not_plain=False))
        else:
            self.host(view)

    def _plan_to(self, view: View, plan: Plan | None) -> None:
        unused = self._registry.plan_to(view, plan)
        if unused and unused not in self._kept:
            self._tables.release(unused)

    def want(self, table: str) -> bool:
        """Whether the table is held; if not it is on its way."""
        page = self._tables.want(table, self._applied_seq())
        if page is not None:
            self._emission.load(page)
        return table in self._tables.held

    def host(self, view: View) -> None:
        match view.plan:
            case Incremental() as plan:
                self._host_incremental(view, plan)
            case Reevaluated() as plan:
                self._host_rerun(view, plan)
            case None:
                raise AssertionError("a view is planned before it is hosted")

    def _host_incremental(self, view: View, plan: Incremental) -> None:
        if not self.want(plan.table):
            return
        arrangement = self._tables.held[plan.table]
        if arrangement.poisoned:
            self.fail(view, poisoning(arrangement.poisoned))
            return
        holder = self._hosting.host_circuit(view.key, plan, arrangement)
        if isinstance(holder, Failure):
            self.fail(view, holder)
            return
        view.holder = holder
        self._become_hydrated(view)

    def _host_rerun(self, view: View, plan: Reevaluated) -> None:
        rerun = view.holder = self._hosting.host_rerun(view.key, plan, bytes(view.spec.params))
        if rerun.hydrated:
            self._become_hydrated(view)
        elif rerun.due(self.tick):
            self._emission.run(self._hosting.begin(rerun, self.tick))

    # --- results ---

    def _become_hydrated(self, view: View) -> None:
        view.signal(Signal.HYDRATED)
        view.error = ""
        self.emit_hydrated(view)

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
                from_ssp_id=view.from_ssp_id,
                assigned_seq=view.assigned_seq,
            )
        )

    def reading(self, view: View) -> ViewReading:
        return ViewReading(view, self._applied_seq(), self._tables.held.get(view.table))

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

    def emit(self, out: ViewDelta | Members) -> None:
        """A group's delta; or the group, when it failed."""
        if isinstance(out, ViewDelta):
            self._emission.delta(out)
            return
        assert out.failure is not None
        for key in out.views:
            self.fail(self._registry.views[key], out.failure)

    def fail(self, view: View, failure: Failure) -> None:
        """Quarantine the view; one that only we cannot evaluate is given to SurrealDB instead."""
        self._hosting.evict(view)
        plan = view.plan
        if failure.not_plain and isinstance(plan, Incremental):
            view.signal(Signal.REPLANNED)
            self._plan_to(view, demoted(plan, f"a record needs {failure.reason}"))
            self.host(view)
            return
        view.signal(Signal.BROKE)
        view.error = failure.reason
        if failure.key and isinstance(plan, Incremental):
            view.error = f"record {plan.table}:{_shown(failure.key)}: {failure.reason}"
            self._registry.blame(view, (plan.table, failure.key))

    def records_changed(self, changes: Mapping[str, Iterable[bytes]]) -> None:
        """Views that failed on one of these records try again; a record that cannot be read fails the views on it."""
        for table, keys in changes.items():
            for view in list(self._registry.waiting_for(table, keys)):
                self.plan(view)
            arrangement = self._tables.held.get(table)
            if arrangement is not None and arrangement.poisoned:
                for view in self._registry.users_of(table):
                    if view.state is not State.FAILED:
                        self.fail(view, poisoning(arrangement.poisoned))

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
                view.signal(Signal.BROKE if broke else Signal.OVERTAKEN)
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
                view.signal(Signal.OVERTAKEN)
            elif view.state is State.LAGGING:
                view.signal(Signal.SETTLED)

    def _views_of(self, rerun: Rerun) -> list[View]:
        return [self._registry.views[key] for key in rerun.views]


@lru_cache(maxsize=1_024)
def _admitted(surql: str) -> Admitted:
    """Many views have one text: it is read once."""
    return admit(surql)


def poisoning(poisoned: Mapping[bytes, str]) -> Failure:
    """A table with records that cannot be decoded: named by one of them."""
    key = min(poisoned)
    return Failure(key, poisoned[key], not_plain=False)


def _shown(key: bytes) -> str:
    try:
        value: Value = unpack(key)
        return to_surql(value)
    except (PackError, ValueError, TypeError):
        return key.hex()
