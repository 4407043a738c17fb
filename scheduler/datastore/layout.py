"""How log entries, rows and meta values lie in an ordered key-value store.

    log    seq (8 bytes)                                             → crc32 | entry
    rows   length of table (2) | table | packed key | ~seq (8)       → flag | source epoch (4) | stamp (8) | record
    meta   0x00 name                                                 → what the engine keeps of itself
           0x01 table                                                → first seq (8) | rows at the head (8)
           0x02 name                                                 → a value of the layer above
           0x03 owner                                                → pin: seq (8) | ttl in ms (8)
           0x04 epoch (8)                                            → the head when it was taken (8)
           0x05 source epoch (4) | stamp (8) | row key               → tombstone that outlives the floor: empty
           0x06 seq (8)                                              → bytes of log ever appended, up to that entry (8)

Numbers are big-endian, so bytes sort as numbers do; `~seq` puts a record's newest version first, so a read at a
revision is one seek to (record, ~revision). No packed key is a prefix of another, so versions of one record are
neighbours and records of a table lie in the order of their packed keys. The checksum covers the seq as well: an entry
under another's number is damage too.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias
from zlib import crc32

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.changes import UNSOURCED
from sp00ky.scheduler.datastore.datastore import Row

_SEQ = struct.Struct(">Q")
_CRC = struct.Struct(">I")
_ROW = struct.Struct(">BIQ")
_TABLE = struct.Struct(">QQ")
_STAMP = struct.Struct(">IQ")
_PIN = struct.Struct(">QQ")
_LIVE, _TOMBSTONE = 1, 0
_ROW_BYTES = _ROW.size
_LIVE_UNSOURCED = _ROW.pack(_LIVE, *UNSOURCED)
_SEQ_MAX = 0xFFFF_FFFF_FFFF_FFFF
SEQ_BYTES = _SEQ.size
AFTER_VERSIONS = b"\xff" * (SEQ_BYTES + 1)  # sorts after every version of a record

RESTORE_HINT: Final = "`spky replica verify` says what is damaged, `spky replica restore` goes back to a snapshot"

Version: TypeAlias = tuple[bool, tuple[int, int]]  # (is live, stamp)
ABSENT: Final[Version] = (False, (0, 0))

TABLE_PREFIX = b"\x01"
NAME_PREFIX = b"\x02"
PIN_PREFIX = b"\x03"
EPOCH_PREFIX = b"\x04"
KEPT_PREFIX = b"\x05"
MARK_PREFIX = b"\x06"

pack_seq = _SEQ.pack


def unpack_seq(data: bytes) -> Seq:
    return Seq(_SEQ.unpack(data)[0])


def log_value(log_key: bytes, entry: bytes) -> bytes:
    """What is stored under `log_key`, the packed seq."""
    return _CRC.pack(crc32(entry, crc32(log_key))) + entry


def log_entry(log_key: bytes, value: bytes) -> bytes:
    """The entry in a log value; raises Fault(DATA_LOSS) if its checksum is wrong."""
    entry = value[_CRC.size :]
    if value[: _CRC.size] != _CRC.pack(crc32(log_key + entry)):
        message = f"log entry {unpack_seq(log_key)} is damaged: wrong checksum"
        raise Fault(Code.DATA_LOSS, message, RESTORE_HINT)
    return entry


def table_prefix(table: str) -> bytes:
    name = table.encode()
    return len(name).to_bytes(2, "big") + name


def inverted(seq: Seq) -> bytes:
    return _SEQ.pack(_SEQ_MAX - seq)


def seq_of_row_key(row_key: bytes) -> Seq:
    return Seq(_SEQ_MAX - int.from_bytes(row_key[-SEQ_BYTES:]))


def row_value(packed: bytes | None, stamp: tuple[int, int]) -> bytes:
    if packed is None:
        return _ROW.pack(_TOMBSTONE, *stamp)
    return (_LIVE_UNSOURCED if stamp is UNSOURCED else _ROW.pack(_LIVE, *stamp)) + packed


def row_of(key: bytes, seq: Seq, value: bytes) -> Row | None:
    """The row in a row value, None for a tombstone."""
    if value.startswith(_LIVE_UNSOURCED):
        return Row(key, value[_ROW_BYTES:], seq, UNSOURCED)
    flag, epoch, stamp = _ROW.unpack_from(value)
    return Row(key, value[_ROW_BYTES:], seq, (epoch, stamp)) if flag == _LIVE else None


def version_of(value: bytes) -> Version:
    """Whether the version is live, and its stamp, without its record."""
    flag, epoch, stamp = _ROW.unpack_from(value)
    return flag == _LIVE, (epoch, stamp)


def table_value(first_seq: Seq, count: int) -> bytes:
    return _TABLE.pack(first_seq, count)


def table_of(value: bytes) -> tuple[Seq, int]:
    first_seq, count = _TABLE.unpack(value)
    return Seq(first_seq), count


def pin_value(at: Seq, ttl_ms: int) -> bytes:
    return _PIN.pack(at, ttl_ms)


def pin_of(key: bytes, value: bytes) -> tuple[str, Seq, int]:
    """(owner, seq, ttl in ms)."""
    at, ttl_ms = _PIN.unpack(value)
    return key[len(PIN_PREFIX) :].decode(), Seq(at), ttl_ms


def kept_key(stamp: tuple[int, int], row_key: bytes) -> bytes:
    return KEPT_PREFIX + _STAMP.pack(*stamp) + row_key


def kept_of(key: bytes) -> tuple[tuple[int, int], bytes]:
    """The stamp and the row key of a kept tombstone."""
    epoch, stamp = _STAMP.unpack_from(key, len(KEPT_PREFIX))
    return (epoch, stamp), key[len(KEPT_PREFIX) + _STAMP.size :]
