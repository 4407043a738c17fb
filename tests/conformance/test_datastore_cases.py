"""Cases of SpiceDB's datastore suite, told of records: a definition is a table, a relationship a record, TOUCH a write,
a filter what a reader picks from pages before it writes. On both engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq, parse_revision
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.admission import admit_append
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite, Row
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.conformance.declared import covers
from tests.harness.stores import Write, Writer, collect_all, entries_of, fault_code, scan_all, state_at


def put(store: Datastore, *records: tuple[str, object, bytes | None], writer: Writer | None = None) -> Seq:
    """Write records (table, key, body) in one append under a new epoch, durable on return."""
    writes: list[Write] = [(table, pack(key), body) for table, key, body in records]  # type: ignore[arg-type]
    (writer or Writer(store)).write(*writes)
    durable(store)
    return store.head_seq


def durable(store: Datastore) -> None:
    asyncio.run(store.sync())


def bodies(store: Datastore, table: str, at: Seq | None = None) -> list[bytes]:
    return [row.packed for row in scan_all(store, table, store.head_seq if at is None else at)]


def delete_where(store: Datastore, table: str, matches: Callable[[Row], bool], limit: int = 10_000) -> tuple[int, bool]:
    """Delete what matches, at most so many: (how many, whether there were more)."""
    found = [row for row in scan_all(store, table, store.head_seq) if matches(row)]
    Writer(store).write(*[(table, row.key, None) for row in found[:limit]])
    durable(store)
    return min(limit, len(found)), len(found) > limit


# Identity, tables


@covers("UniqueID")
def test_a_store_has_one_id_for_ever(kept_store: Datastore) -> None:
    before = kept_store.store_id
    put(kept_store, ("t", 1, b"x"))
    assert kept_store.store_id == before and len(before) == 8
    if isinstance(kept_store, RocksDatastore):
        kept_store.close()
        again = RocksDatastore.open(kept_store._path)
        assert again.store_id == before
        again.close()


@covers("NamespaceNotFound", "EmptyNamespaceDelete", "NamespaceDeleteInvalidNamespace")
def test_an_unknown_table_is_empty_and_deleting_from_it_changes_nothing(kept_store: Datastore) -> None:
    head = put(kept_store, ("t", 1, b"x"))
    assert bodies(kept_store, "unknown") == [] and kept_store.count("unknown") == 0
    assert kept_store.get("unknown", pack(1)) is None
    assert delete_where(kept_store, "unknown", lambda row: True) == (0, False)
    assert kept_store.head_seq == head and list(kept_store.tables()) == ["t"]


@covers("NamespaceWrite", "NamespaceDelete", "NamespaceMultiDelete")
def test_each_revision_lists_the_tables_of_its_time(kept_store: Datastore) -> None:
    first = put(kept_store, ("a", 1, b"1"))
    second = put(kept_store, ("b", 1, b"1"), ("c", 1, b"1"))
    third = put(kept_store, ("a", 1, None), ("c", 1, None))
    assert [list(kept_store.tables(at)) for at in (first, second, third)] == [["a"], ["a", "b", "c"], ["a", "b", "c"]]
    assert [name for name in kept_store.tables() if kept_store.count(name)] == ["b"]
    assert [name for name in ("a", "b", "c") if bodies(kept_store, name, second)] == ["a", "b", "c"]
    assert [name for name in ("a", "b", "c") if bodies(kept_store, name, third)] == ["b"]


@covers("StableNamespaceReadWrite", "own 12")
def test_bytes_read_are_bytes_written(kept_store: Datastore) -> None:
    large = bytes(range(256)) * 65_536
    for n, body in enumerate([b"", b"\x00", b"\xff" * 9, pack(None), pack({}), large]):
        put(kept_store, ("t", n, body))
        row = kept_store.get("t", pack(n))
        assert row is not None and row.packed == body
    assert len(large) == 16 * 1024 * 1024
    assert [len(body) for body in bodies(kept_store, "t")] == [0, 1, 9, 1, 1, len(large)]


@covers("StoredSchemaLarge", "StoredSchemaHeadRevisionSchemaHash", "StoredSchemaOptimizedRevisionSchemaHash")
def test_a_schema_of_megabytes_is_a_record_of_its_revision(kept_store: Datastore) -> None:
    """The captured schema is a table: what it was travels with every revision."""
    small, large = b"{}", b"s" * 3_000_000
    before = put(kept_store, ("_00_schema", "t", small))
    between = put(kept_store, ("t", 1, b"x"))
    after = put(kept_store, ("_00_schema", "t", large))
    assert bodies(kept_store, "_00_schema", before) == bodies(kept_store, "_00_schema", between) == [small]
    assert bodies(kept_store, "_00_schema", after) == [large]


@covers("StoredSchemaAssertHashPrecondition", "ConcurrentWriteSerialization", "ConcurrentWriteDeadlock")
def test_a_write_that_assumes_an_older_state_fails_whole(kept_store: Datastore) -> None:
    writer = Writer(kept_store)
    stale = [writer.prepare([("t", pack(n), b"mine")], kept_store.head_seq) for n in range(5)]
    kept_store.append(stale[0])
    for append in stale[1:]:
        assert fault_code(lambda append=append: kept_store.append(append)) is Code.FENCED
    for n in range(1, 5):  # each succeeds once it has seen the head
        kept_store.append(writer.prepare([("t", pack(n), b"mine")], kept_store.head_seq))
    assert kept_store.head_seq == 5 and bodies(kept_store, "t") == [b"mine"] * 5


# Records


@covers("Simple", "DeleteNonExistant", "DeleteAlreadyDeleted", "own 13")
def test_write_find_delete_and_write_again(kept_store: Datastore) -> None:
    head = put(kept_store, *[("t", n, b"%d" % n) for n in range(10)])
    assert [kept_store.get("t", pack(n)) for n in range(10)] == [
        Row(pack(n), b"%d" % n, Seq(n + 1), (0, 0)) for n in range(10)
    ]
    put(kept_store, ("t", 3, None), ("t", 99, None))
    put(kept_store, ("t", 3, None))
    assert kept_store.get("t", pack(3)) is None and kept_store.count("t") == 9
    assert kept_store.get("t", pack(3), head) == Row(pack(3), b"3", Seq(4), (0, 0))
    put(kept_store, ("t", 3, b"again"), ("t", 4, b"whole"))
    assert kept_store.count("t") == 10
    row = kept_store.get("t", pack(4))
    assert row is not None and row.packed == b"whole"  # an update replaces, it does not merge


@covers("CaseSensitivity", "ObjectIDs", "own 11")
def test_ids_that_look_alike_are_apart(kept_store: Datastore) -> None:
    ids: list[object] = [
        *("foo", "Foo", "FOO", "foo ", " foo", "fóo", "fo\u0301o", "foo\x00", "me@x.org", "a|b", "YWJj+/==", "%", "_"),
        *("k" * 1024, "\U0001f9db", "⟨x⟩", "'\"`\\", 1, "1", -1, 2**63 - 1, [1, "a"], [1, ["a"]], {"a": 1}, {"a": "1"}),
    ]
    put(kept_store, *[("t", key, pack(n)) for n, key in enumerate(ids)])
    assert kept_store.count("t") == len(ids)
    for n, key in enumerate(ids):
        row = kept_store.get("t", pack(key))  # type: ignore[arg-type]
        assert row is not None and row.packed == pack(n), key
    assert {row.key for row in scan_all(kept_store, "t", kept_store.head_seq, limit=3)} == {
        pack(key)  # type: ignore[arg-type]
        for key in ids
    }


@covers("DeleteRelationships", "QueryRelationshipsWithVariousFilters", "DeleteRelationshipsWithVariousFilters")
def test_deleting_what_matches_deletes_nothing_else(kept_store: Datastore) -> None:
    put(kept_store, *[(table, n, b"%d" % (n % 3)) for table in ("t", "u") for n in range(30)])
    before = kept_store.head_seq
    filters: list[Callable[[Row], bool]] = [
        lambda row: row.packed == b"1",
        lambda row: row.key < pack(5),
        lambda row: row.seq % 2 == 0,
        lambda row: False,
    ]
    for matches in filters:
        kept = [row for row in scan_all(kept_store, "t", kept_store.head_seq) if not matches(row)]
        delete_where(kept_store, "t", matches)
        assert scan_all(kept_store, "t", kept_store.head_seq) == kept
    assert kept_store.count("u") == 30 and len(bodies(kept_store, "t", before)) == 30


@covers("DeleteWithLimit", "DeleteWithPrefix", "DeleteWithInvalidPrefix", "RecreateRelationshipsAfterDeleteWithFilter")
def test_deleting_with_a_limit_and_creating_again(kept_store: Datastore) -> None:
    records = [("t", f"a%_{n}", b"x") for n in range(60)] + [("t", f"ab{n}", b"y") for n in range(40)]
    prefix = pack("a%_")[1:]
    for _ in range(2):
        put(kept_store, *records)
        assert kept_store.count("t") == 100
        assert delete_where(kept_store, "t", lambda row: prefix in row.key, limit=50) == (50, True)
        assert delete_where(kept_store, "t", lambda row: prefix in row.key, limit=50) == (10, False)
        assert delete_where(kept_store, "t", lambda row: b"%%" in row.key) == (0, False)
        assert bodies(kept_store, "t") == [b"y"] * 40  # % and _ mean themselves


@covers(
    "WriteDeleteWrite",
    "CreateAlreadyExisting",
    "TouchAlreadyExistingWithoutCaveat",
    "TouchAlreadyExistingCaveated",
    "CreateDeleteTouch",
    "CreateTouchDeleteTouch",
)
@pytest.mark.parametrize("in_one_append", [False, True])
@pytest.mark.parametrize("history", ["x-x", "xx", "xy", "x-y", "xy-x", "-x", "x-", "x--", "xyx-"])
def test_operations_on_one_key_end_in_the_right_state(kept_store: Datastore, history: str, in_one_append: bool) -> None:
    steps = [("t", 1, None if step == "-" else step.encode()) for step in history]
    if in_one_append:
        put(kept_store, *steps)
    else:
        for step in steps:
            put(kept_store, step)
    expected = [] if history[-1] == "-" else [history[-1].encode()]
    assert bodies(kept_store, "t") == expected and kept_store.count("t") == len(expected)
    assert [bodies(kept_store, "t", Seq(n + 1)) for n in range(len(history))] == [
        [] if step == "-" else [step.encode()] for step in history
    ]


@covers("DeleteOneThousandIndividualInOneCall", "BulkDeleteRelationships", "own 10")
def test_ten_thousand_in_one_append(kept_store: Datastore) -> None:
    loaded = put(kept_store, *[("t", n, b"x") for n in range(10_000)])
    put(kept_store, *[("t", n, None) for n in range(0, 10_000, 2)], ("u", 1, b"beside"))
    assert kept_store.count("t") == 5_000 == len(bodies(kept_store, "t"))
    assert len(bodies(kept_store, "t", loaded)) == 10_000
    assert all(row.seq % 2 == 0 for row in scan_all(kept_store, "t", kept_store.head_seq))


@covers("MixedWriteOperations", "WriteAndReadInRWT")
def test_one_append_is_one_revision(kept_store: Datastore) -> None:
    before = put(kept_store, ("t", 1, b"1"), ("t", 2, b"2"))
    writer = Writer(kept_store)
    writer.write(("t", pack(1), None), ("t", pack(2), b"two"), ("t", pack(3), b"3"), meta=[MetaWrite(b"m", b"v")])
    assert bodies(kept_store, "t") == [b"two", b"3"]  # read before it is durable, by its writer
    assert kept_store.synced_seq == before and kept_store.meta(b"m") == b"v"
    durable(kept_store)
    assert kept_store.synced_seq == 5


@covers("MultipleReadsInRWT", "own 14")
def test_reads_that_stop_half_way_disturb_nothing(kept_store: Datastore) -> None:
    at = put(kept_store, *[("t", n, b"old") for n in range(30)])
    seen, other = list(kept_store.scan("t", at, limit=7)), kept_store.scan("t", at, limit=3)
    assert len(other) == 3
    put(kept_store, *[("t", n, None) for n in range(30)])  # the table is dropped, and made anew
    put(kept_store, *[("t", n, b"new") for n in range(0, 60, 2)])
    with kept_store.holding(at):
        kept_store.raise_floor(kept_store.head_seq)
        collect_all(kept_store)
        while page := kept_store.scan("t", at, seen[-1].key, 7):
            seen += page
    assert [row.packed for row in seen] == [b"old"] * 30
    assert bodies(kept_store, "t") == [b"new"] * 30


@covers("Ordering", "Limit", "OrderedLimit", "Resume")
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_pages_are_the_whole_in_order_without_gap_or_repeat(kept_store: Datastore, limit: int) -> None:
    keys = [pack(key) for key in ("", "a", "ab", "b", "é", *range(-20, 20), [1], [1, 2], {"a": 1})]  # type: ignore[arg-type]
    Writer(kept_store).write(*[("t", key, b"v") for key in reversed(keys)])
    whole = [row.key for row in kept_store.scan("t", kept_store.head_seq, limit=1_000)]
    assert whole == sorted(keys)
    paged: list[bytes] = []
    while page := kept_store.scan("t", kept_store.head_seq, paged[-1] if paged else b"", limit):
        assert len(page) <= limit
        paged += [row.key for row in page]
    assert paged == whole


@covers("BulkUpload", "BulkUploadErrors", "BulkUploadAlreadyExistsError", "BulkUploadAlreadyExistsSameCallError")
@pytest.mark.parametrize("size", [0, 1, 10, 1_000])
def test_a_load_is_there_whole_or_not_at_all(kept_store: Datastore, size: int) -> None:
    writer = Writer(kept_store)
    writes: list[Write] = [("t", pack(n), b"%d" % n) for n in range(size)]
    broken = writer.prepare([*writes, ("t", pack(0), b"twice")], Seq(0))
    broken.entries[-1].seq += 1
    with pytest.raises(AssertionError):
        kept_store.append(broken)
    assert kept_store.head_seq == 0 and list(kept_store.tables()) == []
    kept_store.append(writer.prepare([*writes, ("t", pack(0), b"twice")], Seq(0)))
    assert kept_store.count("t") == max(size, 1)
    row = kept_store.get("t", pack(0))
    assert row is not None and row.packed == b"twice"  # the later of two in one load stands
    again = writer.prepare(writes, Seq(0))
    assert fault_code(lambda: admit_append(again, kept_store.head_seq, writer.epoch)) is Code.FENCED


@covers("DeleteAllData")
def test_everything_can_be_deleted(kept_store: Datastore) -> None:
    put(kept_store, *[(table, n, b"x") for table in ("t", "u", "v") for n in range(20)])
    for table in kept_store.tables():
        delete_where(kept_store, table, lambda row: True)
    assert all(not rows for rows in state_at(kept_store, kept_store.head_seq).values())
    kept_store.raise_floor(kept_store.head_seq)
    collect_all(kept_store)
    assert kept_store.stats().rows == 0 and kept_store.stats().versions == 0


# The log, as it is watched


@covers("WatchWithTouch", "WatchWithDelete", "WatchWithMetadata")
def test_every_write_is_an_entry_with_what_it_did(kept_store: Datastore) -> None:
    put(kept_store, ("t", 1, b"x"))
    put(kept_store, ("t", 1, b"x"))  # a write that changes nothing has its revision all the same
    put(kept_store, ("t", 1, None))
    entries = entries_of(kept_store.log(Seq(0), 10))
    assert [(entry.seq, entry.change.packed, entry.txn_last) for entry in entries] == [
        (1, b"x", True),
        (2, b"x", True),
        (3, b"", True),
    ]
    assert [entry.epoch for entry in entries] == [1, 2, 3]


@covers("own 18")
def test_the_log_at_its_bounds(kept_store: Datastore) -> None:
    put(kept_store, *[("t", n, b"x") for n in range(10)])
    kept_store.raise_floor(Seq(6))
    collect_all(kept_store)
    assert kept_store.trim_log(Seq(5)) == 4 and kept_store.log_floor_seq == 5
    assert fault_code(lambda: kept_store.log(Seq(3), 1)) is Code.REVISION_GONE
    assert [entry.seq for entry in entries_of(kept_store.log(Seq(4), 2))] == [5, 6]
    assert [entry.seq for entry in entries_of(kept_store.log(Seq(9), 2))] == [10]
    assert list(kept_store.log(Seq(10), 2)) == []
    assert fault_code(lambda: kept_store.log(Seq(11), 2)) is Code.REVISION_GONE
    assert kept_store.trim_log(Seq(99)) == 2 and kept_store.log_floor_seq == 7  # never what collecting still needs


# Revisions


@covers("RevisionSerialization", "own 4")
def test_tokens_sort_as_their_numbers(kept_store: Datastore) -> None:
    writer = Writer(kept_store)
    seqs = [0, 9, 10, 99, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**63]
    tokens = [writer.token(seq) for seq in seqs]
    assert tokens == sorted(tokens) and [parse_revision(token).seq for token in tokens] == seqs


@covers("SequentialRevisions", "ConcurrentRevisions", "ConcurrentWriteRevisionVisibility")
async def test_revisions_never_go_back_and_each_sees_those_before(kept_store: Datastore) -> None:
    writer, heads = Writer(kept_store), []
    for n in range(50):
        writer.write(("t", pack(n), b"x"))
        heads.append(kept_store.head_seq)
        assert kept_store.synced_seq <= kept_store.head_seq
    assert heads == list(range(1, 51))
    synced = await asyncio.gather(*[kept_store.sync() for _ in range(10)])
    assert min(synced) == 50  # many who ask at one time share one revision
    for n, head in enumerate(heads):
        assert len(kept_store.scan("t", head, limit=100)) == n + 1


@covers("CheckRevisions", "InvalidReads", "own 5")
def test_five_ways_for_a_token_to_be_refused(kept_store: Datastore) -> None:
    old = Writer(kept_store)
    for n in range(6):
        old.write(("t", pack(1), b"%d" % n))
    durable(kept_store)
    new = Writer(kept_store)
    new.write(("t", pack(1), b"7"))
    durable(kept_store)
    kept_store.raise_floor(Seq(4))
    good = [old.token(4), old.token(6), new.token(4), new.token(7)]
    assert [kept_store.check_revision(token) for token in good] == [4, 6, 4, 7]
    assert kept_store.check_revision(old.token(2), readable=False) == 2  # at least as fresh as what is gone
    foreign = new.token(5).replace(kept_store.store_id, "00000000" if kept_store.store_id[0] != "0" else "11111111")
    refused = {
        "garbage": "v1.nonsense",
        "foreign": foreign,
        "lost_branch": old.token(7),
        "future": new.token(8),
        "trimmed": new.token(3),
    }
    for reason, token in refused.items():
        with pytest.raises(Fault) as caught:
            kept_store.check_revision(token)
        assert caught.value.details["reason"] == reason
        assert caught.value.code is (Code.INVALID if reason == "garbage" else Code.REVISION_GONE)
        if reason != "garbage":
            assert caught.value.details["floor"] == new.token(4) and caught.value.details["head"] == new.token(7)
    never = new.token(5).replace(".00000002.", ".00000003.")
    assert caught_reason(kept_store, never) == "lost_branch"  # an epoch that was never taken here


def caught_reason(store: Datastore, token: str) -> str:
    with pytest.raises(Fault) as caught:
        store.check_revision(token)
    return caught.value.details["reason"]


@covers("own 3")
def test_seqs_above_what_a_double_holds(engine: str, tmp_path: object) -> None:
    from pathlib import Path

    from sp00ky.scheduler.datastore.memory import MemoryDatastore

    for base in (2**32 - 2, 2**53 - 2, 2**62):
        path = Path(str(tmp_path)) / str(base)
        store: Datastore = MemoryDatastore(base) if engine == "memory" else RocksDatastore.open(path, base_seq=base)
        writer = Writer(store)
        for n in range(4):
            writer.write(("t", pack(1), b"%d" % n))
        durable(store)
        assert store.head_seq == base + 4 and store.check_revision(writer.token(base + 3)) == base + 3
        assert [bodies(store, "t", Seq(base + n)) for n in range(5)] == [[], [b"0"], [b"1"], [b"2"], [b"3"]]
        store.raise_floor(Seq(base + 3))
        assert collect_all(store) == 2 and store.trim_log(Seq(base + 4)) == 3
        store.close()


@covers("RevisionGC")
def test_what_was_written_before_the_window_is_readable_at_the_head(kept_store: Datastore) -> None:
    put(kept_store, ("t", 1, b"old"), ("t", 2, b"old"), ("t", 3, b"old"))
    head = put(kept_store, ("t", 2, b"new"), ("t", 3, None))
    assert kept_store.raise_floor(head) == head
    assert collect_all(kept_store) == 3
    assert bodies(kept_store, "t") == [b"old", b"new"]
    for read in (lambda: kept_store.scan("t", Seq(4)), lambda: kept_store.get("t", pack(1), Seq(4))):
        assert fault_code(read) is Code.REVISION_GONE
    assert fault_code(lambda: kept_store.holding(Seq(4)).__enter__()) is Code.REVISION_GONE
    assert collect_all(kept_store) == 0


def test_a_tombstone_stays_as_long_as_its_stamp_may_come_again(kept_store: Datastore) -> None:
    writer = Writer(kept_store)
    for n, stamp in enumerate((5, 9, 12)):
        writer.write(("t", pack(n), b"x"), stamp=(1, stamp - 1))
        writer.write(("t", pack(n), None), stamp=(1, stamp))
    writer.write(("t", pack(3), None))  # without a stamp nothing is recognised
    durable(kept_store)
    kept_store.raise_floor(kept_store.head_seq)
    assert collect_all(kept_store, (1, 9)) == 5
    assert [kept_store.stamp_of("t", pack(n)) for n in range(3)] == [(0, 0), (1, 9), (1, 12)]
    writer.write(("t", pack(2), b"again"), stamp=(1, 13))
    durable(kept_store)
    kept_store.raise_floor(kept_store.head_seq)
    assert collect_all(kept_store, (1, 12)) == 2  # the one that may not come again, and the one that was overwritten
    assert [kept_store.stamp_of("t", pack(n)) for n in range(3)] == [(0, 0), (0, 0), (1, 13)]
    assert collect_all(kept_store) == 0 and bodies(kept_store, "t") == [b"again"]


@covers("Stats")
def test_stats_count(kept_store: Datastore) -> None:
    put(kept_store, *[("t", n, b"x" * 100) for n in range(10)], ("u", 1, b"y"))
    put(kept_store, ("t", 1, None), ("t", 2, b"z"))
    stats = kept_store.stats()
    assert (stats.rows, stats.log_entries) == (10, 13)
    assert stats.versions >= 10 and stats.log_bytes > 1_000
    assert kept_store.stats() == stats or kept_store.engine == "rocksdb"
    kept_store.raise_floor(kept_store.head_seq)
    collect_all(kept_store)
    kept_store.trim_log(Seq(99))
    assert kept_store.stats().log_entries == 0 and kept_store.stats().rows == 10


@covers("own 20")
def test_a_wall_clock_that_jumps_back_moves_no_pin(kept_store: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    writer = Writer(kept_store)
    at = put(kept_store, ("t", 1, b"x"), writer=writer)
    writer.pin("a", at, ttl_ms=3_600_000)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    put(kept_store, ("t", 1, b"y"), writer=writer)
    assert kept_store.raise_floor(kept_store.head_seq) == at
    assert [(pin.owner, pin.at) for pin in kept_store.pins()] == [("a", at)]
    assert bodies(kept_store, "t", at) == [b"x"]
