"""How far the capture has come, as one meta value that is committed with what it speaks of.

Invariant: everything of the feed at or below `stamp`, but for late commits inside the overlap, is in the log of the
store that holds this value. `source_epoch` grows whenever stamps of the database can no longer be compared with those
before; `instance` is also kept in the database, so that a database which lost its data is recognised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.cursor import Island
from sp00ky.scheduler.datastore.datastore import MetaWrite

PROGRESS_META: Final = b"capture/progress"
NUMBERS_META: Final = b"capture/tables"  # the database's own numbers of its tables, by name
UNKNOWN_META: Final = b"capture/unknown"  # names of tables that the feed told of and no schema had yet


@dataclass(frozen=True, slots=True)
class Progress:
    """`anchored`: `stamp` is that of a row that was in the feed. `clock_ms`: the database's clock at the last sweep.
    `settled`: nothing below can still be on its way: where a sweep has to begin, however long ago the last one was.
    `compared_below`: rows below it may have been in the feed before every table was compared, and be known from that,
    as far as they are not on the island."""

    cloned: bool
    source_epoch: int
    stamp: int
    anchored: bool
    clock_ms: int
    instance: str
    island: Island | None = None
    settled: int = 0  # 0: not known
    compared_below: int = 0

    def as_meta(self) -> MetaWrite:
        return MetaWrite(PROGRESS_META, pack(asdict(self)))


def progress_of(value: bytes | None) -> Progress | None:
    if value is None:
        return None
    fields = unpack(value)
    island = fields.pop("island")
    return Progress(island=None if island is None else Island(**island), **fields)
