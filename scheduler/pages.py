"""Pages of a table at a revision, for SSPs that load: read and written once for all that load at the same revision.

A page is kept as the bytes of its message but for the load's number, which is written in front: fields may come in any
order. What is kept is bounded in bytes, the oldest goes first, and all of it goes when nobody loads.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import replication_pb2
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.entries import length, message_of, varint

PAGE_ROWS_MAX = 5_000
PAGE_BYTES_MAX = 4 * 1024 * 1024
PAGES_BYTES_MAX = 64 * 1024 * 1024
_PAGE, _LOAD_ID = b"\x12", b"\x08"  # tags: ReplicateResponse.page, Page.load_id
_TABLE, _ROWS, _NEXT_AFTER_KEY = b"\x12", b"\x1a", b"\x22"  # of a Page
_KEY, _PACKED, _SEQ = b"\x0a", b"\x12", b"\x18"  # of a Row


class _Place(NamedTuple):
    table: str
    at_seq: int
    after_key: bytes
    rows_max: int


class Pages:
    def __init__(self, store: Datastore, bytes_max: int = PAGES_BYTES_MAX) -> None:
        self._store, self._bytes_max = store, bytes_max
        self._kept: OrderedDict[_Place, bytes] = OrderedDict()
        self.bytes = self.hits = self.misses = 0

    def response(self, load: replication_pb2.Load, page_rows: int, shared: bool) -> bytes:
        """A whole `ReplicateResponse` with the page; `shared`: others load at this revision, or may. Raises Fault
        REVISION_GONE."""
        place = _Place(load.table, load.at_seq, load.after_key, load.rows_max or page_rows)
        body = self._kept.get(place)
        if body is None:
            self.misses += 1
            body = _written(self._store, load, page_rows)
            if shared:
                self._keep(place, body)
        else:
            self.hits += 1
        return message_of(_PAGE, [_LOAD_ID + varint(load.load_id) + body])

    def _keep(self, place: _Place, body: bytes) -> None:
        self._kept[place] = body
        self.bytes += len(body)
        while self.bytes > self._bytes_max:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= len(oldest)

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0


def read_page(store: Datastore, load: replication_pb2.Load, page_rows: int) -> replication_pb2.Page:
    """A page of a table at exactly `load.at_seq`. Raises Fault REVISION_GONE."""
    page = replication_pb2.Page.FromString(_written(store, load, page_rows))
    page.load_id = load.load_id
    return page


def _written(store: Datastore, load: replication_pb2.Load, page_rows: int) -> bytes:
    """The page without the load's number. The stored bytes go into it as they are: no row is built as a message."""
    rows_max = min(load.rows_max or page_rows, PAGE_ROWS_MAX)
    found = store.scan(load.table, Seq(load.at_seq), load.after_key, rows_max + 1)
    rows: list[bytes] = []
    size, last_key = 0, b""
    for row in found:
        size += len(row.packed)
        if rows and (size > PAGE_BYTES_MAX or len(rows) == rows_max):
            break
        last_key, packed = row.key, row.packed
        rows.append(
            b"".join((_KEY, length(last_key), last_key, _PACKED, length(packed), packed, _SEQ, varint(row.seq)))
        )
    # The store cuts pages by bytes too, so one large row alone need not be the last.
    more = len(rows) < len(found) or (size > PAGE_BYTES_MAX and store.scan(load.table, Seq(load.at_seq), last_key, 1))
    written = message_of(_TABLE, [load.table.encode()]) + message_of(_ROWS, rows)
    return written + message_of(_NEXT_AFTER_KEY, [last_key]) if more else written
