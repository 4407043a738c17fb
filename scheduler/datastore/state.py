"""What the RocksDB engine keeps of itself: its keys in the meta family, read once when it is opened.

Invariant: each value is written in the batch of what it speaks of (the head with its entries, a floor with the deletes
below it), so that after a crash they agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rocksdict import Rdict, WriteBatch
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.opening import Files, fault_of_disk
from sp00ky.scheduler.datastore.retained import Marks

KEY_FORMAT: Final = b"\x00format"
KEY_STORE: Final = b"\x00store"
KEY_EPOCH: Final = b"\x00epoch"
KEY_HEAD: Final = b"\x00head"
KEY_FLOOR: Final = b"\x00floor"
KEY_COLLECTED: Final = b"\x00collected"
KEY_LOG_FLOOR: Final = b"\x00log floor"
KEY_LOG_BYTES: Final = b"\x00log bytes"  # ever appended, as of the head


@dataclass(frozen=True, slots=True)
class StoredState:
    store_id: StoreId
    epoch: Epoch
    head: Seq
    floor: Seq
    collected: Seq
    log_floor: Seq
    marks: Marks
    epochs: dict[Epoch, Seq]
    pins: list[tuple[str, Seq, int]]
    tables: dict[str, tuple[Seq, int]]  # name → (first seq, rows at the head)


def read_state(files: Files, name: str) -> StoredState:
    """Raises Fault DATA_LOSS."""
    stored = dict(with_prefix(files.meta, b"\x00", name))

    def seq(key: bytes) -> Seq:
        return layout.unpack_seq(stored[key])

    marks = [
        (layout.unpack_seq(key[1:]), layout.unpack_seq(value))
        for key, value in with_prefix(files.meta, layout.MARK_PREFIX, name)
    ]
    return StoredState(
        store_id=StoreId(stored[KEY_STORE].decode()),
        epoch=Epoch(seq(KEY_EPOCH)),
        head=seq(KEY_HEAD),
        floor=seq(KEY_FLOOR),
        collected=seq(KEY_COLLECTED),
        log_floor=seq(KEY_LOG_FLOOR),
        marks=Marks(marks, seq(KEY_LOG_BYTES)),
        epochs={
            Epoch(layout.unpack_seq(key[1:])): layout.unpack_seq(value)
            for key, value in with_prefix(files.meta, layout.EPOCH_PREFIX, name)
        },
        pins=[layout.pin_of(key, value) for key, value in with_prefix(files.meta, layout.PIN_PREFIX, name)],
        tables={
            key[1:].decode(): layout.table_of(value)
            for key, value in with_prefix(files.meta, layout.TABLE_PREFIX, name)
        },
    )


def make_store(files: Files, store_id: StoreId, revision: str, base_seq: Seq) -> None:
    """An empty store that numbers from `base_seq` + 1, durable on return."""
    batch, meta = WriteBatch(raw_mode=True), files.family("meta")
    for name, value in (
        (KEY_STORE, store_id.encode()),
        (KEY_EPOCH, layout.pack_seq(0)),
        (KEY_LOG_BYTES, layout.pack_seq(0)),
        (KEY_FORMAT, revision.encode()),
    ):
        batch.put(name, value, meta)
    put_empty_log(batch, files, base_seq, 0)
    files.db.write(batch)
    files.db.flush_wal(True)


def put_empty_log(batch: WriteBatch, files: Files, head: Seq, log_bytes: int) -> None:
    """Head and floors of a store whose log ends at `head` and holds nothing."""
    meta = files.family("meta")
    for name in (KEY_HEAD, KEY_FLOOR, KEY_COLLECTED):
        batch.put(name, layout.pack_seq(head), meta)
    batch.put(KEY_LOG_FLOOR, layout.pack_seq(head + 1), meta)
    batch.put(layout.MARK_PREFIX + layout.pack_seq(head), layout.pack_seq(log_bytes), meta)


def put_seq(batch: WriteBatch, files: Files, key: bytes, seq: int) -> None:
    batch.put(key, layout.pack_seq(seq), files.family("meta"))


def with_prefix(family: Rdict, prefix: bytes, name: str) -> list[tuple[bytes, bytes]]:
    """Raises Fault DATA_LOSS: an iterator that met damage only stops being valid."""
    found = []
    iterator = family.iter()
    iterator.seek(prefix)
    while iterator.valid() and iterator.key().startswith(prefix):
        found.append((iterator.key(), iterator.value()))
        iterator.next()
    try:
        iterator.status()
    except Exception as error:
        raise fault_of_disk(name, str(error)) from error
    return found
