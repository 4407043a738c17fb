"""A sink that folds offers into a datastore in memory, as the scheduler does, and remembers what it was offered."""

from __future__ import annotations

from collections.abc import Sequence

from sp00ky.proto.faults import Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import unpack
from sp00ky.scheduler.datastore.datastore import Append, Datastore, MetaWrite, RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore

UNSOURCED = (0, 0)


class ReplicaSink:
    """`transactions`: the changes that counted, in order. `refuse`: raised for an offer that holds such a table."""

    def __init__(self, store: Datastore | None = None) -> None:
        self.store: Datastore = store or MemoryDatastore()
        self.epoch = self.store.take_epoch()
        self.transactions: list[list[common_pb2.Change]] = []
        self.offers = 0
        self.refuse: dict[str, Fault] = {}

    async def offer_transactions(
        self, transactions: Sequence[Sequence[common_pb2.Change]], meta: Sequence[MetaWrite]
    ) -> Seq:
        for change in (change for transaction in transactions for change in transaction):
            if change.table in self.refuse:
                raise self.refuse[change.table]
        self.offers += 1
        assert sum(map(len, transactions)) <= 1000 or len(transactions) == 1
        entries: list[common_pb2.Entry] = []
        rows: list[RowWrite] = []
        head = self.store.head_seq
        for transaction in transactions:
            kept = [change for change in transaction if self._counts(change)]
            for change in kept:
                seq = Seq(head + len(entries) + 1)
                entries.append(common_pb2.Entry(seq=seq, epoch=self.epoch, txn_last=change is kept[-1], change=change))
                packed = None if change.op == common_pb2.OP_DELETE else change.packed
                rows.append(RowWrite(change.table, change.key, packed, seq, stamp_of(change)))
            if kept:
                self.transactions.append(kept)
        self.store.append(Append(self.epoch, head, entries, rows, meta))
        return await self.store.sync()

    def _counts(self, change: common_pb2.Change) -> bool:
        return not change.HasField("source") or stamp_of(change) > self.store.stamp_of(change.table, change.key)

    def rows(self, table: str, at: Seq | None = None) -> dict[bytes, Value]:
        """Packed key → record."""
        found: dict[bytes, Value] = {}
        after = b""
        at = self.store.head_seq if at is None else at
        while page := self.store.scan(table, at, after):
            after = page[-1].key
            found.update((row.key, unpack(row.packed)) for row in page)
        return found


def stamp_of(change: common_pb2.Change) -> tuple[int, int]:
    return (change.source.epoch, change.source.stamp) if change.HasField("source") else UNSOURCED
