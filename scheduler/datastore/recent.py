"""Newest versions of the records touched last: what intake asks of a record before it writes the next version.

Invariant: what is in here equals a seek in the rows; a record that is not in here may exist. Bounded by generations:
when the young one is full it becomes the old one, and the old one is dropped; what is written is in the young one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sp00ky.scheduler.datastore.layout import Version

_GENERATION_MAX: Final = 65_536


class RecentVersions:
    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[bytes, Version] = {}
        self._old: dict[bytes, Version] = {}

    def split(self, records: Iterable[bytes]) -> tuple[dict[bytes, Version], list[bytes]]:
        """The newest versions of those records that are in here, and the others."""
        young, old = self._young.get, self._old.get
        found, unknown = {}, []
        for record in records:
            version = young(record) or old(record)
            if version is None:
                unknown.append(record)
            else:
                found[record] = version
        return found, unknown

    def update(self, versions: Mapping[bytes, Version]) -> None:
        self._young.update(versions)
        if len(self._young) >= _GENERATION_MAX:
            self._old, self._young = self._young, {}

    def forget(self, record: bytes) -> None:
        self._young.pop(record, None)
        self._old.pop(record, None)

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()
