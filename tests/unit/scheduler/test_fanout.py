"""Frames: whole transactions, bounded, from the ring or from the log alike."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler import fanout
from sp00ky.scheduler.datastore.datastore import Append
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.entries import EncodedEntries
from sp00ky.scheduler.errors import SchedulerInvariantError
from sp00ky.scheduler.fanout import Frame, Ring


def committed(store: MemoryDatastore, sizes: list[int], payload: int = 1) -> list[common_pb2.Entry]:
    """One commit with a transaction of each of these sizes."""
    entries = []
    for size in sizes:
        for place in range(1, size + 1):
            change = common_pb2.Change(table="t", packed=b"x" * payload)
            seq = store.head_seq + len(entries) + 1
            entries.append(common_pb2.Entry(seq=seq, txn_last=place == size, change=change))
    store.append(Append(Epoch(1), store.head_seq, entries, []))
    return entries


def made(store: MemoryDatastore, commits: list[list[int]], **limits: int) -> Ring:
    store.take_epoch()
    ring = Ring(store, **limits)
    for sizes in commits:
        ring.extend(EncodedEntries.of(committed(store, sizes)))
    return ring


def sent(frame: Frame) -> list[common_pb2.Entry]:
    """What an SSP reads."""
    return list(replication_pb2.ReplicateResponse.FromString(frame.data).entries.entries)


def walked(ring: Ring, head: Seq) -> list[list[common_pb2.Entry]]:
    frames, cursor = [], Seq(0)
    while cursor < head:
        frame = ring.frame(cursor, head)
        entries = sent(frame)
        assert (frame.last_seq, frame.entries) == (entries[-1].seq, len(entries))
        frames.append(entries)
        cursor = frame.last_seq
    return frames


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(2, 8),
)
def test_frames_cover_the_log_and_keep_transactions_whole(
    commits: list[list[int]], entries_max: int, frame_max: int
) -> None:
    store = MemoryDatastore()
    ring = made(store, commits, entries_max=entries_max)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fanout, "FRAME_ENTRIES_MAX", frame_max)
        frames = walked(ring, store.head_seq)
    assert [entry.seq for frame in frames for entry in frame] == list(range(1, store.head_seq + 1))
    lengths = iter(itertools.chain.from_iterable(commits))
    lasts = list(itertools.accumulate(lengths))
    for frame in frames:
        assert len(frame) <= frame_max
        if not frame[
            -1
        ].txn_last:  # split: then it is the beginning of a transaction larger than a frame, or its middle
            end = next(last for last in lasts if last >= frame[-1].seq)
            begin = max([last for last in lasts if last < frame[-1].seq], default=0)
            assert end - begin > frame_max and frame[0].seq > begin


def test_a_frame_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "FRAME_BYTES_MAX", 1000)
    store = MemoryDatastore()
    store.take_epoch()
    ring = Ring(store)
    ring.extend(EncodedEntries.of(committed(store, [1, 1, 1, 3], payload=400)))
    assert [len(frame) for frame in walked(ring, store.head_seq)] == [2, 1, 2, 1]


def test_a_cut_frame_serves_every_ssp_at_its_cursor() -> None:
    store = MemoryDatastore()
    ring = made(store, [[1, 1]])
    assert ring.frame(Seq(0), Seq(2)).data is ring.frame(Seq(0), Seq(2)).data


def test_the_ring_forgets_the_oldest_commits_and_reads_them_from_the_log() -> None:
    store = MemoryDatastore()
    ring = made(store, [[1] * 10 for _ in range(10)], entries_max=25)
    assert ring.lowest_seq == 81
    assert [entry.seq for entry in sent(ring.frame(Seq(3), store.head_seq))][:3] == [4, 5, 6]


def test_a_gap_in_the_ring_is_our_own_fault() -> None:
    store = MemoryDatastore()
    ring = made(store, [[1]])
    with pytest.raises(SchedulerInvariantError, match="entry 9"):
        ring.extend(EncodedEntries.of([common_pb2.Entry(seq=9)]))
