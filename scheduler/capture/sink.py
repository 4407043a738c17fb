"""What the capture needs of the scheduler: somewhere to offer transactions, and the replica to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite


class Sink(Protocol):
    """One offer is one call: its transactions are numbered in order, and its metas are committed with them.

    A change with a source is dropped if its (epoch, stamp) is not newer than the row's; a change without one always
    counts."""

    store: Datastore

    async def offer_transactions(
        self, transactions: Sequence[Sequence[common_pb2.Change]], meta: Sequence[MetaWrite]
    ) -> Seq:
        """The head that holds them, durable on return. Raises Fault; nothing of the offer counts then."""
        ...
