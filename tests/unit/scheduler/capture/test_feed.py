"""What a page of the feed says: formats, cut pages, net changes, what was seen."""

from __future__ import annotations

from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.feed import PAGE_ENTRIES, Before, Seen, net_changes, parse_page, parse_row


def record(table: str, key: Value, **fields: Value) -> dict[str, Value]:
    return {"id": RecordId(table, key), **fields}


def row(stamp: int, *changes: Value) -> dict[str, Value]:
    return {"versionstamp": stamp, "changes": list(changes)}


def created(table: str, key: Value, **fields: Value) -> dict[str, Value]:
    return {"update": record(table, key, **fields)}


def test_every_format() -> None:
    old, new = record("t", 1, n=1), record("t", 1, n=2)
    parsed = parse_row(
        row(
            7,
            {"update": new},
            {"current": new, "update": [{"op": "replace", "path": "/n", "value": 1}]},
            {"delete": {"id": old["id"], "original": old}},
            {"delete": {"id": old["id"]}},
            {"define_table": {"name": "t"}},
        )
    )
    found = [(change.op, change.packed, change.before, change.original) for change in parsed.changes]
    assert found == [
        (common_pb2.OP_CREATE, pack(new), Before.ABSENT, None),
        (common_pb2.OP_UPDATE, pack(new), Before.PRESENT, None),
        (common_pb2.OP_DELETE, None, Before.EXACTLY, pack(old)),
        (common_pb2.OP_DELETE, None, Before.UNKNOWN, None),
    ]
    assert {(change.table, change.key) for change in parsed.changes} == {("t", pack(1))}
    assert parsed.stamp == 7 and parsed.pairs == 2 and not parsed.poison and parsed.defines


def test_how_far_back_there_are_so_many_changes() -> None:
    """Those of the mesh's own tables too, which cost as much to read."""
    seen = Seen()
    rows = [row(stamp, created("a", stamp), created("_00_x", stamp)) for stamp in (10, 20, 30)]
    seen.mark(map(parse_row, rows))
    assert [seen.crowded_below(changes) for changes in (1, 2, 3, 4, 5, 6)] == [31, 21, 21, 11, 11, 0]
    seen.prune(25)
    assert seen.crowded_below(2) == 0


def test_a_table_of_the_mesh_that_is_defined_is_no_news() -> None:
    assert not parse_row(row(1, {"define_table": {"name": "_00_list_ref_user_1"}}, created("a", 1))).defines


def test_a_poisoned_change_costs_its_row_nothing_else() -> None:
    parsed = parse_row(
        row(1, created("a", 1), {"new format": 1}, {"update": record("a", 2, n=2**70)}, created("_00_x", 1), "?")
    )
    assert [change.key for change in parsed.changes] == [pack(1)]
    assert len(parsed.poison) == 3
    assert parsed.pairs == 5


def test_rows_of_views_have_no_id_and_are_left_out() -> None:
    view_rows = [
        {"update": {"n": 1}},
        {"current": {"n": 2}, "update": []},
        {"delete": {"id": RecordId("v", []), "original": {"n": 2}}},
    ]
    parsed = parse_row(row(1, *view_rows, created("a", 1)))
    assert [change.table for change in parsed.changes] == ["a"] and not parsed.poison


def test_the_last_row_of_a_full_page_is_left_for_the_next() -> None:
    rows = [row(stamp, created("a", stamp), created("b", stamp)) for stamp in range(1, 501)]
    page = parse_page(rows)
    assert [parsed.stamp for parsed in page.rows] == list(range(1, 500))
    assert page.since == 500 and not any(parsed.is_cut for parsed in page.rows)
    assert parse_page(rows[:-1]).since is None
    assert len(parse_page(rows[:-1]).rows) == 499


def test_a_page_counts_table_entries_not_rows_or_changes() -> None:
    many_changes = row(1, *[created("a", key) for key in range(5000)])
    assert parse_page([many_changes]).since is None
    mesh_rows = [row(stamp, created("_00_edge", stamp)) for stamp in range(1, PAGE_ENTRIES + 1)]
    page = parse_page(mesh_rows)
    assert page.since == PAGE_ENTRIES and len(page.rows) == PAGE_ENTRIES - 1


def test_a_row_that_fills_a_page_is_told() -> None:
    wide = row(9, *[created(f"t{n}", 1) for n in range(PAGE_ENTRIES)])
    page = parse_page([row(3, created("a", 1)), wide])
    assert [parsed.stamp for parsed in page.rows] == [3] and page.since == 9
    page = parse_page([wide])
    assert [parsed.is_cut for parsed in page.rows] == [True] and page.since == 10
    assert parse_page([]).since is None


def test_a_transaction_comes_to_one_change_a_record() -> None:
    one, two = record("t", 1, n=1), record("t", 1, n=2)
    gone = {"delete": {"id": one["id"], "original": two}}
    update = {"current": two, "update": []}

    def net(*changes: Value) -> list[tuple[int, bytes | None, Before]]:
        return [
            (change.op, change.packed, change.before) for change in net_changes(parse_row(row(1, *changes)).changes)
        ]

    assert net({"update": one}, update) == [(common_pb2.OP_CREATE, pack(two), Before.ABSENT)]
    assert net({"update": one}, update, gone) == []
    assert net(update, gone) == [(common_pb2.OP_DELETE, None, Before.PRESENT)]
    assert net(gone, {"update": one}) == [(common_pb2.OP_UPDATE, pack(one), Before.EXACTLY)]
    assert net(gone, {"update": one}, gone) == [(common_pb2.OP_DELETE, None, Before.EXACTLY)]


def test_a_row_is_seen_once_and_what_it_grew_by_is_new() -> None:
    seen = Seen()
    first = parse_row(row(5, created("a", 1)))
    assert seen.unseen([first]) == [first]
    assert seen.unseen([first]) == [first]  # nothing is seen before it is marked
    seen.mark([first])
    assert seen.unseen([first]) == []
    grown = parse_row(row(5, created("a", 1), created("b", 1)))
    assert [[change.table for change in part.changes] for part in seen.unseen([grown])] == [["b"]]
    other = parse_row(row(5, created("a", 2)))
    assert seen.unseen([other]) == [other]
    seen.mark([grown, other])
    assert seen.unseen([grown, other, first]) == []
    seen.prune(5)
    assert seen.unseen([first]) == [] and len(seen) == 1
    seen.prune(6)
    assert seen.unseen([first]) == [first] and len(seen) == 0
