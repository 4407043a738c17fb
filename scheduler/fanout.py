"""From the durable log to the SSPs: a ring of recent entries, and one session for each stream.

Nothing is buffered for an SSP. Each session is a cursor (kept in the coordinator's `Progress`); frames are cut from the
ring, or from the log when the cursor is behind the ring, and a frame cut for one SSP serves all at the same cursor. A
slow SSP costs nothing but its own lag: it runs out of credit, its cursor stays, the ring moves on, the log remains.

Invariant: the ring holds exactly the entries `lowest … last`, gapless, all durable; a frame begins at cursor + 1, ends
at a `txn_last` unless its transaction alone is larger than a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from sp00ky.proto.failpoints import failpoint
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.entries import EncodedEntries, message_of, varint
from sp00ky.scheduler.errors import SchedulerInvariantError
from sp00ky.scheduler.pages import Pages

FRAME_ENTRIES_MAX = 1_024
FRAME_BYTES_MAX = 4 * 1024 * 1024
RING_ENTRIES_MAX = 65_536
RING_BYTES_MAX = 64 * 1024 * 1024
FRAMES_CACHED_MAX = 16
LOADS_QUEUED_MAX = 10_000
CHECKPOINT_SECONDS = 1.0
_ENTRY_OVERHEAD_BYTES = 64
_ENTRIES, _ENTRY = b"\x1a", b"\x0a"  # tags: ReplicateResponse.entries, Entries.entries

Response: TypeAlias = replication_pb2.ReplicateResponse | bytes  # bytes: one that is written already


class Frame(NamedTuple):
    """`data`: a whole `ReplicateResponse`, written once for all that are sent it."""

    data: bytes
    entries: int
    last_seq: Seq


class _Chunk(NamedTuple):
    """The entries of one commit."""

    first_seq: int
    entries: Sequence[bytes]
    size: int  # bytes held, about


class Ring:
    def __init__(self, store: Datastore, entries_max: int = RING_ENTRIES_MAX, bytes_max: int = RING_BYTES_MAX) -> None:
        self._store = store
        self._chunks: list[_Chunk] = []
        self._next_seq = store.head_seq + 1
        self._count = self._bytes = 0
        self._entries_max, self._bytes_max = entries_max, bytes_max
        self._frames: OrderedDict[int, Frame] = OrderedDict()

    @property
    def lowest_seq(self) -> int:
        """The oldest entry in the ring; the next one to come when it is empty."""
        return self._chunks[0].first_seq if self._chunks else self._next_seq

    def extend(self, given: EncodedEntries) -> None:
        """Take entries that have just become durable; they follow the last ones."""
        entries = given.encoded
        if not entries:
            return
        if given.first_seq != self._next_seq:
            raise SchedulerInvariantError(f"entry {given.first_seq} in a ring that ends before {self._next_seq}")
        size = sum(map(len, entries)) + len(entries) * _ENTRY_OVERHEAD_BYTES
        self._chunks.append(_Chunk(self._next_seq, entries, size))
        self._next_seq += len(entries)
        self._count += len(entries)
        self._bytes += size
        while (self._count > self._entries_max or self._bytes > self._bytes_max) and len(self._chunks) > 1:
            oldest = self._chunks.pop(0)
            self._count -= len(oldest.entries)
            self._bytes -= oldest.size

    def frame(self, after: Seq, durable_seq: Seq) -> Frame:
        """The next frame after a cursor below `durable_seq`. Raises Fault REVISION_GONE when the log was trimmed."""
        cached = self._frames.get(after)
        if cached is not None:
            return cached
        entries = self._recent(after, durable_seq) if after + 1 >= self.lowest_seq else self._logged(after, durable_seq)
        cut = _frame_length(entries)
        body = message_of(_ENTRY, entries[:cut])
        frame = Frame(_ENTRIES + varint(len(body)) + body, cut, Seq(after + cut))
        self._frames[after] = frame
        if len(self._frames) > FRAMES_CACHED_MAX:
            self._frames.popitem(last=False)
        return frame

    def _recent(self, after: Seq, durable_seq: Seq) -> Sequence[bytes]:
        wanted = min(FRAME_ENTRIES_MAX, durable_seq - after)
        found: list[bytes] = []
        index = bisect_right(self._chunks, after + 1, key=lambda chunk: chunk.first_seq) - 1
        while len(found) < wanted:
            chunk = self._chunks[index]
            skipped = max(0, after + 1 - chunk.first_seq)
            found += chunk.entries[skipped : skipped + wanted - len(found)]
            index += 1
        return found

    def _logged(self, after: Seq, durable_seq: Seq) -> Sequence[bytes]:
        raw = self._store.log(after, min(FRAME_ENTRIES_MAX, durable_seq - after))
        if not raw:
            raise Fault(Code.REVISION_GONE, f"log holds no entry after seq {after}", "bootstrap again")
        return raw


def _frame_length(entries: Sequence[bytes]) -> int:
    """How many of these entries make one frame: as many whole transactions as fit, else as many entries as fit."""
    fitting = len(entries)
    if sum(map(len, entries)) > FRAME_BYTES_MAX:
        sizes = itertools.accumulate(map(len, entries))
        fitting = max(1, sum(1 for _ in itertools.takewhile(FRAME_BYTES_MAX.__ge__, sizes)))
    whole = fitting
    while whole and not common_pb2.Entry.FromString(entries[whole - 1]).txn_last:
        whole -= 1
    return whole or fitting


class Ledger(Protocol):
    """What a session asks of the coordinator: see `Coordinator`."""

    @property
    def durable_seq(self) -> Seq: ...
    @property
    def wall_ms(self) -> int: ...
    def sendable_after(self, session_id: int) -> Seq | None: ...
    def has_room(self, session_id: int, entries: int, size: int) -> bool: ...
    def sent_to(self, session_id: int, seq: Seq, size: int) -> None: ...
    def idle(self, session_id: int) -> bool: ...


class Session:
    """What one stream of one SSP is sent. `frames()` is its sender: the welcome, then pages and entries in turn."""

    def __init__(
        self,
        session_id: int,
        ssp_id: str,
        ring: Ring,
        pages: Pages,
        *,
        page_rows: int,
        fell_behind: Callable[[str], None],
    ) -> None:
        """`fell_behind` is told why what must be sent is no longer retained; it sees to it that the session ends."""
        self.id, self.ssp_id = session_id, ssp_id
        self._fell_behind, self._behind = fell_behind, False
        self._ring, self._pages, self._page_rows = ring, pages, page_rows
        self._snapshot_seq = 0  # others may load at it, too
        self._ledger: Ledger | None = None
        self._welcome: replication_pb2.Welcome | None = None
        self._loads: deque[replication_pb2.Load] = deque()
        self._wake = asyncio.Event()
        self._end: Fault | str | None = None
        self._sent_at = 0.0  # of the event loop's clock

    def welcome(self, welcome: replication_pb2.Welcome, ledger: Ledger) -> None:
        self._welcome, self._ledger = welcome, ledger
        self._snapshot_seq = 0 if welcome.resume else welcome.at_seq
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

    async def frames(self) -> AsyncIterator[Response]:
        """Until the session is ended; raises the fault it was ended with."""
        while self._end is None:
            due = self._due_if_retained()
            for frame in due:
                yield frame
            if due:
                self._sent_at = asyncio.get_running_loop().time()
            else:
                await self._wait()
        if isinstance(self._end, Fault):
            raise self._end
        if self._end:
            yield replication_pb2.ReplicateResponse(rebootstrap=replication_pb2.Rebootstrap(reason=self._end))

    def _due_if_retained(self) -> list[Response]:
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

    def _due(self) -> list[Response]:
        """At most one of each: the welcome alone, else a page and a frame of entries."""
        self._wake.clear()
        if self._ledger is None:
            return []
        if self._welcome is not None:
            welcome, self._welcome = self._welcome, None
            return [replication_pb2.ReplicateResponse(welcome=welcome)]
        due: list[Response] = []
        if self._loads:
            load = self._loads.popleft()
            due.append(self._pages.response(load, self._page_rows, shared=load.at_seq == self._snapshot_seq))
        after = self._ledger.sendable_after(self.id)
        if after is not None:
            frame = self._ring.frame(after, self._ledger.durable_seq)
            if self._ledger.has_room(self.id, frame.entries, len(frame.data)):
                failpoint("bcast.frame")
                self._ledger.sent_to(self.id, frame.last_seq, len(frame.data))
                due.append(frame.data)
        if not due and self._quiet_seconds() >= CHECKPOINT_SECONDS and self._ledger.idle(self.id):
            head = replication_pb2.Checkpoint(head_seq=self._ledger.durable_seq, at_ms=self._ledger.wall_ms)
            due.append(replication_pb2.ReplicateResponse(checkpoint=head))
        return due

    def _quiet_seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._sent_at

    async def _wait(self) -> None:
        """Until there may be something to send, or a checkpoint is due."""
        remaining = CHECKPOINT_SECONDS - self._quiet_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(remaining, 0.001) if remaining > 0 else CHECKPOINT_SECONDS):
                await self._wake.wait()
