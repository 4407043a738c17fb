"""Keys of changes already applied, so that a retry is answered like the first try and changes nothing.

A window of the newest `keys_max` keys. It is committed as meta in the very append that applies the change, so a retry
after a crash between fsync and answer (fault C3) still finds it. Beyond the window a key is forgotten.

Invariant: a key is in the window iff `idem/<key>` is in the store's meta; its value is the last seq of the transaction
that applied it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sp00ky.proto.revision import Seq
from sp00ky.scheduler.changes import CanonicalChange
from sp00ky.scheduler.datastore.datastore import MetaWrite

META_PREFIX = b"idem/"
KEYS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Sifted:
    """Changes not applied before, with their keys by transaction; and the newest seq of those that were."""

    transactions: Sequence[Sequence[CanonicalChange]]
    keys: Sequence[tuple[int, str]]  # index into `transactions`, key
    applied_seq: Seq


class IdempotencyWindow:
    def __init__(self, metas: Iterable[tuple[bytes, bytes]], keys_max: int = KEYS_MAX) -> None:
        stored = sorted((int.from_bytes(value, "big"), name) for name, value in metas)
        self._seq_of = OrderedDict((name[len(META_PREFIX) :].decode(), Seq(seq)) for seq, name in stored)
        self._keys_max = keys_max

    def sift(self, transactions: Sequence[Sequence[CanonicalChange]]) -> Sifted:
        """Leave out changes whose key has been applied, or stands earlier in the same offer."""
        if not any(change.idempotency_key for changes in transactions for change in changes):
            return Sifted(transactions, (), Seq(0))
        fresh: list[list[CanonicalChange]] = []
        keys: list[tuple[int, str]] = []
        applied, offered = Seq(0), set[str]()
        for changes in transactions:
            kept = []
            for change in changes:
                key = change.idempotency_key
                if key in self._seq_of:
                    applied = max(applied, self._seq_of[key])
                elif key not in offered:
                    kept.append(change)
                    if key:
                        offered.add(key)
                        keys.append((len(fresh), key))
            if kept:
                fresh.append(kept)
        return Sifted(fresh, keys, applied)

    def remember(self, keys: Sequence[tuple[int, str]], lasts: Sequence[Seq]) -> list[MetaWrite]:
        """Take the keys of a sequenced offer; returns what to commit, forgotten keys included."""
        writes = []
        for index, key in keys:
            self._seq_of[key] = lasts[index]
            writes.append(MetaWrite(META_PREFIX + key.encode(), lasts[index].to_bytes(8, "big")))
        while len(self._seq_of) > self._keys_max:
            oldest, _ = self._seq_of.popitem(last=False)
            writes.append(MetaWrite(META_PREFIX + oldest.encode(), None))
        return writes
