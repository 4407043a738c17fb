"""`POST /ingest` ↔ `IngestService.Ingest`.

One object or one JSON array is one transaction; each line of NDJSON is its own. Everything is read before anything is
sent: a bad element refuses the whole request and is named by index or line. A JSON record travels as JSON, since only
the scheduler may know that a string of it is a datetime; a CBOR record is exact and travels packed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson
from sp00ky.gateway.exchange import CBOR, JSON, NDJSON, Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import Appended
from sp00ky.gateway.translate.body import (
    kind_name,
    parse_cbor,
    parse_json,
    require_media_type,
    split_lines,
)
from sp00ky.gateway.translate.fields import NAME, OBJECT, Body, Field
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2, ingest_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import PackError, pack
from sp00ky.proto.values.text import parse_record_id

OPS: Mapping[str, common_pb2.Op] = {
    "CREATE": common_pb2.OP_CREATE,
    "UPDATE": common_pb2.OP_UPDATE,
    "DELETE": common_pb2.OP_DELETE,
}
TABLE = Field("table", "table of the record", NAME, required=True)
OP = Field("op", "CREATE, UPDATE or DELETE, in any case", {"enum": [*OPS, *map(str.lower, OPS)]}, required=True)
ID = Field("id", "record id, `table:key` or the key alone", NAME, required=True)
RECORD = Field("record", "the whole record; a deletion needs none", OBJECT)
IDEMPOTENCY_KEY = Field("Idempotency-Key", "the same changes offered again with it are not applied again")
INGEST_BODY = Body((TABLE, OP, ID, RECORD), (JSON, NDJSON, CBOR), several=True)
_PLAIN_KEY = re.compile(r"0|[1-9][0-9]{0,17}|[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def ingest_request(asked: Asked) -> ingest_pb2.IngestRequest:
    """The changes of the body. Raises Fault INVALID naming field and place, TOO_LARGE, and 415."""
    media_type = require_media_type(asked, JSON, NDJSON, CBOR)
    if media_type == NDJSON:
        lines = split_lines(asked.body)
        _require_count(len(lines), asked)
        places = [(f"line {number}", parse_json(line, asked, f"line {number}")) for number, line in lines]
        atomic = False
    else:
        body = parse_cbor(asked.body, asked) if media_type == CBOR else parse_json(asked.body, asked)
        several = type(body) is list
        places = [(f"index {index}", item) for index, item in enumerate(body)] if several else [("body", body)]
        _require_count(len(places), asked)
        atomic = True
    changes = [_change(item, where, exact=media_type == CBOR) for where, item in places]
    if asked.idempotency_key:
        for index, change in enumerate(changes):
            change.idempotency_key = f"{asked.idempotency_key}/{index}"
    return ingest_pb2.IngestRequest(changes=changes, atomic=atomic)


def ingest_answer(asked: Asked, response: ingest_pb2.IngestResponse) -> Answer:
    body: Appended = {"revision": response.revision, "seq": response.seq}
    if response.hints:
        body["hints"] = response.hints
        body["hint"] = "SurrealDB has these tables: write there, what was sent is not kept"
    return json_answer(body, revision=response.revision)


def _require_count(count: int, asked: Asked) -> None:
    if count == 0:
        raise Fault(Code.INVALID, "body has no change")
    if count > asked.limits.changes_max:
        raise Fault(
            Code.TOO_LARGE,
            f"body has {count} changes",
            f"send at most {asked.limits.changes_max} in one request",
            {"changes_max": str(asked.limits.changes_max)},
        )


def _change(item: Value, where: str, *, exact: bool) -> common_pb2.Change:
    if type(item) is not dict:
        raise Fault(Code.INVALID, f"{where} is {kind_name(item)}, not an object {{table, op, id, record}}")
    table = _text(item, TABLE, where)
    op = OPS.get(_text(item, OP, where).upper())
    if op is None:
        raise Fault(Code.INVALID, f'{where}: op "{item["op"][:32]}" is not CREATE, UPDATE or DELETE')
    change = common_pb2.Change(table=table, op=op, key=_key(item.get(ID.name), table, where))
    if op == common_pb2.OP_DELETE:
        return change
    record = item.get(RECORD.name)
    if type(record) is not dict:
        was = "missing" if RECORD.name not in item else kind_name(record)
        raise Fault(Code.INVALID, f'{where}: field "record" is {was}', "send the whole record as an object")
    if exact:
        change.packed = pack(record)
    else:
        change.json = orjson.dumps(record).decode()
    return change


def _text(item: dict[str, Value], field: Field, where: str) -> str:
    name = field.name
    value = item.get(name)
    if type(value) is not str or not value:
        was = "missing" if name not in item else "empty" if value == "" else kind_name(value)
        raise Fault(Code.INVALID, f'{where}: field "{name}" is {was}')
    return value


def _key(given: Value, table: str, where: str) -> bytes:
    """The packed key of `table:key`, of a bare key, or of a CBOR record id."""
    if isinstance(given, RecordId):
        record = given
    elif type(given) is str and given:
        prefix, _, key = given.partition(":")
        if prefix == table and _PLAIN_KEY.fullmatch(key):
            return pack(int(key) if key[0] <= "9" else key)  # what nearly every id is, without the parser
        try:
            record = parse_record_id(given, table)
        except (ValueError, Fault) as error:
            raise Fault(Code.INVALID, f'{where}: field "id" is no record id: {error}') from None
    else:
        was = "missing" if given is None else "empty" if given == "" else kind_name(given)
        raise Fault(Code.INVALID, f'{where}: field "id" is {was}')
    if record.table != table:
        raise Fault(Code.INVALID, f'{where}: field "id" names table "{record.table[:64]}", not "{table[:64]}"')
    try:
        return pack(record.key)
    except PackError as error:
        raise Fault(Code.INVALID, f'{where}: field "id" is no record id: {error}') from None
