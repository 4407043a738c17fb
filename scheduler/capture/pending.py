"""What the replica will be once what has been read is durable: results over the store, record by record."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.capture.poison import Record
from sp00ky.scheduler.datastore.datastore import Datastore

SLICE_CHANGES: Final = 500  # without a pause: a transaction may be of 100,000, and the event loop has other work


class Result(NamedTuple):
    """A record's bytes, None: not there; and the stamp of the last change of it that the feed told of."""

    packed: bytes | None
    stamp: tuple[int, int]


class Pending:
    def __init__(self, store: Datastore) -> None:
        self._store = store
        self._results: dict[Record, Result] = {}

    def __len__(self) -> int:
        return len(self._results)

    def packed(self, record: Record) -> bytes | None:
        result = self._results.get(record)
        if result is not None:
            return result.packed
        row = self._store.get(*record)
        return None if row is None else row.packed

    def stamp(self, record: Record) -> tuple[int, int]:
        result = self._results.get(record)
        return self._store.stamp_of(*record) if result is None else result.stamp

    def keys(self, table: str) -> list[bytes]:
        return [key for (name, key), result in self._results.items() if name == table and result.packed is not None]

    def put(self, record: Record, packed: bytes | None, stamp: tuple[int, int]) -> None:
        self._results[record] = Result(packed, stamp)

    async def transaction(self) -> list[common_pb2.Change]:
        """What turns the store into this. A change without a source counts whatever the row's stamp is.

        A stamp that grows is a change by itself, of a record that was made and deleted meanwhile too: without it, both
        would count again when they are delivered again."""
        changes = []
        for place, ((table, key), (packed, stamp)) in enumerate(self._results.items(), 1):
            if place % SLICE_CHANGES == 0:
                await asyncio.sleep(0)
            row = self._store.get(table, key)
            is_newer = stamp > self._store.stamp_of(table, key)
            if packed == (None if row is None else row.packed) and not is_newer:
                continue
            if packed is None:
                change = common_pb2.Change(table=table, op=common_pb2.OP_DELETE, key=key)
            else:
                op = common_pb2.OP_CREATE if row is None else common_pb2.OP_UPDATE
                change = common_pb2.Change(table=table, op=op, key=key, packed=packed)
            if is_newer:
                change.source.epoch, change.source.stamp = stamp
            changes.append(change)
        return changes
