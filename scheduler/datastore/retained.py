"""Which revisions and log entries a store still has, and what keeps it from dropping more. No I/O: engines persist it.

    log floor ≤ collected + 1     garbage is found by walking the log, so the log above `collected` is needed
    collected ≤ floor ≤ synced head
    floor ≤ every live pin, every read in progress

Every revision in [floor, head] is readable. At or below `collected` a record has one version at most, and a tombstone
only where it still suppresses what the changefeed may deliver again.

A pin is durable and has a ttl, counted from when it was set, or from when this process opened the store: a pin can
hold garbage back for as long as its ttl after its owner died, never for ever. A read in progress is held in memory, by
whoever waits between two of its pages.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq

EPOCHS_MAX: Final = 4_096
MARK_BYTES: Final = 1024 * 1024  # of log between two marks, at least


class Pin(NamedTuple):
    owner: str
    at: Seq
    ttl_ms: int
    until_ms: int  # of the store's monotonic clock


class Marks:
    """How many bytes of log there are up to a seq, about: cumulative totals at seqs that ended an append.

    Invariant: seqs and totals ascend; the first mark is the entry before the log's floor, or one before that."""

    def __init__(self, marks: Iterable[tuple[Seq, int]], total: int) -> None:
        self.total = total  # bytes ever appended, as of the head
        self._seqs: list[Seq] = []
        self._totals: list[int] = []
        for seq, bytes_before in marks:
            self._seqs.append(seq)
            self._totals.append(bytes_before)

    def appended(self, head: Seq, size: int) -> int | None:
        """Entries of `size` bytes were appended up to `head`; the total if it is to be kept as a mark."""
        self.total += size
        if self._totals and self.total - self._totals[-1] < MARK_BYTES:
            return None
        self._seqs.append(head)
        self._totals.append(self.total)
        return self.total

    def is_due(self, size: int) -> bool:
        """Whether appending `size` bytes will make a mark."""
        return not self._totals or self.total + size - self._totals[-1] >= MARK_BYTES

    def bytes_after(self, seq: Seq, head: Seq) -> int:
        """Bytes of log above `seq`; too many by less than one mark, but none above the head."""
        if seq >= head:
            return 0
        index = bisect_right(self._seqs, seq) - 1
        return self.total - (self._totals[index] if index >= 0 else self._totals[0] if self._totals else self.total)

    def seq_within(self, size: int) -> Seq:
        """The lowest marked seq above which there are at most `size` bytes of log; the newest mark if there is none."""
        index = bisect_left(self._totals, self.total - size)
        return self._seqs[min(index, len(self._seqs) - 1)] if self._seqs else Seq(0)

    def unneeded(self, log_floor: Seq) -> Sequence[Seq]:
        """The marks that a log from `log_floor` on does not need."""
        return self._seqs[: max(0, bisect_right(self._seqs, log_floor - 1) - 1)]

    def trim(self, log_floor: Seq) -> None:
        count = len(self.unneeded(log_floor))
        del self._seqs[:count], self._totals[:count]


class Retained:
    """`now_ms`: a monotonic clock. `pins` as (owner, at, ttl ms): their time to live begins now."""

    def __init__(
        self,
        *,
        floor: Seq,
        collected: Seq,
        log_floor: Seq,
        epochs: Mapping[Epoch, Seq],
        pins: Iterable[tuple[str, Seq, int]] = (),
        now_ms: Callable[[], int],
        before: Retained | None = None,
    ) -> None:
        """`before`: of the same store before its files were opened anew, whose reads are still in progress."""
        self.floor, self.collected, self.log_floor = floor, collected, log_floor
        self.epochs = dict(epochs)  # epoch → the head when it was taken
        self._now_ms = now_ms
        self._pins: dict[str, Pin] = {}
        self._held: Counter[Seq] = before._held if before is not None else Counter()
        for owner, at, ttl_ms in pins:
            self.pin(owner, at, ttl_ms)

    # --- epochs ------------------------------------------------------------------------------------------------------

    def took(self, epoch: Epoch, head: Seq) -> Sequence[Epoch]:
        """A new epoch began at `head`; returns the epochs that are now forgotten."""
        self.epochs[epoch] = head
        forgotten = sorted(self.epochs)[:-EPOCHS_MAX]
        for old in forgotten:
            del self.epochs[old]
        return forgotten

    def branch_end(self, epoch: Epoch, head: Seq) -> Seq | None:
        """The last seq of an epoch's branch: where the next one began, or the head. None: there was no such epoch."""
        if epoch not in self.epochs:
            return None
        return self.epochs.get(Epoch(epoch + 1), head)

    # --- pins and reads ----------------------------------------------------------------------------------------------

    def pin(self, owner: str, at: Seq | None, ttl_ms: int) -> bool:
        """Set or move an owner's pin, or take it away (None). False: it came too late, `at` is below the floor.

        Too late is no error: the owner's next read there is refused, and it begins again."""
        self._pins.pop(owner, None)
        if at is None:
            return True
        if at < self.floor:
            return False
        self._pins[owner] = Pin(owner, at, ttl_ms, self._now_ms() + ttl_ms)
        return True

    def live_pins(self) -> Sequence[Pin]:
        now = self._now_ms()
        return sorted((pin for pin in self._pins.values() if pin.until_ms > now), key=lambda pin: (pin.at, pin.owner))

    def expired(self) -> Sequence[str]:
        """Owners of pins whose time is over, until `raise_floor_to` forgets them."""
        now = self._now_ms()
        return [pin.owner for pin in self._pins.values() if pin.until_ms <= now]

    @contextmanager
    def holding(self, at: Seq) -> Iterator[Seq]:
        """Keep a revision readable while the block runs. Raises Fault REVISION_GONE below the floor."""
        if at < self.floor:
            message = f"revision {at} is below the oldest kept, {self.floor}"
            raise Fault(Code.REVISION_GONE, message, "read a newer one")
        self._held[at] += 1
        try:
            yield at
        finally:
            self._held[at] -= 1
            if not self._held[at]:
                del self._held[at]

    # --- floors ------------------------------------------------------------------------------------------------------

    def highest_floor(self, synced: Seq) -> Seq:
        """How far the floor may go: not past what is durable, pinned or being read."""
        return Seq(min([synced, *(pin.at for pin in self.live_pins()), *self._held]))

    def raised_floor(self, wanted: Seq, synced: Seq) -> Seq:
        """The floor that comes of a wish; never lower than it is."""
        return max(self.floor, min(wanted, self.highest_floor(synced)))

    def raise_floor_to(self, floor: Seq) -> None:
        for owner in self.expired():
            del self._pins[owner]
        self.floor = floor

    def trimmed_log_floor(self, wanted: Seq) -> Seq:
        """The log's floor that comes of a wish: what is above `collected` is still needed to find garbage."""
        return max(self.log_floor, min(wanted, Seq(self.collected + 1)))
