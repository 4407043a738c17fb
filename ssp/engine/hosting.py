"""Who keeps a view's result: circuits by shape, traced results by text, params and user, reruns by text and params.

Giving a view its holder subscribes it; `evict` takes it back and forgets what nobody holds any more. Invariant: a
circuit has a group, a group has a view, a rerun has a view; a circuit's table is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from sp00ky.proto.values.pack import PackError, pack
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.rules import TableRules
from sp00ky.proto.whole.scope import Source
from sp00ky.ssp.circuit.arrangement import Arrangement, NetChange
from sp00ky.ssp.circuit.circuit import Circuit
from sp00ky.ssp.circuit.members import Failure, Members, failure_of
from sp00ky.ssp.circuit.pipeline import BadWindow
from sp00ky.ssp.circuit.traced import TracedResult
from sp00ky.ssp.circuit.tracing import Tracing
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import RunQuery, ViewDelta
from sp00ky.ssp.plan.nodes import Incremental, Plan, Reevaluated, Traced
from sp00ky.ssp.views.reevaluated import Rerun
from sp00ky.ssp.views.registry import View

Outcome: TypeAlias = ViewDelta | Members | TracedResult


class Hosting:
    """All circuits and reruns of an SSP. `rerun_ticks_min` spaces the runs of one query; `rules` answers a table's
    permissions."""

    def __init__(self, rerun_ticks_min: int, tracing: Tracing, rules: Callable[[str], TableRules]) -> None:
        self.tracing = tracing
        self._rules = rules
        self.circuits: dict[str, Circuit] = {}
        self.traced: dict[object, TracedResult] = {}
        self.reruns: dict[tuple[str, bytes], Rerun] = {}
        self._rerun_ticks_min = rerun_ticks_min
        self._circuits_on: dict[str, list[Circuit]] = {}
        self._hosts: dict[int, Circuit] = {}  # id of a group → its circuit
        self._readers: dict[str | None, list[Rerun]] = {}  # None: may read any table
        self._run = 0
        self._runs: dict[int, Rerun] = {}  # under way
        self._answered: dict[int, Rerun] = {}  # ran, not yet judged

    def clear(self) -> None:
        """Forget all; answers to runs under way will be ignored."""
        self.tracing.clear()
        for held in (self.circuits, self.traced, self.reruns, self._circuits_on, self._hosts, self._readers):
            held.clear()
        self._runs.clear()
        self._answered.clear()

    # --- incremental ---

    def host_circuit(self, view: ViewKey, plan: Incremental, arrangement: Arrangement) -> Members | Failure:
        """The group of the plan, with the view among its views; or why it cannot be kept."""
        circuit = self.circuits.get(plan.shape)
        if circuit is None:
            circuit = self.circuits[plan.shape] = Circuit(plan, arrangement, self.tracing, self.source_of(plan))
            self._circuits_on.setdefault(plan.table, []).append(circuit)
        try:
            group = circuit.group(plan.binding)
        except BadWindow as error:
            self._maybe_close(circuit)
            return Failure(b"", str(error), not_plain=False)
        except PackError as error:
            self._maybe_close(circuit)
            return failure_of(b"", error)
        if group.failure is not None:
            self._maybe_close(circuit)
            return group.failure
        group.subscribe(view)
        self._hosts[id(group)] = circuit
        return group

    def source_of(self, plan: Incremental | Traced) -> Source:
        """The held tables, as far as the plan's user may see them. Rules see the parameters of the query as well."""
        if plan.user is None or (isinstance(plan, Incremental) and not plan.restricted):
            return self.tracing.source
        return self._permitted(plan)

    def _permitted(self, plan: Incremental | Traced) -> Permitted:
        return Permitted(self.tracing.source, self._rules, plan.params)

    def check(self, plan: Plan) -> None:
        """Raises NotPlain for a user's query that SurrealDB answers otherwise than by what its rules let him see."""
        if not isinstance(plan, Reevaluated) and plan.user is not None:
            permitted = self._permitted(plan)
            permitted.check_query(plan.select)
            if isinstance(plan, Incremental):
                permitted.hides(plan.table)  # asks the table's rules whether they can be kept

    def flush(self, tables: Iterable[str], seq: int) -> Iterator[Outcome]:
        """What a batch made of the circuits on these tables, and of whatever it woke; a group that failed comes as
        itself, and so does a traced result that has run."""
        awake = self.tracing.awake()
        for node in awake:
            try:
                node.settle()
            except Exception as error:
                if isinstance(node, Circuit):
                    node.break_on(b"", error)
        circuits = [circuit for table in tables for circuit in self._circuits_on.get(table, ())]
        circuits += [node for node in awake if isinstance(node, Circuit) and node.table not in tables]
        for circuit in circuits:
            try:
                yield from circuit.flush(seq)
            except Exception as error:  # nothing that one shape does may end the step of the others
                yield from circuit.fail_all(error)
        for node in awake:
            if isinstance(node, TracedResult):
                delta = node.flush(seq)
                if delta is not None:
                    yield delta
                yield node

    def host_traced(self, view: ViewKey, plan: Traced) -> TracedResult:
        """The traced result of the query, params and user, with the view among its views."""
        key = _key_of(plan)
        result = self.traced.get(key)
        if result is None:
            result = self.traced[key] = TracedResult(plan, key, self.tracing, self.source_of(plan))
            result.flush(0)
        result.subscribe(view)
        return result

    def traced_of(self, plan: Traced) -> TracedResult | None:
        return self.traced.get(_key_of(plan))

    def _maybe_close(self, circuit: Circuit) -> bool:
        if circuit.groups:
            return False
        circuit.close()
        del self.circuits[circuit.shape]
        beside = self._circuits_on[circuit.table]
        beside.remove(circuit)
        if not beside:
            del self._circuits_on[circuit.table]
        return True

    # --- re-evaluated ---

    def host_rerun(self, view: ViewKey, plan: Reevaluated, params: bytes) -> Rerun:
        """The rerun of the text and params, with the view among its views."""
        rerun = self.reruns.get((plan.text, params))
        if rerun is None:
            rerun = self.reruns[plan.text, params] = Rerun(plan, params)
            for table in (None,) if plan.tables is None else plan.tables:
                self._readers.setdefault(table, []).append(rerun)
        rerun.subscribe(view)
        return rerun

    def touch(
        self,
        spans: Mapping[str, tuple[int, int]],
        applied_before: int,
        tables: Mapping[str, Mapping[bytes, NetChange]] | None = None,
    ) -> None:
        """Tables changed within these seqs, in these records: what reads them is no longer current."""
        for table, (first, last) in spans.items():
            readers = (*self._readers.get(table, ()), *self._readers.get(None, ()))
            if readers:
                changes = (tables or {}).get(table, {})
                changed = {(table, key): seq for key, (_, seq) in changes.items()}
                for rerun in readers:
                    rerun.touch(first, last, applied_before, changed)

    def begin(self, rerun: Rerun, tick: int) -> RunQuery:
        self._run += 1
        self._runs[self._run] = rerun
        return rerun.begin(self._run, tick, self._rerun_ticks_min)

    def begin_due(self, tick: int) -> list[RunQuery]:
        return [self.begin(rerun, tick) for rerun in self.reruns.values() if rerun.due(tick)]

    def ended(self, run: int) -> Rerun | None:
        """Whose run it was; None if nobody waits for it any more."""
        return self._runs.pop(run, None)

    def await_verdict(self, rerun: Rerun) -> None:
        self._answered[id(rerun)] = rerun

    def unjudged(self) -> Iterator[Rerun]:
        """Reruns whose answer waits to be judged; those still unjudged must be awaited again."""
        answered, self._answered = self._answered, {}
        yield from answered.values()

    # --- both ---

    def evict(self, view: View) -> None:
        """Take the view from its holder; what nobody holds is forgotten."""
        holder, view.holder = view.holder, None
        if holder is None:
            return
        holder.unsubscribe(view.key)
        if holder.views:
            return
        if isinstance(holder, Rerun):
            self._forget_rerun(holder)
            return
        if isinstance(holder, TracedResult):
            holder.close()
            del self.traced[holder.key]
            return
        circuit = self._hosts.pop(id(holder))
        circuit.discard(holder)
        self._maybe_close(circuit)

    def _forget_rerun(self, rerun: Rerun) -> None:
        del self.reruns[rerun.plan.text, rerun.params]
        self._runs.pop(rerun.run, None)
        self._answered.pop(id(rerun), None)
        for table in (None,) if rerun.plan.tables is None else rerun.plan.tables:
            readers = self._readers[table]
            readers.remove(rerun)
            if not readers:
                del self._readers[table]


def _key_of(plan: Traced) -> object:
    return plan.text, pack(dict(plan.params)), None if plan.user is None else pack(dict(plan.user.params))
