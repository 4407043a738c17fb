"""Pages for loads: one message for all that load at a revision, and no more kept than the limit."""

from __future__ import annotations

import pytest
from sp00ky.proto.revision import Epoch, Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler import pages as pages_module
from sp00ky.scheduler.datastore.datastore import Append, RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.pages import Pages, read_page


def stored(rows: int) -> MemoryDatastore:
    store = MemoryDatastore()
    epoch = store.take_epoch()
    assert epoch == Epoch(1)
    entries = [common_pb2.Entry(seq=seq, txn_last=True) for seq in range(1, rows + 1)]
    writes = [RowWrite("t", pack(seq), b"x" * 100, Seq(seq), (0, 0)) for seq in range(1, rows + 1)]
    store.append(Append(epoch, Seq(0), entries, writes))
    return store


def test_a_kept_page_is_the_page_with_another_number() -> None:
    store = stored(10)
    pages = Pages(store)
    for load_id in (1, 300):
        load = replication_pb2.Load(load_id=load_id, table="t", at_seq=10, rows_max=4)
        response = replication_pb2.ReplicateResponse.FromString(pages.response(load, 500, shared=True))
        assert response.page == read_page(store, load, 500) and response.page.load_id == load_id
    assert (pages.hits, pages.misses) == (1, 1)
    later = replication_pb2.Load(load_id=2, table="t", at_seq=9, rows_max=4)
    assert replication_pb2.ReplicateResponse.FromString(pages.response(later, 500, shared=False)).page.load_id == 2
    assert pages.misses == 2 and pages.response(later, 500, shared=False) and pages.misses == 3


def test_what_is_kept_is_bounded_and_goes() -> None:
    pages = Pages(stored(100), bytes_max=1_500)
    for after in range(0, 100, 10):
        after_key = pack(after) if after else b""
        pages.response(replication_pb2.Load(table="t", at_seq=100, rows_max=10, after_key=after_key), 500, shared=True)
        assert pages.bytes <= 1_500
    assert pages.bytes > 0
    pages.clear()
    assert pages.bytes == 0


@pytest.mark.parametrize("bytes_max", [50, 250, 4_000_000])
@pytest.mark.parametrize("rows_max", [1, 3, 10, 11])
def test_pages_are_the_table_row_by_row(monkeypatch: pytest.MonkeyPatch, bytes_max: int, rows_max: int) -> None:
    monkeypatch.setattr(pages_module, "PAGE_BYTES_MAX", bytes_max)
    store = stored(10)
    found: list[tuple[bytes, bytes, int]] = []
    load = replication_pb2.Load(table="t", at_seq=10, rows_max=rows_max)
    while True:
        page = read_page(store, load, 500)
        assert 0 < len(page.rows) <= max(1, min(rows_max, bytes_max // 100)) and page.table == "t"
        found += [(row.key, row.packed, row.seq) for row in page.rows]
        load.after_key = page.next_after_key
        if not page.next_after_key:
            break
    assert found == [(pack(seq), b"x" * 100, seq) for seq in range(1, 11)]
    assert read_page(store, replication_pb2.Load(table="none", at_seq=10), 500) == replication_pb2.Page(table="none")
