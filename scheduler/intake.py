"""From what a caller sends to what the mesh stores: canonical changes, and what they are worth.

`canonical` checks a batch and puts every change into the one exact form: key and record packed, the record an object
whose `id` is its own record id, UPDATE the whole record, DELETE none. A bad change refuses the whole batch, named by
index and field; nothing of it is applied.

`Freshness` drops captured changes that are not newer than what is already folded (redelivery by a re-read feed): a
change is kept only if its (epoch, stamp) is greater than the record's, in the store or in an earlier transaction of the
same group. Within a transaction all stand, since one commit has one stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from google.protobuf.message import DecodeError
from msgspec.msgpack import Ext
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.tracing import TRACEPARENT
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.v1.common_pb2 import OP_DELETE, Change
from sp00ky.proto.values.json import from_json
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.literal import read_value
from sp00ky.proto.values.pack import DEPTH_MAX, PackError, holds_only_i64, pack, unpack
from sp00ky.proto.values.text import parse_record_id
from sp00ky.scheduler.capture.hints import Posted
from sp00ky.scheduler.changes import UNSOURCED, CanonicalChange, canonical_change, split, table_fault
from sp00ky.scheduler.errors import invalid_change

VERSION_FIELD = "_00_rv"
RECORD_BYTES_MAX = 16 * 1024 * 1024
KEY_BYTES_MAX = 64 * 1024
IDEMPOTENCY_KEY_CHARS_MAX = 255
OPS = frozenset({common_pb2.OP_CREATE, common_pb2.OP_UPDATE, common_pb2.OP_DELETE})
_ATOMS = frozenset({str, int, bool, float, bytes, type(None)})
_PLAIN_KEYS = frozenset({str, int})
_decode = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.Encoder(order="sorted").encode
KEY_KINDS = (int, str, UUID, list, dict)
Transactions = Sequence[Sequence[CanonicalChange]]


def canonical(encoded: Iterable[bytes]) -> list[CanonicalChange]:
    """The changes, each given as the bytes of a `Change`, as the mesh stores them.

    Raises Fault(INVALID) with `index` and `field` in its details."""
    return [_exact(data) or _made_exact(data, index) for index, data in enumerate(encoded)]


def _exact(data: bytes) -> CanonicalChange | None:
    """The change, if it is in the one exact form as it came and its key is an int or a string; else None.

    Decided without building a single value of ours: what msgspec decodes and encodes again to the same bytes is exact
    if its extensions are, and if its id is extension 2 around [table, key] (see pack.py)."""
    parts = split(data)
    if parts is None:
        return None
    (table, is_delete, id_prefix), key, packed, idempotency_key = parts
    try:
        plain_key = _decode(key)
        if type(plain_key) not in _PLAIN_KEYS or _encode(plain_key) != key or is_delete is not (packed is None):
            return None
        if not holds_only_i64(packed or key):
            return None
        if packed is not None:
            record = _decode(packed)
            if type(record) is not dict or _encode(record) != packed or len(packed) > RECORD_BYTES_MAX:
                return None
            record_id = record.pop("id", None)
            if type(record_id) is not Ext or record_id.code != 2 or record_id.data != id_prefix + key:
                return None
            if not _ATOMS.issuperset(map(type, record.values())) and not _are_exact(record.values(), DEPTH_MAX - 1):
                return None
    except (ValueError, TypeError, RecursionError):
        return None
    return CanonicalChange(table, key, packed, UNSOURCED, idempotency_key, data)


def _are_exact(values: Iterable[Any], depth: int) -> bool:
    """Whether these values, encoded as they are, are in the exact form: for the kinds that most records have."""
    for value in values:
        kind = type(value)
        if kind in _ATOMS:
            continue
        if depth == 0:
            return False
        if kind is Ext:
            if not _is_exact_extension(value.code, value.data):
                return False
        elif kind is dict:
            if not _are_exact(value.values(), depth - 1):
                return False
        elif kind is not list or not _are_exact(value, depth - 1):
            return False
    return True


def _is_exact_extension(code: int, data: bytes) -> bool:
    """Of NONE, datetime, uuid, and links with a plain key. Others may be exact too: build them and see."""
    match code:
        case 1:
            return not data
        case 2:
            link = _decode(data)
            return (
                type(link) is list
                and len(link) == 2
                and type(link[0]) is str
                and type(link[1]) in _PLAIN_KEYS
                and _encode(link) == data
            )
        case 3:
            return len(data) == 12 and int.from_bytes(data[8:], "big") < 1_000_000_000
        case 6:
            return len(data) == 16
        case _:
            return False


def _made_exact(data: bytes, index: int) -> CanonicalChange:
    try:
        change = Change.FromString(data)
    except DecodeError as error:
        raise Fault(Code.INVALID, f"change {index} is no change: {error}", "send messages of sp00ky.v1") from error
    _check_names(change, index)
    record_id = _record_id(change, index)
    made = Change(table=change.table, op=change.op, key=pack(record_id.key), idempotency_key=change.idempotency_key)
    if TRACEPARENT.fullmatch(change.traceparent):
        made.traceparent = change.traceparent
    if change.op != OP_DELETE:
        made.packed = _record(change, record_id, index)
    return canonical_change(made)


def _check_names(change: Change, index: int) -> None:
    fault = table_fault(change.table)
    if fault is not None:
        raise invalid_change(index, "table", *fault)
    if change.op not in OPS:
        raise invalid_change(index, "op", f"is {change.op}", "use CREATE, UPDATE or DELETE")
    if len(change.idempotency_key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise invalid_change(index, "idempotency_key", f"is longer than {IDEMPOTENCY_KEY_CHARS_MAX} characters")
    if change.HasField("source"):
        raise invalid_change(index, "source", "is set by the capture alone", "leave it out")


def _record_id(change: Change, index: int) -> RecordId:
    if change.key:
        if len(change.key) > KEY_BYTES_MAX:
            raise invalid_change(index, "key", f"is longer than {KEY_BYTES_MAX} bytes")
        try:
            key = unpack(change.key)
        except PackError as error:
            raise invalid_change(index, "key", f"is {error}") from error
        _check_integers(change.key, index, "key")
        return _checked_id(RecordId(change.table, key), index, "key")
    if not change.id:
        raise invalid_change(index, "id", "is missing", 'send "table:key", or the key alone')
    if len(change.id) > KEY_BYTES_MAX:
        raise invalid_change(index, "id", f"is longer than {KEY_BYTES_MAX} characters")
    record_id = _parsed_id(change.id, change.table, index, "id")
    if record_id.table != change.table:
        raise invalid_change(index, "id", f'"{change.id[:64]}" is of another table than "{change.table}"')
    return _checked_id(record_id, index, "id")


def _parsed_id(text: str, table: str, index: int, field: str) -> RecordId:
    try:
        return parse_record_id(text, table)
    except ValueError as error:
        raise invalid_change(index, field, f'"{text[:64]}" is no record id: {error}') from error


def _checked_id(record_id: RecordId, index: int, field: str) -> RecordId:
    key = record_id.key
    if isinstance(key, bool) or not isinstance(key, KEY_KINDS):
        raise invalid_change(index, field, "is no record key", "a key is an int, string, uuid, array or object")
    return record_id


def _check_integers(packed: bytes, index: int, field: str) -> None:
    if not holds_only_i64(packed):
        raise invalid_change(
            index, field, "holds an integer above 2^63 - 1", "SurrealDB's integers have 64 bits, signed"
        )


def _record(change: Change, record_id: RecordId, index: int) -> bytes:
    form = change.WhichOneof("record")
    if form is None:
        raise invalid_change(index, "record", "is missing", "CREATE and UPDATE carry the whole record")
    if len(getattr(change, form)) > RECORD_BYTES_MAX:
        raise invalid_change(index, form, f"is larger than {RECORD_BYTES_MAX} bytes")
    record = _decoded(change, form, index)
    if form == "packed":
        _check_integers(change.packed, index, form)
    if not isinstance(record, dict):
        raise invalid_change(index, form, "is not an object")
    given = record.get("id")
    if given is None:
        record["id"] = record_id
    elif given != record_id:
        record["id"] = _same_id(given, record_id, index, form)
    try:
        packed = pack(record)
    except PackError as error:
        raise invalid_change(index, form, f"cannot be stored: {error}") from error
    if len(packed) > RECORD_BYTES_MAX:
        raise invalid_change(index, form, f"is larger than {RECORD_BYTES_MAX} bytes")
    return packed


def _decoded(change: Change, form: str, index: int) -> Value:
    try:
        match form:
            case "packed":
                return unpack(change.packed)
            case "json":
                return from_json(change.json)
            case _:
                return read_value(change.surql)
    except (ValueError, RecursionError) as error:
        raise invalid_change(index, form, f"cannot be read: {error}") from error


def _same_id(given: Value, record_id: RecordId, index: int, form: str) -> RecordId:
    """JSON cannot type a record id: text that names this record, or its bare key, is accepted."""
    if type(given) is type(record_id.key) and given == record_id.key:
        return record_id
    if isinstance(given, str) and _parsed_id(given, record_id.table, index, f"{form}.id") == record_id:
        return record_id
    raise invalid_change(index, f"{form}.id", "names another record than the change", "leave it out")


def posted_of(change: CanonicalChange) -> Posted:
    """What an event's post says of a record: `_00_rv` is its version, left out of a deletion."""
    record = (change.table, change.key)
    if change.packed is None:
        return Posted(record, is_deletion=True)
    version = unpack(change.packed).get(VERSION_FIELD)
    return Posted(record, is_deletion=False, version=version if type(version) is int else None)


class Freshness:
    """Which captured changes are newer than what is known, over one group of offers."""

    def __init__(self, stamp_of: Callable[[str, bytes], tuple[int, int]]) -> None:
        self._stamp_of = stamp_of
        self._newest: dict[tuple[str, bytes], tuple[int, int]] = {}

    def sift(self, transactions: Transactions) -> Transactions:
        """The transactions without changes that are already folded; those left empty are dropped."""
        if all(change.stamp is UNSOURCED for changes in transactions for change in changes):
            return transactions
        kept = []
        for changes in transactions:
            fresh = [change for change in changes if self._is_fresh(change)]
            for change in fresh:
                self._newest[(change.table, change.key)] = change.stamp
            if fresh:
                kept.append(fresh)
        return kept

    def _is_fresh(self, change: CanonicalChange) -> bool:
        if change.stamp == UNSOURCED:
            return True
        known = self._newest.get((change.table, change.key)) or self._stamp_of(change.table, change.key)
        return change.stamp > known
