"""The rows of a table in the order of one field: what a new binding of an inequality reads instead of the table.

Δ(index) moves one key from its old place to its new one, O(log n) in a list of short lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from sortedcontainers import SortedList
from sp00ky.proto.values.kinds import NONE
from sp00ky.proto.values.order import SortKey, sort_key
from sp00ky.ssp.circuit.arrangement import Arrangement, HashIndex, Row

Edge: TypeAlias = tuple[SortKey, bool] | None  # (of a constant, whether what equals it is within); None: open

_LAST_KEY: Final = b"\xff\xff"  # above every packed value: the one that begins with 0xff has one byte


class OrderedIndex(HashIndex):
    """An index without a hash: all groups in one bucket, all keys in the order of `field`."""

    __slots__ = ("_order", "field")

    def __init__(self, arrangement: Arrangement, field: str) -> None:
        super().__init__(arrangement, ())
        self.field = field
        self._order = SortedList((self._place(row), key) for key, row in arrangement.images.items())

    def _place(self, row: Row) -> SortKey:
        return sort_key(row[0].get(self.field, NONE))

    def push(self, key: bytes, before: Row | None, after: Row | None) -> None:
        old = None if before is None else self._place(before)
        new = None if after is None else self._place(after)
        if old != new:
            if old is not None:
                self._order.remove((old, key))
            if new is not None:
                self._order.add((new, key))
        super().push(key, before, after)

    def rows_between(self, low: Edge, high: Edge) -> Iterable[tuple[bytes, Row]]:
        """The rows whose field lies between these edges, in its order."""
        order, images = self._order, self._arrangement.images
        first = 0 if low is None else order.bisect_left(_before(low[0], equal=not low[1]))
        last = len(order) if high is None else order.bisect_left(_before(high[0], equal=high[1]))
        return [(key, images[key]) for _, key in order.islice(first, last)]


def _before(edge: SortKey, *, equal: bool) -> tuple[SortKey, bytes]:
    """Where the keys at the edge begin; with `equal`, where they end."""
    return edge, _LAST_KEY if equal else b""
