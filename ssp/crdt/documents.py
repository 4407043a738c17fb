"""The documents this SSP has at hand, and their writes: one at a time for each document, and for all who wait together.

    update ─▶ waiting ─▶ merged into the document ─▶ one transaction: state and value ─▶ everybody answered

While a transaction is under way, what arrives waits for the next one: group commit, so that a field's throughput is
that of merging and not of transactions. Invariant: an update is acknowledged only after a transaction that holds it has
been committed, here or by whoever wrote the state that we read. A cached document is only a hint: whatever goes wrong,
it is dropped and read anew, and the transaction compares what was read (`store.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.crdt.declared import Kind
from sp00ky.ssp.crdt.document import Ahead, Document, is_shallow
from sp00ky.ssp.crdt.limits import GROUP_MAX, WAITING_MAX, WEIGHT_BYTES, Limits, kept
from sp00ky.ssp.crdt.measures import CrdtMeasures
from sp00ky.ssp.crdt.store import Declined, Moved, Place, Store, Stored, decoded

ATTEMPTS: Final = 12  # others write the same document as well: each time one of us gets through
BACKOFF_FIRST_S: Final = 0.005
BACKOFF_MAX_S: Final = 0.25
TRANSACTIONS_MAX: Final = 32  # at the same time, over all documents

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Offer:
    """`update` None: nothing of its own, but what is stored is to be read again."""

    update: bytes | None
    peer: str
    answer: asyncio.Future[int]

    def take(self, rev: int) -> None:
        if not self.answer.done():
            self.answer.set_result(rev)

    def refuse(self, fault: Fault) -> None:
        if not self.answer.done():
            self.answer.set_exception(fault)


@dataclass(slots=True, eq=False)
class _Desk:
    """A document being worked on. `stored` is what the document was read from or written to; None: read it first."""

    place: Place
    kind: Kind
    document: Document | None = None
    stored: Stored | None = None
    waiting: list[_Offer] = field(default_factory=list)
    writer: asyncio.Task[None] | None = None
    counted: int = 0  # its weight in the sum of all

    @property
    def weight(self) -> int:
        return 1 + (self.stored.size // WEIGHT_BYTES if self.stored else 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as it is stored: `update` is a snapshot, or what somebody at the version asked for lacks."""

    rev: int
    update: bytes
    version: bytes
    value: Value


class Documents:
    """`clock`: unix seconds."""

    def __init__(
        self, store: Store, limits: Limits, measures: CrdtMeasures, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._limits, self._measures, self._clock = store, limits, measures, clock
        self._desks: OrderedDict[tuple[Place, Kind], _Desk] = OrderedDict()
        self._weight = 0
        self._transactions = asyncio.Semaphore(TRANSACTIONS_MAX)

    async def apply(self, place: Place, kind: Kind, update: bytes, peer: str) -> int:
        """Merge and write an update; its document's rev. Raises Fault INVALID, TOO_LARGE, REVISION_GONE, NOT_FOUND:
        then nothing has changed; OVERLOADED; UNAVAILABLE, TIMEOUT: then it may have been written, sending it again
        does no harm."""
        self._limits.require_update(update)
        return await self._offered(place, kind, update, peer)

    async def absorb(self, place: Place, kind: Kind) -> None:
        """Merge what clients have written into the row themselves. Raises Fault."""
        await self._offered(place, kind, None, "")

    async def read(self, place: Place, kind: Kind, version: bytes) -> Reading:
        """As stored, clients' own writes merged. `version` empty: all of it. Raises Fault INVALID, REVISION_GONE."""
        stored, states = await self._store.load(place)
        document = self._read(place, kind, stored, states)
        update = document.since(version) if version else document.snapshot()
        return Reading(stored.rev, update, document.version(), document.value())

    async def close(self) -> None:
        """Nobody is answered any more; what is under way may or may not be written."""
        writers = [desk.writer for desk in self._desks.values() if desk.writer is not None]
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)

    async def _offered(self, place: Place, kind: Kind, update: bytes | None, peer: str) -> int:
        desk = self._desk(place, kind)
        if len(desk.waiting) >= WAITING_MAX:
            raise Fault(Code.OVERLOADED, f"{len(desk.waiting)} updates of {place} wait to be written", "slow down")
        offer = _Offer(update, peer, asyncio.get_running_loop().create_future())
        desk.waiting.append(offer)
        if desk.writer is None:
            desk.writer = asyncio.create_task(self._work(desk), name=f"crdt {place}")
        return await offer.answer

    def _desk(self, place: Place, kind: Kind) -> _Desk:
        desk = self._desks.get((place, kind))
        if desk is None:
            desk = self._desks[place, kind] = _Desk(place, kind)
        self._desks.move_to_end((place, kind))
        return desk

    # --- one document's writes ---

    async def _work(self, desk: _Desk) -> None:
        try:
            while desk.waiting:
                group, desk.waiting = desk.waiting[:GROUP_MAX], desk.waiting[GROUP_MAX:]
                async with self._transactions:
                    await self._carry_out(desk, group)
        finally:
            desk.writer = None
            for offer in desk.waiting:  # only when we are ended
                offer.refuse(Fault(Code.UNAVAILABLE, "this ssp stops", "send it again"))
            self._evict(desk)

    async def _carry_out(self, desk: _Desk, group: Sequence[_Offer]) -> None:
        """Answer everybody of the group. A fault of ours is theirs to see, and costs nobody else anything."""
        try:
            await self._write(desk, group)
        except Fault as fault:
            desk.document = None
            for offer in group:
                offer.refuse(fault)
        except asyncio.CancelledError:
            for offer in group:
                offer.refuse(Fault(Code.UNAVAILABLE, "this ssp stops", "send it again"))
            raise
        except Exception:
            desk.document = None
            for offer in group:
                offer.refuse(Fault(Code.INTERNAL, f"{desk.place} could not be merged"))
            log.exception("collaborative field %s", desk.place)

    async def _write(self, desk: _Desk, group: Sequence[_Offer]) -> None:
        """Raises Fault if the group as a whole cannot be written."""
        for attempt in range(ATTEMPTS):
            reread = desk.document is None or any(offer.update is None for offer in group)
            document, stored = await self._at_hand(desk, reread=reread)
            begun = time.perf_counter()
            try:
                merged = [offer for offer in group if self._merge(document, offer, newest=reread)]
            except Ahead:
                desk.document = None  # of what another SSP has written since
                continue
            self._measures.merge_seconds.observe(time.perf_counter() - begun)
            try:
                if document.moved or stored.pushed:
                    peer = next((offer.peer for offer in reversed(merged) if offer.peer), "")
                    stored = desk.stored = await self._save(desk, document, stored, peer)
            except Moved:
                self._measures.conflicts += 1
                desk.document = None
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2**attempt))
                continue
            except (Declined, _TooLarge) as refusal:
                document.forget_unsaved()
                if len(merged) > 1:  # by each one's own fault alone
                    for offer in merged:
                        await self._carry_out(desk, [offer])
                    return
                raise refusal.args[0] if isinstance(refusal, _TooLarge) else refusal from None
            self._measures.applied += sum(offer.update is not None for offer in merged)
            for offer in merged:
                offer.take(stored.rev)
            return
        raise Fault(Code.UNAVAILABLE, f"{desk.place} is written by too many at once", "send it again")

    async def _at_hand(self, desk: _Desk, *, reread: bool) -> tuple[Document, Stored]:
        if desk.document is None or desk.stored is None or reread:
            desk.stored, states = await self._store.load(desk.place)
            desk.document = self._read(desk.place, desk.kind, desk.stored, states)
            self._measures.loads += 1
        return desk.document, desk.stored

    def _read(self, place: Place, kind: Kind, stored: Stored, states: Sequence[str]) -> Document:
        """The document of a row, and of what clients have overwritten in it. What a client has written that cannot be
        read is passed over; what only the mesh has written must be readable. Raises Fault CONFLICT, DATA_LOSS."""
        if stored.kind and stored.kind != kind:
            hint = "a field keeps its kind; delete its row of _00_crdt to start anew"
            raise Fault(Code.CONFLICT, f"{place} is a {stored.kind}, but declared as {kind}", hint)
        document = Document(place.field, kind, self._limits.document_bytes_max)
        whole: list[bytes] = []
        for text in states:
            try:
                state = decoded(text)
                whole.insert(0 if is_shallow(state) else len(whole), state)
            except Fault as fault:
                self._pass_over(place, stored, fault)
        for state in whole:
            try:
                document.merge(state)
            except Fault as fault:
                self._pass_over(place, stored, fault)
        if not stored.pushed and whole:
            document.saved_as(whole[0])
        return document

    def _pass_over(self, place: Place, stored: Stored, fault: Fault) -> None:
        if not stored.pushed:
            raise Fault(Code.DATA_LOSS, f"the state of {place} cannot be read: {fault.message}") from None
        self._measures.rejected("pushed")
        log.warning("a client's state of %s is passed over: %s", place, fault)

    @staticmethod
    def _merge(document: Document, offer: _Offer, *, newest: bool) -> bool:
        """Whether it is in the document, from now on or since long; else it has been refused. Raises Ahead where the
        document is not the newest."""
        try:
            if offer.update is not None:
                document.merge(offer.update)
        except Ahead as fault:
            if not newest:
                raise
            offer.refuse(fault)
            return False
        except Fault as fault:
            offer.refuse(fault)
            return False
        return True

    async def _save(self, desk: _Desk, document: Document, was: Stored, peer: str) -> Stored:
        state, mark, dropped = kept(document, was.mark, self._limits, self._clock())
        try:
            self._limits.require_state(state)
        except Fault as fault:
            raise _TooLarge(fault) from None
        value = document.value()
        stored = await self._store.save(desk.place, was, state=state, kind=desk.kind, value=value, peer=peer, mark=mark)
        self._measures.writes += 1
        document.saved_as(state)
        if dropped:
            desk.document = None
        return stored

    # --- how many are kept ---

    def _evict(self, changed: _Desk) -> None:
        """Drop the documents used least recently, until all together weigh no more than is allowed; none that is being
        worked on."""
        self._weight += changed.weight - changed.counted
        changed.counted = changed.weight
        if self._weight <= self._limits.documents_max:
            return
        for place, desk in list(self._desks.items()):
            if self._weight <= self._limits.documents_max:
                break
            if desk.writer is None and not desk.waiting:
                self._weight -= desk.counted
                del self._desks[place]
                self._measures.evictions += 1

    def __len__(self) -> int:
        return len(self._desks)


class _TooLarge(Exception):
    """The group together makes the document too large: its one argument is the fault."""
