"""`/proxy/*` ↔ `ProxyService`: read-only SurrealQL on the replica."""

from __future__ import annotations

from sp00ky.gateway.exchange import JSON, REVISION_HEADER, Answer, Asked
from sp00ky.gateway.translate.body import packed, parse_object
from sp00ky.gateway.translate.consistency import asked_consistency
from sp00ky.gateway.translate.fields import CONSISTENCY, NAME, OBJECT_OR_TEXT, REVISION, Body, Field
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import proxy_pb2
from sp00ky.proto.values.json import JsonError, encode_json
from sp00ky.proto.values.pack import PackError, unpack

QUERY = Field("query", "read-only SurrealQL; the first statement is answered", NAME, required=True)
VARS = Field("vars", "parameters: an object, or text holding a SurrealQL object", OBJECT_OR_TEXT)
QUERY_BODY = Body((QUERY, VARS, CONSISTENCY, REVISION))


def query_request(asked: Asked) -> proxy_pb2.QueryRequest:
    """Who may be an SSP and names no revision reads at the one that SSPs load at, while one does."""
    body = parse_object(asked)
    shared = asked.as_ssp and not CONSISTENCY.text(body) and not REVISION.text(body)
    consistency, revision = asked_consistency(CONSISTENCY.text(body), REVISION.text(body), "at_exact_snapshot")
    query, variables = QUERY.text(body), packed(VARS.object(body), "vars")
    return proxy_pb2.QueryRequest(
        query=query, vars=variables, consistency=consistency, revision=revision, shared_pin=shared
    )


def query_answer(asked: Asked, response: proxy_pb2.QueryResponse) -> Answer:
    """The first statement's result, as SurrealDB encodes it in JSON."""
    headers = {REVISION_HEADER: response.revision} if response.revision else {}
    return Answer(encode_packed(response.result), 200, JSON, headers)


def encode_packed(data: bytes) -> bytes:
    """JSON text of a packed value; null for none."""
    if not data:
        return b"null"
    try:
        return encode_json(unpack(data))
    except (PackError, JsonError) as error:
        raise Fault(Code.INTERNAL, f"the service answered a value that cannot be read: {error}") from error


def handshake_answer(asked: Asked, response: None) -> Answer:
    """Clients of a SurrealDB sign in and choose a database first; here both are settled."""
    return Answer()
