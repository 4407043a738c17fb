"""From the durable log to the SSPs: a ring of recent entries, and one session for each stream.

Nothing is buffered for an SSP. Each session is a cursor (kept in the coordinator's `Progress`); frames are cut from the
ring, or from the log when the cursor is behind the ring, and a frame cut for one SSP serves all at the same cursor. A
slow SSP costs nothing but its own lag: it runs out of credit, its cursor stays, the ring moves on, the log remains.

Invariant: the ring holds exactly the entries `lowest … last`, gapless, all durable; a frame begins at cursor + 1, ends
at a `txn_last` unless its transaction alone is larger than a frame.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.datastore.datastore import Datastore

FRAME_ENTRIES_MAX = 1_024
FRAME_BYTES_MAX = 4 * 1024 * 1024
RING_ENTRIES_MAX = 65_536
RING_BYTES_MAX = 64 * 1024 * 1024
FRAMES_CACHED_MAX = 16
PAGE_ROWS_MAX = 5_000
PAGE_BYTES_MAX = 4 * 1024 * 1024
LOADS_QUEUED_MAX = 10_000
CHECKPOINT_SECONDS = 1.0
_ENTRY_OVERHEAD_BYTES = 64


class Frame(NamedTuple):
    entries: replication_pb2.Entries
    last_seq: Seq


class Ring:
    def __init__(self, store: Datastore, entries_max: int = RING_ENTRIES_MAX, bytes_max: int = RING_BYTES_MAX) -> None:
        self._store = store
        self._entries: dict[int, common_pb2.Entry] = {}
        self._lowest = store.head_seq + 1
        self._bytes = 0
        self._entries_max, self._bytes_max = entries_max, bytes_max
        self._frames: OrderedDict[int, Frame] = OrderedDict()

    def extend(self, entries: Sequence[common_pb2.Entry]) -> None:
        """Take entries that have just become durable; they follow the last ones."""
        ring = self._entries
        for entry in entries:
            ring[entry.seq] = entry
            self._bytes += _entry_bytes(entry)
        while len(ring) > self._entries_max or (self._bytes > self._bytes_max and len(ring) > 1):
            self._bytes -= _entry_bytes(ring.pop(self._lowest))
            self._lowest += 1

    def frame(self, after: Seq, durable_seq: Seq) -> Frame:
        """The next frame after a cursor below `durable_seq`. Raises Fault REVISION_GONE when the log was trimmed."""
        cached = self._frames.get(after)
        if cached is not None:
            return cached
        entries = self._recent(after, durable_seq) if after + 1 >= self._lowest else self._logged(after, durable_seq)
        cut = _frame_length(entries)
        frame = Frame(replication_pb2.Entries(entries=entries[:cut]), Seq(entries[cut - 1].seq))
        self._frames[after] = frame
        if len(self._frames) > FRAMES_CACHED_MAX:
            self._frames.popitem(last=False)
        return frame

    def _recent(self, after: Seq, durable_seq: Seq) -> Sequence[common_pb2.Entry]:
        last = min(after + FRAME_ENTRIES_MAX, durable_seq)
        return [self._entries[seq] for seq in range(after + 1, last + 1)]

    def _logged(self, after: Seq, durable_seq: Seq) -> Sequence[common_pb2.Entry]:
        raw = self._store.log(after, min(FRAME_ENTRIES_MAX, durable_seq - after))
        if not raw:
            raise Fault(Code.REVISION_GONE, f"log holds no entry after seq {after}", "bootstrap again")
        return [common_pb2.Entry.FromString(data) for data in raw]


def _entry_bytes(entry: common_pb2.Entry) -> int:
    return len(entry.change.packed) + len(entry.change.key) + _ENTRY_OVERHEAD_BYTES


def _frame_length(entries: Sequence[common_pb2.Entry]) -> int:
    """How many of these entries make one frame: as many whole transactions as fit, else as many entries as fit."""
    size, whole = 0, 0
    for count, entry in enumerate(entries):
        size += _entry_bytes(entry)
        if size > FRAME_BYTES_MAX and count:
            return whole or count
        if entry.txn_last:
            whole = count + 1
    return whole or len(entries)


class Ledger(Protocol):
    """What a session asks of the coordinator: see `Coordinator`."""

    @property
    def durable_seq(self) -> Seq: ...
    @property
    def wall_ms(self) -> int: ...
    def sendable_after(self, session_id: int) -> Seq | None: ...
    def sent_to(self, session_id: int, seq: Seq) -> None: ...
    def idle(self, session_id: int) -> bool: ...


class Session:
    """What one stream of one SSP is sent. `frames()` is its sender: the welcome, then pages and entries in turn."""

    def __init__(
        self,
        session_id: int,
        ssp_id: str,
        store: Datastore,
        ring: Ring,
        page_rows: int,
        fell_behind: Callable[[str], None],
    ) -> None:
        """`fell_behind` is told why what must be sent is no longer retained; it sees to it that the session ends."""
        self.id, self.ssp_id = session_id, ssp_id
        self._fell_behind, self._behind = fell_behind, False
        self._store, self._ring, self._page_rows = store, ring, min(page_rows, PAGE_ROWS_MAX)
        self._ledger: Ledger | None = None
        self._welcome: replication_pb2.Welcome | None = None
        self._loads: deque[replication_pb2.Load] = deque()
        self._wake = asyncio.Event()
        self._end: Fault | str | None = None
        self._checkpoint_due = False

    def welcome(self, welcome: replication_pb2.Welcome, ledger: Ledger) -> None:
        self._welcome, self._ledger = welcome, ledger
        self._wake.set()

    def load(self, load: replication_pb2.Load) -> None:
        """Queue a page. Raises Fault INVALID beyond LOADS_QUEUED_MAX."""
        if len(self._loads) >= LOADS_QUEUED_MAX:
            raise Fault(Code.INVALID, f'ssp "{self.ssp_id}" asks for more than {LOADS_QUEUED_MAX} pages at once')
        self._loads.append(load)
        self._wake.set()

    def notify(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def end(self, why: Fault | str | None) -> None:
        """Stop: with a fault, with a Rebootstrap frame (text), or in peace (None)."""
        self._end = why if why is not None else ""
        self._wake.set()

    async def frames(self) -> AsyncIterator[replication_pb2.ReplicateResponse]:
        """Until the session is ended; raises the fault it was ended with."""
        while self._end is None:
            due = self._due_if_retained()
            for frame in due:
                yield frame
            if not due:
                await self._wait()
        if isinstance(self._end, Fault):
            raise self._end
        if self._end:
            yield replication_pb2.ReplicateResponse(rebootstrap=replication_pb2.Rebootstrap(reason=self._end))

    def _due_if_retained(self) -> list[replication_pb2.ReplicateResponse]:
        if self._behind:
            self._wake.clear()
            return []
        try:
            return self._due()
        except Fault as fault:
            if fault.code is not Code.REVISION_GONE:
                raise
            self._behind = True
            self._fell_behind(fault.message)
            return []

    def _due(self) -> list[replication_pb2.ReplicateResponse]:
        """At most one of each: the welcome alone, else a page and a frame of entries."""
        self._wake.clear()
        if self._ledger is None:
            return []
        if self._welcome is not None:
            welcome, self._welcome = self._welcome, None
            return [replication_pb2.ReplicateResponse(welcome=welcome)]
        due = []
        if self._loads:
            due.append(replication_pb2.ReplicateResponse(page=self._page(self._loads.popleft())))
        after = self._ledger.sendable_after(self.id)
        if after is not None:
            frame = self._ring.frame(after, self._ledger.durable_seq)
            self._ledger.sent_to(self.id, frame.last_seq)
            due.append(replication_pb2.ReplicateResponse(entries=frame.entries))
        if self._checkpoint_due and not due:
            head = replication_pb2.Checkpoint(head_seq=self._ledger.durable_seq, at_ms=self._ledger.wall_ms)
            due.append(replication_pb2.ReplicateResponse(checkpoint=head))
        self._checkpoint_due = False
        return due

    def _page(self, load: replication_pb2.Load) -> replication_pb2.Page:
        rows_max = min(load.rows_max or self._page_rows, PAGE_ROWS_MAX)
        found = self._store.scan(load.table, Seq(load.at_seq), load.after_key, rows_max)
        rows, size = [], 0
        for row in found:
            size += len(row.packed)
            if rows and size > PAGE_BYTES_MAX:
                break
            rows.append(replication_pb2.Row(key=row.key, packed=row.packed, seq=row.seq))
        last_key = rows[-1].key if rows else b""
        # The store cuts pages by bytes too, so a short one need not be the last: look for one row more.
        more = rows and (len(rows) < len(found) or self._store.scan(load.table, Seq(load.at_seq), last_key, 1))
        next_after_key = last_key if more else b""
        return replication_pb2.Page(load_id=load.load_id, table=load.table, rows=rows, next_after_key=next_after_key)

    async def _wait(self) -> None:
        """Until there may be something to send, or a checkpoint is due on an idle stream."""
        while self._end is None:
            try:
                await asyncio.wait_for(self._wake.wait(), CHECKPOINT_SECONDS)
                return
            except TimeoutError:
                if self._ledger is not None and self._ledger.idle(self.id):
                    self._checkpoint_due = True
                    return
