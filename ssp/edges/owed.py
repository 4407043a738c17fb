"""What this SSP owes the edges, and in which order it is paid. Pure: `writer.py` carries the steps out.

    flush = owed.flush()
    step = next(flush)                      a Step: one transaction, or one read
    step = flush.send(answer)               … until StopIteration
    step = flush.throw(Refused(why))        the database refuses this step, and always will
    flush.throw(anything else)              it could not be done: the flush ends there, and nothing is lost

Order within a flush: claim our own owner row (once an incarnation) · raise the epochs of lost owners · forget views
that were unregistered · reconcile views that were hydrated here (read the stored edges, keep the difference) · write
what is pending, views that owe more than one transaction takes at the end. No stored edge is read before every fence
told until then is up.

Where one view takes several transactions, to be written or removed, the others are paid what they owe by then in
between: whoever owes little does not wait for whoever owes much.

An SSP may load at a revision that is older than its incarnation, since others load there too, and than what it wrote
under the one before. Until it has applied its own joining, nothing but claim and fences is paid: no view goes back.

A view is *muted* while another SSP writes its edges: before a living owner has released it to us, and after we have
handed it over. What was owed before the hand-over is still paid.

Guarantees: a flush that fails loses nothing (it is folded back under what came since); `written_seq` never passes a
change whose edges are not in, nor an entry whose fences are not up, nor anything at all before the claim; a step that
is refused for a reason of its own is narrowed down by halves and its view quarantined.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.ssp.edges.outbox import EDGES_PER_TRANSACTION_MAX, PendingEdges, batches, difference, halves
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import ViewDelta, ViewDropped, ViewHydrated


@dataclass(frozen=True, slots=True)
class Claim:
    """Make our incarnation the epoch of our owner row; refused if a later one is there."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Raise the epoch of a lost owner's row to at least `epoch`."""

    ssp_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove everything that is stored about a view, and answer how many edges that were: if as many as one transaction
    takes, there may be more, and the view's own rows are still there."""

    key: ViewKey


@dataclass(frozen=True, slots=True)
class Register:
    """Write the view's own row, and make ready the table of its edges. Answer how many edges were removed that lay in
    another table, as `Forget` does."""

    hydrated: ViewHydrated


@dataclass(frozen=True, slots=True)
class ReadStored:
    """Answer the view's stored edges: edge → version."""

    key: ViewKey


@dataclass(frozen=True, slots=True)
class Write:
    """Write these edges, and what is known of their views, in one transaction."""

    seq: int
    batch: Mapping[ViewKey, PendingEdges]
    clients: Mapping[ViewKey, str]


Step: TypeAlias = Claim | Fence | Forget | Register | ReadStored | Write
Stored: TypeAlias = Mapping[str, int]
Answer: TypeAlias = Stored | int | None
Flush: TypeAlias = Generator[Step, Answer, None]
_Part: TypeAlias = Generator[Step, Answer, None]


class Refused(Exception):
    """The database refuses a step for a reason of the step's own: trying again is useless."""


class Superseded(Exception):
    """The SSP has begun under another incarnation since the flush began."""


class Owed:
    """The edges of one SSP, under one incarnation at a time."""

    def __init__(self, ssp_id: str) -> None:
        self.ssp_id = ssp_id
        self.incarnation = 0
        self.written_seq = 0
        self.quarantined: dict[ViewKey, str] = {}
        self.edges_written = 0
        self._applied_seq = 0
        self._claimed = self._flushing = False
        self._fences: dict[str, int] = {}
        self._forgotten: dict[ViewKey, None] = {}
        self._hydrated: dict[ViewKey, ViewHydrated] = {}
        self._pending: dict[ViewKey, PendingEdges] = {}
        self._clients: dict[ViewKey, str] = {}
        self._muted: set[ViewKey] = set()
        self._paying = ViewKey("")  # the view that is paid by several transactions

    # --- told in the engine's order: fences, drops, hydrations, deltas, cessions, applied ---

    def begin(self, incarnation: int) -> None:
        """Start over under a new incarnation (0: under none): everything owed was the old one's."""
        self.incarnation = incarnation
        self.written_seq = self._applied_seq = 0
        self._claimed = False
        self._fences, self._forgotten, self._hydrated = {}, {}, {}
        self._pending, self._clients, self._muted = {}, {}, set()
        self.quarantined = {}

    def fence(self, former: Mapping[str, int]) -> None:
        """These SSPs, each below its epoch, may write no more."""
        for ssp_id, epoch in former.items():
            if ssp_id != self.ssp_id:  # our own claim has fenced what we were before
                self._fences[ssp_id] = max(epoch, self._fences.get(ssp_id, 0))

    def hydrate(self, hydrated: ViewHydrated) -> None:
        key = hydrated.key
        if not hydrated.writes:
            self._muted.add(key)
            return
        self._muted.discard(key)
        self._hydrated[key] = hydrated
        self._pending.pop(key, None)
        self._forgotten.pop(key, None)
        self.quarantined.pop(key, None)
        self._clients[key] = hydrated.client_id

    def fold(self, delta: ViewDelta) -> None:
        for key in delta.views:
            if key in self._muted or key in self.quarantined:
                continue
            pending = self._pending.get(key)
            if pending is None:
                pending = self._pending[key] = PendingEdges()
            pending.fold(key, delta)

    def cease(self, key: ViewKey) -> None:
        """Another SSP owns the view from here on: what is owed until now is paid, and no more."""
        self._muted.add(key)

    def drop(self, dropped: ViewDropped) -> None:
        key = dropped.key
        self._pending.pop(key, None)
        self._hydrated.pop(key, None)
        self._clients.pop(key, None)
        self._muted.discard(key)
        self.quarantined.pop(key, None)
        if dropped.unregistered:
            self._forgotten[key] = None

    def applied_to(self, seq: int) -> None:
        """Everything up to `seq` has been told (or changed no edge)."""
        self._applied_seq = seq
        if not self.busy:
            self.written_seq = max(self.written_seq, seq)

    # --- read side ---

    def is_settled(self, key: ViewKey) -> bool:
        """The view's edges are ours to write, and all that it owed of them is stored."""
        owes = key in self._hydrated or key in self._pending or key in self.quarantined or key in self._muted
        return self._claimed and not self._flushing and key in self._clients and not owes

    @property
    def busy(self) -> bool:
        """Something is to be written, or being written."""
        return bool(not self._claimed or self._flushing or self._fences or self._forgotten or self._hydrated
                    or self._pending)  # fmt: skip

    @property
    def pending_edges(self) -> int:
        return sum(len(edges) for edges in self._pending.values())

    # --- a flush ---

    def flush(self) -> Flush:
        """The steps that pay everything owed now. One flush at a time. Raises Superseded, and what was thrown in."""
        incarnation, seq = self.incarnation, self._applied_seq
        self._flushing = True
        try:
            if not self._claimed:
                yield from self._step(Claim(), incarnation)
                self._claimed = True
            yield from self._fence(incarnation)
            if seq < incarnation:
                return  # applying what comes wakes the writer again
            yield from self._forget(incarnation)
            yield from self._reconcile(incarnation)
            yield from self._write_pending(incarnation)
        finally:
            self._flushing = False
        if not self._hydrated:
            self.written_seq = max(self.written_seq, seq)

    def _step(self, step: Step, incarnation: int) -> Generator[Step, Answer, Answer]:
        answer = yield step
        if self.incarnation != incarnation:
            raise Superseded
        return answer

    def _fence(self, incarnation: int) -> _Part:
        while self._fences:
            ssp_id, epoch = next(iter(self._fences.items()))
            yield from self._step(Fence(ssp_id, epoch), incarnation)
            if self._fences[ssp_id] == epoch:  # else a later one was told meanwhile
                del self._fences[ssp_id]

    def _forget(self, incarnation: int) -> _Part:
        for key in list(self._forgotten):
            try:
                yield from self._whole(Forget(key), incarnation)
            except Refused as refused:
                self.quarantined[key] = f"it cannot be removed: {refused}"
            self._forgotten.pop(key, None)

    def _whole(self, step: Forget | Register, incarnation: int) -> _Part:
        """The step, as often as there is more for it to remove."""
        while (yield from self._step(step, incarnation)) == EDGES_PER_TRANSACTION_MAX:
            yield from self._write_little(incarnation)

    def _reconcile(self, incarnation: int) -> _Part:
        for key, hydrated in list(self._hydrated.items()):
            yield from self._fence(incarnation)
            try:
                yield from self._whole(Register(hydrated), incarnation)
                stored = yield from self._step(ReadStored(key), incarnation)
            except Refused as refused:
                if self._hydrated.get(key) is hydrated:
                    self._quarantine(key, f"it cannot be registered: {refused}")
                continue
            if self._hydrated.get(key) is not hydrated:
                continue  # dropped or hydrated anew while we read
            assert isinstance(stored, Mapping), "a read is answered"
            edges = difference(key, hydrated.members, stored)
            later = self._pending.get(key)
            self._pending[key] = edges.then(later) if later is not None else edges
            del self._hydrated[key]

    def _write_pending(self, incarnation: int) -> _Part:
        much = [key for key, edges in self._pending.items() if len(edges) > EDGES_PER_TRANSACTION_MAX]
        yield from self._write_little(incarnation)
        for key in much:
            yield from self._write_much(incarnation, key)

    def _write_little(self, incarnation: int) -> _Part:
        """What views owe that owe one transaction's worth at most."""
        pending = {
            key: edges
            for key, edges in self._pending.items()
            if len(edges) <= EDGES_PER_TRANSACTION_MAX and self._may_take(key)
        }
        for key in pending:
            del self._pending[key]
        try:
            for batch in batches(pending):
                yield from self._write(incarnation, batch)
                for key in batch:
                    del pending[key]
        except BaseException:
            if self.incarnation == incarnation:
                self._restore(pending)
            raise

    def _write_much(self, incarnation: int, key: ViewKey) -> _Part:
        """What one view owes by now, part by part; its later deltas wait for the last."""
        if key not in self._pending or not self._may_take(key):
            return
        self._paying = key
        parts = self._pending.pop(key).split(EDGES_PER_TRANSACTION_MAX)
        try:
            while parts:
                yield from self._write(incarnation, {key: parts[0]})
                del parts[0]
                if key in self.quarantined or key in self._hydrated or key not in self._clients:
                    break  # void, or to be reconciled from scratch
                yield from self._write_little(incarnation)
        except BaseException:
            if self.incarnation == incarnation:
                for part in reversed(parts):
                    self._restore({key: part})
            raise
        finally:
            self._paying = ViewKey("")

    def _write(self, incarnation: int, batch: dict[ViewKey, PendingEdges]) -> _Part:
        clients = {key: self._clients.get(key, "") for key in batch}
        try:
            yield from self._step(Write(self._applied_seq, batch, clients), incarnation)
        except Refused as refused:
            if len(batch) == 1:
                self._quarantine(next(iter(batch)), f"its edges cannot be written: {refused}")
                return
            for half in halves(batch):
                yield from self._write(incarnation, half)
            return
        self.edges_written += sum(len(edges) for edges in batch.values())

    def _may_take(self, key: ViewKey) -> bool:
        """A view hydrated since the reconciling began keeps its deltas back: they follow the difference between its
        members and the edges stored before them. So does one whose earlier deltas are being written."""
        return key not in self._hydrated and key != self._paying

    def _restore(self, pending: Mapping[ViewKey, PendingEdges]) -> None:
        for key, edges in pending.items():
            if key in self._hydrated or key not in self._clients:
                continue  # reconciled from scratch, or dropped, meanwhile
            edges.fresh.clear()  # it may have been carried out
            later = self._pending.get(key)
            self._pending[key] = edges.then(later) if later is not None else edges

    def _quarantine(self, key: ViewKey, reason: str) -> None:
        self._hydrated.pop(key, None)
        self._pending.pop(key, None)
        self.quarantined[key] = reason
