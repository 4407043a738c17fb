"""The scheduler's disk: a store that outlives the process, and forgets what was not synced when the power goes.

The store is the product's own datastore in memory. What is written to it is kept in a journal, too; after a power loss
a new store is made of the prefix of the journal that had reached the disk: everything synced, and any part of what came
after it. A record of the journal that was being written when the power went is cut off, as a torn tail is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore.datastore import Append, Collected
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.retained import Retained

from tests.simulation.kernel import Kernel, Violation, elapse

Record: TypeAlias = tuple[str, tuple[Any, ...]]  # the store's method, and what it was called with


class Disk:
    """`on_durable` is told of entries in the order in which they become durable, once."""

    def __init__(self, kernel: Kernel, on_durable: Callable[[Sequence[common_pb2.Entry]], None]) -> None:
        self.kernel = kernel
        self.is_full = False
        self.fsync_s = 0.002
        self.fsync_fails = False
        self.journal: list[Record] = []
        self.synced = 0  # records of the journal
        self.lost_appends = self.torn = self.refused = self.collected = self.trimmed = 0
        self.on_append: Callable[[], None] = lambda: None
        self._on_durable = on_durable
        self.store = SimStore(self)

    def opened(self) -> SimStore:
        """The store, for a process that starts: it knows of no reads in progress."""
        self.store.reopen()
        return self.store

    def record(self, name: str, *arguments: Any) -> None:
        self.journal.append((name, arguments))

    def become_durable(self, records: int) -> None:
        for name, arguments in self.journal[self.synced : records]:
            if name == "append":
                self._on_durable(arguments[0].entries)
        self.synced = max(self.synced, records)

    def lose_power(self) -> None:
        """Everything that was not synced is gone, or a part of it."""
        random = self.kernel.random
        unsynced = len(self.journal) - self.synced
        kept = self.synced + random.randint(0, unsynced) if random.random() < 0.5 else self.synced
        lost = len(self.journal) - kept
        if lost:
            self.lost_appends += sum(name == "append" for name, _ in self.journal[kept:])
            self.torn += random.random() < 0.5
            del self.journal[kept:]
            self.store = SimStore(self)
            self.store.replay()


class SimStore(MemoryDatastore):
    """Each of its writes is a record of the journal, which is replayed as it was written."""

    engine = "simulated"

    def __init__(self, disk: Disk) -> None:
        super().__init__(now_ms=lambda: int(disk.kernel.now * 1000))
        self._store_id = StoreId("5109a7ed")
        self._disk = disk

    def replay(self) -> None:
        for name, arguments in self._disk.journal:
            getattr(super(), name)(*arguments)
            self._synced = self._head

    def reopen(self) -> None:
        kept = self._retained
        self._retained = Retained(
            floor=kept.floor,
            collected=kept.collected,
            log_floor=kept.log_floor,
            epochs=kept.epochs,
            pins=[(pin.owner, pin.at, pin.ttl_ms) for pin in kept.live_pins()],
            now_ms=lambda: int(self._disk.kernel.now * 1000),
        )

    def take_epoch(self) -> Epoch:
        epoch = super().take_epoch()
        self._disk.record("take_epoch")
        self._disk.become_durable(len(self._disk.journal))
        return epoch

    def append(self, append: Append) -> None:
        if self._disk.is_full:
            self._disk.refused += 1
            raise Fault(Code.DISK_FULL, "no space left on device")
        super().append(append)
        self._disk.record("append", append)
        self._disk.on_append()

    def raise_floor(self, wanted: Seq) -> Seq:
        before, pinned = self._retained.floor, [pin.at for pin in self._retained.live_pins()]
        floor = super().raise_floor(wanted)
        if floor > before and any(at < floor for at in pinned):
            raise Violation(f"the floor was raised to {floor}, pinned were {pinned}")
        if floor != before:
            self._disk.record("raise_floor", floor)
        return floor

    def collect(self, entries_max: int, stamps_from: tuple[int, int] | None = None) -> Collected:
        done = super().collect(entries_max, stamps_from)
        if done.versions:
            self._disk.collected += done.versions
            self._disk.record("collect", entries_max, stamps_from)
        return done

    def trim_log(self, before: Seq) -> int:
        trimmed = super().trim_log(before)
        if trimmed:
            self._disk.trimmed += trimmed
            self._disk.record("trim_log", before)
        return trimmed

    def log_all(self) -> Sequence[bytes]:
        """Every entry that is retained."""
        found: list[bytes] = []
        after = Seq(self.log_floor_seq - 1)
        while page := self.log(Seq(after + len(found)), 10_000):
            found += page
        return found

    async def sync(self) -> Seq:
        disk, records, head = self._disk, len(self._disk.journal), self._head
        await elapse(disk.fsync_s * disk.kernel.random.random())
        if disk.fsync_fails:
            raise Fault(Code.INTERNAL, "fsync failed: input/output error")
        disk.become_durable(records)
        self._synced = max(self._synced, head)
        return Seq(head)
