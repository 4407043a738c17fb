"""`/integrity/…` ↔ `IntegrityService.GetNode`: nodes of the Merkle trees of tables and views."""

from __future__ import annotations

from typing import TypedDict

from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.fields import ASKED_AUTH, TEXT, Field
from sp00ky.gateway.translate.views import asked_key
from sp00ky.proto.v1 import integrity_pb2

PREFIX = Field("prefix", "of the node, 0 to 16 of 0-9a-f; the root", TEXT)
TABLE_QUERY = (PREFIX,)
VIEW_QUERY = (PREFIX, ASKED_AUTH)


class IntegrityChild(TypedDict):
    prefix: str
    hash: str
    rows: int


class IntegrityNode(TypedDict, total=False):
    table: str
    view: str
    prefix: str
    revision: str
    rows: int
    hash: str
    children: list[IntegrityChild]


def table_request(asked: Asked) -> integrity_pb2.GetNodeRequest:
    return integrity_pb2.GetNodeRequest(table=asked.path["table"], prefix=asked.query.get(PREFIX.name, ""))


def view_request(asked: Asked) -> integrity_pb2.GetNodeRequest:
    return integrity_pb2.GetNodeRequest(view=asked_key(asked), prefix=asked.query.get(PREFIX.name, ""))


def table_answer(asked: Asked, response: integrity_pb2.GetNodeResponse) -> Answer:
    return _answer({"table": asked.path["table"]}, response)


def view_answer(asked: Asked, response: integrity_pb2.GetNodeResponse) -> Answer:
    return _answer({"view": asked.path["id"]}, response)


def _answer(of: IntegrityNode, response: integrity_pb2.GetNodeResponse) -> Answer:
    body: IntegrityNode = {
        **of,
        "prefix": response.prefix,
        "revision": response.revision,
        "rows": response.rows,
        "hash": response.hash,
        "children": [{"prefix": each.prefix, "hash": each.hash, "rows": each.rows} for each in response.children],
    }
    return json_answer(body, revision=response.revision)
