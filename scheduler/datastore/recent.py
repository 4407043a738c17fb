"""Newest versions of the records touched last: what intake asks of a record before it writes the next version.

Invariant: what is in here equals a seek in the rows; a record that is not in here may exist. Bounded by generations:
when the young one is full it becomes the old one, and the old one is dropped; a hit moves a record to the young one.
"""

from __future__ import annotations

from typing import Final

from sp00ky.scheduler.datastore.layout import Version

_GENERATION_MAX: Final = 65_536


class RecentVersions:
    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[bytes, Version] = {}
        self._old: dict[bytes, Version] = {}

    def get(self, record: bytes) -> Version | None:
        version = self._young.get(record)
        if version is None and (version := self._old.get(record)) is not None:
            self.put(record, version)
        return version

    def put(self, record: bytes, version: Version) -> None:
        self._young[record] = version
        if len(self._young) >= _GENERATION_MAX:
            self._old, self._young = self._young, {}

    def forget(self, record: bytes) -> None:
        self._young.pop(record, None)
        self._old.pop(record, None)

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()
