"""Hints that a record may have changed, kept until the record has been read after the change.

A post of an event comes from inside its transaction, which may commit later, or never. So the record is read again and
again, at growing intervals, and a hint is over

    early    when the change can be seen: the record is another than when the hint came, and it is gone (after a
             deletion), or its version in `_00_version` is at least the posted one, which is written with it
    else     after the last of `DELAYS_S`: what was read then stays, for a cancelled transaction as it always was

A hint for a record that has one already begins the intervals anew. A deletion beside another change may be of either
order, and version numbers begin again after it: then nothing ends it early. What is seen later than the last interval
is found by the check for drift alone.

Invariant: a hint that was answered is in the store until what it asked for is durable: each is a meta value of its own,
and the commit that takes one back is the one that holds what was read, or a later one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.poison import Record
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite

HINT_META: Final = b"capture/hint/"
HINTS_MAX: Final = 100_000  # records that wait to be read
DELAYS_S: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 15.0)
RETRY_MS: Final = 1000
_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Posted:
    """`version`: the record's own, as posted; None: not said."""

    record: Record
    is_deletion: bool
    version: int | None = None


@dataclass(slots=True)
class Hint:
    """`ends_early`: whether seeing the change ends it. `before`: what the replica had when it came. `numbers`: of the
    meta values that keep it, the newest last."""

    posted: Posted
    ends_early: bool
    before: bytes | None
    numbers: list[int]
    attempts: int
    due_s: float

    @property
    def record(self) -> Record:
        return self.posted.record

    def is_seen(self, packed: bytes | None, version: int | None) -> bool:
        """Whether a record of these, the version read before it, shows the change."""
        if not self.ends_early or packed == self.before:
            return False
        if self.posted.is_deletion:
            return packed is None
        wanted = self.posted.version
        return packed is not None and wanted is not None and version is not None and version >= wanted


class Hints:
    """Those of a store. `taken`, `expired`: how many so far, and how many of them were never seen to come true."""

    def __init__(self, store: Datastore, now_s: float, hints_max: int = HINTS_MAX) -> None:
        self._hints: dict[Record, Hint] = {}
        self._queue: list[tuple[float, int, Hint]] = []  # by when they are due; some have been put off since
        self._hints_max = hints_max
        self._number = 0
        self.taken = self.expired = 0
        for name, value in store.metas(HINT_META):
            number = int.from_bytes(name.removeprefix(HINT_META))
            self._number = max(self._number, number)
            table, key, is_deletion, version = unpack(value)
            posted = Posted((table, key), is_deletion, version)
            self._put(posted, None, number, now_s).ends_early = False  # what the replica had then is not known any more

    def __len__(self) -> int:
        return len(self._hints)

    def take(self, posts: Sequence[Posted], before: Mapping[Record, bytes | None], now_s: float) -> list[MetaWrite]:
        """What to commit before they are answered. Raises Fault OVERLOADED; none is taken then."""
        new = {post.record for post in posts} - self._hints.keys()
        if len(self._hints) + len(new) > self._hints_max:
            waiting = len(self._hints)
            message = f"{waiting} records wait to be read from SurrealDB"
            details = {"queued": str(waiting), "queue_max": str(self._hints_max), RETRY_AFTER_MS: str(RETRY_MS)}
            raise Fault(Code.OVERLOADED, message, "retry after a moment", details)
        metas: list[MetaWrite] = []
        for post in posts:
            self._number += 1
            hint = self._put(post, before[post.record], self._number, now_s)
            kept = hint.posted
            metas.append(MetaWrite(_name(self._number), pack([*kept.record, kept.is_deletion, kept.version])))
            metas += [MetaWrite(_name(number), None) for number in hint.numbers[:-1]]
            del hint.numbers[:-1]
        self.taken += len(posts)
        return metas

    def _put(self, posted: Posted, before: bytes | None, number: int, now_s: float) -> Hint:
        known = self._hints.pop(posted.record, None)
        hint = Hint(posted, True, before, [number], 0, now_s + DELAYS_S[0])
        if known is not None:
            hint.numbers = [*known.numbers, number]
            hint.ends_early = known.ends_early and known.posted.is_deletion == posted.is_deletion
            if known.posted.version is not None and (posted.version is None or posted.version < known.posted.version):
                hint.posted = Posted(posted.record, posted.is_deletion, known.posted.version)
        self._hints[posted.record] = hint
        self.put_back([hint])
        return hint

    def due(self, now_s: float, limit: int) -> list[Hint]:
        """Those whose record is to be read now, who have waited longest first; `put_back` them if it cannot be."""
        found: list[Hint] = []
        while len(found) < limit and (next_s := self.next_s()) is not None and next_s <= now_s:
            found.append(heapq.heappop(self._queue)[2])
        return found

    def next_s(self) -> float | None:
        """When the next is due."""
        while self._queue:
            due_s, _, hint = self._queue[0]
            if self._hints.get(hint.record) is hint and hint.due_s == due_s:
                return due_s
            heapq.heappop(self._queue)
        return None

    def put_back(self, hints: Iterable[Hint]) -> None:
        for hint in hints:
            heapq.heappush(self._queue, (hint.due_s, hint.numbers[-1], hint))

    def was_read(self, hint: Hint, packed: bytes | None, version: int | None, now_s: float) -> list[MetaWrite]:
        """What to commit with what was read of a due one: its end, if that was all."""
        if self._hints.get(hint.record) is not hint:
            return []  # another came meanwhile
        hint.attempts += 1
        is_seen = hint.is_seen(packed, version)
        if not is_seen and hint.attempts < len(DELAYS_S):
            hint.due_s = now_s + DELAYS_S[hint.attempts]
            self.put_back([hint])
            return []
        self.expired += not is_seen
        return [MetaWrite(_name(number), None) for number in hint.numbers]

    def end(self, hints: Iterable[Hint]) -> None:
        """Their end is durable."""
        for hint in hints:
            if self._hints.get(hint.record) is hint:
                del self._hints[hint.record]


def _name(number: int) -> bytes:
    return HINT_META + number.to_bytes(_NUMBER_BYTES)
