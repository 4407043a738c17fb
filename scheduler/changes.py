"""A change in the one exact form, as the scheduler carries it: the few fields it decides by, and its bytes.

A change that came over the wire in the exact form is never built as a message: its bytes are read in place, checked,
and spliced as they are into the log entry and every frame. A message costs two microseconds to build and write again,
which is a quarter of what a change may cost in all.

Invariant: `Change.FromString(encoded)` has exactly the other fields; `packed` is None iff it is a deletion.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from sp00ky.proto.v1.common_pb2 import OP_CREATE, OP_DELETE, OP_UPDATE, Change
from sp00ky.proto.values.pack import pack

NAME_CHARS_MAX: Final = 255
RESERVED_PREFIX: Final = "_00_"
UNSOURCED: Final = (0, 0)
_LENGTH_MAX: Final = 0x7F  # of what has a length of one byte on the wire
_HEADS_MAX: Final = 4_096
_TABLE, _OP, _KEY, _PACKED, _IDEMPOTENCY_KEY = 0x0A, 0x10, 0x1A, 0x2A, 0x4A  # tags: number << 3 | wire type
_TRACEPARENT: Final = 0x52


class CanonicalChange(msgspec.Struct, frozen=True, gc=False):
    """`key` and `packed` are packed values; `stamp` is (source epoch, stamp), UNSOURCED if it was not captured."""

    table: str
    key: bytes
    packed: bytes | None
    stamp: tuple[int, int]
    idempotency_key: str
    encoded: bytes


def canonical_change(change: Change) -> CanonicalChange:
    """Of a message that is in the exact form: key and record packed, no id."""
    packed = None if change.op == OP_DELETE else change.packed
    stamp = (change.source.epoch, change.source.stamp) if change.HasField("source") else UNSOURCED
    return CanonicalChange(
        change.table, change.key, packed, stamp, change.idempotency_key, change.SerializeToString(deterministic=True)
    )


def marked(change: CanonicalChange, traceparent: str) -> CanonicalChange:
    """The change, saying whose trace it belongs to: the last of its message's fields, so it is put at their end."""
    field = bytes((_TRACEPARENT, len(traceparent))) + traceparent.encode()
    return msgspec.structs.replace(change, encoded=change.encoded + field)


def table_fault(table: str) -> tuple[str, str] | None:
    """Why this is no table that a caller may write to, and what to do; None if it is one."""
    if not table:
        return "is missing", ""
    if table.startswith(RESERVED_PREFIX):
        return f'"{table[:64]}" belongs to the mesh', f"{RESERVED_PREFIX}* are its own"
    if len(table) > NAME_CHARS_MAX or "\x00" in table:
        return f"is no table name of at most {NAME_CHARS_MAX} characters", ""
    return None


class Head(NamedTuple):
    """What the first bytes of a change say: everything up to the length of its key."""

    table: str
    is_delete: bool
    id_prefix: bytes  # of a packed record id of this table, before the packed key


@lru_cache(_HEADS_MAX)
def _head_of(data: bytes) -> Head | None:
    """Table and op, if these bytes are just that, followed by the tag of a key, and a caller may write to the table."""
    table, op = data[2:-3].decode(), data[-2]
    plain = data[0] == _TABLE and data[1] == len(data) - 5 and data[-3] == _OP and data[-1] == _KEY
    if not plain or op not in (OP_CREATE, OP_UPDATE, OP_DELETE) or table_fault(table) is not None:
        return None
    return Head(table, op == OP_DELETE, b"\x92" + pack(table))


def split(data: bytes) -> tuple[Head, bytes, bytes | None, str] | None:
    """Head, key, record and idempotency key of a change as it stands on the wire; None if it must be parsed instead.

    What it says is what a parser says: each field once, in the order of their numbers, nothing else. None is no error:
    the longer forms (a key of 128 bytes, a record as JSON, an id) are left to the parser."""
    try:
        head_end = data[1] + 5
        head = _head_of(data[:head_end])
        if head is None:
            return None
        size = data[head_end]
        key_end = head_end + 1 + size
        key = data[head_end + 1 : key_end]
        if size > _LENGTH_MAX:
            return None
        if key_end == len(data):
            return head, key, None, ""
        if data[key_end] != _PACKED:
            return None
        size, start = data[key_end + 1], key_end + 2
        if size > _LENGTH_MAX:
            size, start = size & _LENGTH_MAX | data[start] << 7, start + 1
            if size > 0x3FFF:
                size, start = size & 0x3FFF | data[start] << 14, start + 1
                if size > 0x1F_FFFF:
                    return None
        end = start + size
        packed = data[start:end]
        if end == len(data):
            return head, key, packed, ""
        if data[end] != _IDEMPOTENCY_KEY or data[end + 1] > _LENGTH_MAX or end + 2 + data[end + 1] != len(data):
            return None
        return head, key, packed, data[end + 2 :].decode()
    except (IndexError, UnicodeDecodeError):
        return None
