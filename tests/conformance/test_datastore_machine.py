"""Both engines side by side under random appends, floors, garbage collection, trimming, pins, reads and reopenings,
against an oracle that keeps every version there ever was.

Spec cases: own 16 (collecting never removes what a pin, a read or the head needs), own 2 (a read at a revision is
repeatable across restart and collecting), own 15 (a pin survives a restart).
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.datastore import Append, Datastore, PinWrite, RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

TABLES = ("t", "u")
KEYS = tuple(pack(key) for key in (0, "a", "a\x00", [1]))
Write = tuple[str, bytes, bytes | None, bool]
_writes = st.lists(
    st.tuples(
        st.sampled_from(TABLES), st.sampled_from(KEYS), st.one_of(st.none(), st.binary(max_size=2)), st.booleans()
    ),
    min_size=2,
    max_size=6,
)


class Engines(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.path = Path(tempfile.mkdtemp(prefix="machine"))
        self.memory = MemoryDatastore(now_ms=lambda: self.now)
        self.rocks = RocksDatastore.open(self.path, now_ms=lambda: self.now)
        self.epoch = Epoch(0)
        self.states: list[dict[tuple[str, bytes], bytes]] = [{}]  # by seq
        self.stamps: dict[tuple[str, bytes], tuple[int, int]] = {}
        self.loop = asyncio.new_event_loop()
        self.pins: dict[str, tuple[int, int]] = {}  # owner → (at, until)
        self.reads: list[tuple[int, ExitStack]] = []
        self.stamps_from = (1, 0)

    @property
    def stores(self) -> tuple[Datastore, Datastore]:
        return self.memory, self.rocks

    @property
    def head(self) -> int:
        return len(self.states) - 1

    @initialize(histories=st.lists(_writes, min_size=4, max_size=6), owner=st.sampled_from(["", "x"]))
    def begin_with_a_history(self, histories: list[list[Write]], owner: str) -> None:
        self.take_epoch()
        for writes in histories:
            self.append(writes, owner, back=1, ttl=50)

    def take_epoch(self) -> None:
        [self.epoch] = {store.take_epoch() for store in self.stores}

    @rule(writes=_writes, owner=st.sampled_from(["", "x", "y"]), back=st.integers(0, 3), ttl=st.integers(1, 50))
    def append(self, writes: list[Write], owner: str, back: int, ttl: int) -> None:
        entries, rows, head = [], [], self.head
        for table, key, packed, sourced in writes:
            seq = Seq(self.head + 1)
            stamp = (1, seq) if sourced else (0, 0)
            change = common_pb2.Change(table=table, key=key, packed=packed)
            entries.append(common_pb2.Entry(seq=seq, epoch=self.epoch, txn_last=True, change=change))
            rows.append(RowWrite(table, key, packed, seq, stamp))
            state = dict(self.states[-1])
            state.pop((table, key), None)
            if packed is not None:
                state[(table, key)] = packed
            self.states.append(state)
            self.stamps[(table, key)] = stamp
        pins = [PinWrite(owner, Seq(max(self.head - back, 0)), ttl)] if owner else []
        for store in self.stores:
            store.append(Append(self.epoch, Seq(head), entries, rows, pins=pins))
        if owner:
            self.pins.pop(owner, None)
            if pins[0].at is not None and pins[0].at >= self.memory.floor_seq:
                self.pins[owner] = (pins[0].at, self.now + ttl)
        self.sync()

    def sync(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.sync())

    @rule(owner=st.sampled_from(["x", "y"]))
    def unpin(self, owner: str) -> None:
        for store in self.stores:
            store.append(Append(self.epoch, Seq(self.head), (), (), pins=[PinWrite(owner, None)]))
        self.pins.pop(owner, None)

    @rule(ms=st.integers(1, 40))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(back=st.integers(0, 4))
    def begin_read(self, back: int) -> None:
        at = max(self.head - back, self.memory.floor_seq)
        stack = ExitStack()
        for store in self.stores:
            stack.enter_context(store.holding(Seq(at)))
        self.reads.append((at, stack))

    @precondition(lambda self: self.reads)
    @rule()
    def end_read(self) -> None:
        self.reads.pop(0)[1].close()

    def raise_floor(self, back: int) -> None:
        wanted, before = Seq(max(self.head - back, 0)), self.memory.floor_seq
        live = [at for at, until in self.pins.values() if until > self.now]
        expected = max(before, min([wanted, *live, *[at for at, _ in self.reads]]))
        assert [store.raise_floor(wanted) for store in self.stores] == [expected, expected]

    @rule(entries_max=st.integers(1, 30), ahead=st.integers(0, 6), back=st.integers(0, 6))
    def collect(self, entries_max: int, ahead: int, back: int) -> None:
        self.raise_floor(back)
        self.stamps_from = max(self.stamps_from, (1, max(0, self.head - ahead)))
        ours, theirs = (store.collect(entries_max, self.stamps_from) for store in self.stores)
        assert ours == theirs
        if ours.is_done:
            assert self.memory.stats().versions <= self.versions_needed()

    def versions_needed(self) -> int:
        """Records readable at the floor, what was written above it, and tombstones, of which each record has one."""
        floor = self.memory.floor_seq
        return len(self.states[floor]) + (self.head - floor) + len(TABLES) * len(KEYS)

    @rule(before=st.integers(0, 60))
    def trim_log(self, before: int) -> None:
        ours, theirs = (store.trim_log(Seq(min(before, self.head))) for store in self.stores)
        assert ours == theirs

    @rule()
    def reopen(self) -> None:
        for _, stack in self.reads:
            stack.close()
        self.reads.clear()
        pins = {pin.owner: (pin.at, pin.ttl_ms) for pin in self.rocks.pins()}
        stale = {owner for owner, (_, until) in self.pins.items() if until <= self.now}
        self.rocks.close()
        self.rocks = RocksDatastore.open(self.path, now_ms=lambda: self.now)
        found = {pin.owner: (pin.at, pin.ttl_ms) for pin in self.rocks.pins()}
        assert pins.items() <= found.items()  # one whose time was over but was not yet taken away lives once more
        for owner in found.keys() - pins.keys():
            self.rocks.append(Append(self.epoch, Seq(self.head), (), (), pins=[PinWrite(owner, None)]))
        for pin in self.rocks.pins():  # time to live began anew: in the twin as well
            self.memory.append(Append(self.epoch, Seq(self.head), (), (), pins=[PinWrite(*pin[:3])]))
            self.pins[pin.owner] = (pin.at, self.now + pin.ttl_ms)
        for owner in stale - found.keys():
            self.pins.pop(owner)
        self.take_epoch()

    @invariant()
    def what_is_retained_reads_as_it_was(self) -> None:
        floors = {(store.floor_seq, store.log_floor_seq, store.head_seq) for store in self.stores}
        assert len(floors) == 1
        [(floor, log_floor, head)] = floors
        assert log_floor - 1 <= floor <= head == self.head
        for store in self.stores:
            for at in {floor, (floor + head) // 2, head, *[at for at, _ in self.reads], *self.live_pins()}:
                for table in TABLES:
                    expected = {key: packed for (name, key), packed in self.states[at].items() if name == table}
                    assert {row.key: row.packed for row in store.scan(table, Seq(at))} == expected
            for table in TABLES:
                assert store.count(table) == sum(name == table for name, _ in self.states[head])
            page = store.log(Seq(log_floor - 1), 1000)
            assert [common_pb2.Entry.FromString(data).seq for data in page] == list(range(log_floor, head + 1))
            for record, stamp in self.stamps.items():
                may_be_gone = record not in self.states[floor] and stamp < self.stamps_from
                assert store.stamp_of(*record) in ({stamp, (0, 0)} if may_be_gone else {stamp})
            if floor > 0:
                assert refused(store, floor - 1) is Code.REVISION_GONE

    def live_pins(self) -> list[int]:
        return [at for at, until in self.pins.values() if until > self.now]

    def teardown(self) -> None:
        for _, stack in self.reads:
            stack.close()
        self.rocks.close()
        self.loop.close()
        shutil.rmtree(self.path)


def refused(store: Datastore, at: int) -> Code | None:
    try:
        store.scan("t", Seq(at))
    except Fault as fault:
        return fault.code
    return None


TestEngines = Engines.TestCase
TestEngines.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_engines_agree_at_length() -> None:
    long = settings(max_examples=400, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(Engines, settings=long)  # type: ignore[no-untyped-call]
