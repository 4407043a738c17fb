"""Who keeps a view's result: circuits by shape, reruns by text and params.

Giving a view its holder subscribes it; `evict` takes it back and forgets what nobody holds any more. Invariant: a
circuit has a group, a group has a view, a rerun has a view; a circuit's table is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sp00ky.ssp.circuit.arrangement import Arrangement, NetChange
from sp00ky.ssp.circuit.circuit import BadWindow, Circuit
from sp00ky.ssp.circuit.members import Failure, Members
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import RunQuery, ViewDelta
from sp00ky.ssp.plan.nodes import Incremental, Reevaluated
from sp00ky.ssp.views.reevaluated import Rerun
from sp00ky.ssp.views.registry import View


class Hosting:
    """All circuits and reruns of an SSP. `rerun_ticks_min` spaces the runs of one query."""

    def __init__(self, rerun_ticks_min: int) -> None:
        self.circuits: dict[str, Circuit] = {}
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
        for held in (self.circuits, self.reruns, self._circuits_on, self._hosts, self._readers):
            held.clear()
        self._runs.clear()
        self._answered.clear()

    # --- incremental ---

    def host_circuit(self, view: ViewKey, plan: Incremental, arrangement: Arrangement) -> Members | Failure:
        """The group of the plan, with the view among its views; or why it cannot be kept."""
        circuit = self.circuits.get(plan.shape)
        if circuit is None:
            circuit = self.circuits[plan.shape] = Circuit(plan.shape, plan.root, arrangement)
            self._circuits_on.setdefault(plan.table, []).append(circuit)
        try:
            group = circuit.group(plan.binding)
        except BadWindow as error:
            self._maybe_close(circuit)
            return Failure(b"", str(error), not_plain=False)
        if group.failure is not None:
            self._maybe_close(circuit)
            return group.failure
        group.subscribe(view)
        self._hosts[id(group)] = circuit
        return group

    def flush(self, tables: Iterable[str], seq: int) -> list[ViewDelta | Members]:
        """What the circuits on these tables made of a batch; a failed group comes as itself."""
        return [out for table in tables for circuit in self._circuits_on.get(table, ()) for out in circuit.flush(seq)]

    def _maybe_close(self, circuit: Circuit) -> bool:
        if circuit.groups:
            return False
        circuit.close()
        del self.circuits[circuit.shape]
        beside = self._circuits_on[circuit.pipeline.table]
        beside.remove(circuit)
        if not beside:
            del self._circuits_on[circuit.pipeline.table]
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
