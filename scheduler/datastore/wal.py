"""The tail of RocksDB's write-ahead log, looked at before RocksDB replays it.

A log file is blocks of 32 KiB; a record lies in them as fragments: crc32c (4), length (2), kind (1), bytes. A process
that dies while it writes leaves a prefix of the last record: that was never acknowledged, and RocksDB cuts it without a
word. But it takes any fragment that runs past the end of the file for such a torn one, also where a flipped bit made a
length too long in the middle of the log, and then drops everything after it, acknowledged or not (tried: every byte of
a record flipped; one of seven header bytes does that). So: what follows a fragment that does not fit is searched for
whole fragments, each checked by its checksum. There are none after a torn write.

Only headers are read on the way: a second for some millions of records. RocksDB finds all other damage by checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.datastore.layout import RESTORE_HINT

_BLOCK: Final = 32 * 1024
_HEADER: Final = 7
_KINDS: Final = range(1, 12)
_UNFINISHED: Final = frozenset({2, 3, 6, 7})  # the first and middle fragments of a longer record
_SEARCHED_MAX: Final = 4 * _BLOCK  # behind the fragment that does not fit; a whole one is near if there is one at all
_POLYNOMIAL: Final = 0x82F63B78
_MASK_DELTA: Final = 0xA282EAD8


class TornTail(NamedTuple):
    """Bytes that a write left when its process or its machine died."""

    file: Path
    offset: int
    size: int


def check_tails(wal_path: Path) -> TornTail | None:
    """The torn tail, if there is one. Raises Fault DATA_LOSS if whole records follow it, in its file or a later one.

    A later file need not hold any: recovery begins a new one before it is done with those it replays, so a process that
    is killed in recovery leaves the torn one and an empty one."""
    torn: TornTail | None = None
    for file in log_files(wal_path):
        data = file.read_bytes()
        if torn is not None and _has_fragment(data, 0):
            raise _damaged(torn.file, torn.offset)
        whole, stop = whole_prefix(data)
        if whole == len(data):
            continue
        if _has_fragment(data, stop + 1):
            raise _damaged(file, stop)
        torn = TornTail(file, whole, len(data) - whole)
    return torn


def _damaged(file: Path, offset: int) -> Fault:
    message = f"write-ahead log {file} is damaged at byte {offset}: whole records follow it"
    return Fault(Code.DATA_LOSS, message, RESTORE_HINT)


def log_files(wal_path: Path) -> Sequence[Path]:
    """Oldest first."""
    return sorted((file for file in wal_path.glob("*.log") if file.stem.isdigit()), key=lambda file: int(file.stem))


def whole_prefix(data: bytes) -> tuple[int, int]:
    """Where the last record ends of which all fragments are there, by their headers; and where the first fragment
    begins that does not fit. Both are the file's end if nothing, or nothing but zeros, is left over."""
    whole = stop = 0
    for end, kind in _fragments(data):
        stop = end
        if kind not in _UNFINISHED:
            whole = end
    return (whole, stop) if data[whole:].strip(b"\0") else (len(data), len(data))


def _fragments(data: bytes) -> Iterator[tuple[int, int]]:
    """(end, kind) of each, as long as they fit into block and file."""
    at, size = 0, len(data)
    while True:
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at, left = at + left, _BLOCK
        if at + _HEADER > size:
            return
        length, kind = data[at + 4] | data[at + 5] << 8, data[at + 6]
        end = at + _HEADER + length
        if length + _HEADER > left or end > size or kind not in _KINDS:
            return
        yield end, kind
        at = end


def _has_fragment(data: bytes, begin: int) -> bool:
    """Whether a whole fragment with a true checksum lies anywhere in what follows."""
    for at in range(begin, min(len(data) - _HEADER, begin + _SEARCHED_MAX)):
        length, kind = data[at + 4] | data[at + 5] << 8, data[at + 6]
        end = at + _HEADER + length
        if not length or kind not in _KINDS or end > len(data) or length + _HEADER > _BLOCK - at % _BLOCK:
            continue
        if _masked(crc32c(data[at + 6 : end])) == int.from_bytes(data[at : at + 4], "little"):
            return True
    return False


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit as RFC 3720 has it; some megabytes a second."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    """As it is stored, so that a checksum of data that holds checksums is none."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
