"""`POST /crdt/apply`, `GET /crdt/document` ↔ `CrdtService`: collaborative fields. What is binary is base64 here."""

from __future__ import annotations

import base64
import binascii
from typing import Final, TypedDict

import orjson
from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.body import parse_object
from sp00ky.gateway.translate.fields import NAME, TEXT, Body, Field
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import crdt_pb2
from sp00ky.proto.values.kinds import Value

TABLE: Final = Field("table", "table of the record", NAME, required=True)
RECORD_ID: Final = Field("record_id", "the record, for example thread:1", NAME, required=True)
FIELD: Final = Field("field", "the collaborative field; `_cursor_<field>` is its presence", NAME, required=True)
UPDATE: Final = Field(
    "update",
    "base64: an update or a snapshot of Loro's; of presence an encoded EphemeralStore",
    {**TEXT, "contentEncoding": "base64"},
    required=True,
)
PEER: Final = Field("peer", "who edits; kept beside the document", {**TEXT, "maxLength": 128}, required=True)
VERSION: Final = Field("version", "base64: Loro's encoded version vector of what you have", TEXT)
APPLY_BODY: Final = Body((TABLE, RECORD_ID, FIELD, UPDATE, PEER))
DOCUMENT_QUERY: Final = (TABLE, RECORD_ID, FIELD, VERSION)
KINDS: Final = {
    crdt_pb2.CRDT_KIND_TEXT: "text",
    crdt_pb2.CRDT_KIND_MAP: "map",
    crdt_pb2.CRDT_KIND_LIST: "list",
    crdt_pb2.CRDT_KIND_COUNTER: "counter",
}


class Applied(TypedDict):
    rev: int


class DocumentRead(TypedDict):
    """`update`: what you lack, base64; without `version` a snapshot. `version`: what it brings you to, base64. `value`:
    what the field is."""

    rev: int
    kind: str
    update: str
    version: str
    value: Value


def apply_request(asked: Asked) -> crdt_pb2.ApplyUpdateRequest:
    """Raises Fault INVALID naming the field."""
    body = parse_object(asked)
    return crdt_pb2.ApplyUpdateRequest(
        table=TABLE.text(body),
        record_id=RECORD_ID.text(body),
        field=FIELD.text(body),
        peer=PEER.text(body),
        update=_bytes(UPDATE, UPDATE.text(body)),
        token=asked.token,
    )


def apply_answer(asked: Asked, response: crdt_pb2.ApplyUpdateResponse) -> Answer:
    body: Applied = {"rev": response.rev}
    return json_answer(body)


def document_request(asked: Asked) -> crdt_pb2.GetDocumentRequest:
    """Raises Fault INVALID naming the field."""
    asks = asked.query
    return crdt_pb2.GetDocumentRequest(
        table=TABLE.text(asks),
        record_id=RECORD_ID.text(asks),
        field=FIELD.text(asks),
        version=_bytes(VERSION, VERSION.text(asks).replace(" ", "+")),  # a plus that nobody has escaped
        token=asked.token,
    )


def document_answer(asked: Asked, response: crdt_pb2.GetDocumentResponse) -> Answer:
    body: DocumentRead = {
        "rev": response.rev,
        "kind": KINDS[response.kind],
        "update": base64.b64encode(response.update).decode(),
        "version": base64.b64encode(response.version).decode(),
        "value": orjson.Fragment(response.value_json),
    }
    return json_answer(body)


def _bytes(field: Field, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Fault(Code.INVALID, f'field "{field.name}" is not base64: {error}') from None
