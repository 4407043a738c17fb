"""Entries spliced from bytes are the entries that a message would have made."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1.common_pb2 import OP_DELETE, OP_UPDATE, Change, Entry, Source, SspJoined
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.changes import canonical_change
from sp00ky.scheduler.coordinator.ready import Ready
from sp00ky.scheduler.coordinator.sequencer import Sequencer
from sp00ky.scheduler.entries import EncodedEntries, varint

CHANGES = st.builds(
    Change,
    table=st.sampled_from(["t", "person", "x" * 200]),
    op=st.sampled_from([OP_UPDATE, OP_DELETE]),
    key=st.integers(-5, 5).map(pack),
    packed=st.sampled_from([10, 200, 20_000]).map(lambda size: b"x" * size),
    source=st.sampled_from([None, Source(epoch=1, stamp=7)]),
    idempotency_key=st.sampled_from(["", "k1"]),
)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 300) | st.integers(2**14 - 200, 2**14) | st.integers(2**63, 2**63 + 300),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**41),
    st.lists(st.lists(CHANGES, min_size=1, max_size=3), max_size=3),
    st.integers(0, 150),
)
def test_a_numbered_change_is_its_entry(
    head: int, epoch: int, at_ms: int, transactions: list[list[Change]], more: int
) -> None:
    transactions = [*transactions, *([Change(table="t", op=OP_UPDATE, key=pack(1), packed=b"r")] for _ in range(more))]
    sequencer, ready = Sequencer(Epoch(epoch), Seq(head)), Ready()
    sequencer.sequence_command(Entry(ssp_joined=SspJoined(ssp_id="a")), at_ms, ready)
    lasts = sequencer.sequence_changes([list(map(canonical_change, changes)) for changes in transactions], at_ms, ready)
    expected = [Entry(seq=head + 1, epoch=epoch, txn_last=True, at_ms=at_ms, ssp_joined=SspJoined(ssp_id="a"))]
    for changes in transactions:
        for change in changes:
            entry = Entry(seq=head + 1 + len(expected), epoch=epoch, at_ms=at_ms, change=change)
            entry.txn_last = change is changes[-1]
            expected.append(entry)
    assert list(ready.entries) == expected
    assert ready.entries.first_seq == head + 1 and sequencer.head_seq == head + len(expected)
    assert lasts == [entry.seq for entry in expected[1:] if entry.txn_last]
    assert ready.entries.encoded == EncodedEntries.of(expected).encoded, "and as a message writes it, byte for byte"
    rows = [(row.table, row.key, row.seq, row.packed is None) for row in ready.rows]
    assert rows == [
        (entry.change.table, entry.change.key, entry.seq, entry.change.op == OP_DELETE) for entry in expected[1:]
    ]


def test_entries_are_read_as_messages() -> None:
    entries = EncodedEntries.of([Entry(seq=7), Entry(seq=8, txn_last=True)])
    assert EncodedEntries.of(entries) is entries
    assert (len(entries), entries.first_seq, entries[1], entries[-1]) == (2, 7, Entry(seq=8, txn_last=True), entries[1])
    assert entries[:1] == [Entry(seq=7)] == list(entries)[:1]


@given(st.integers(0, 2**64 - 1) | st.integers(0, 2**29))
def test_a_number_is_written_as_protobuf_writes_it(number: int) -> None:
    assert b"\x08" + varint(number) == (Entry(seq=number).SerializeToString() or b"\x08\x00")
