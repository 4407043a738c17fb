"""`GET /revision` ↔ `AdminService.Barrier`: a token that holds everything committed in SurrealDB before the request.

A client that has written through SurrealDB takes it, and reads its views at least as fresh as it: it sees its writes.
"""

from __future__ import annotations

from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import Revision
from sp00ky.proto.v1 import admin_pb2


def revision_request(asked: Asked) -> admin_pb2.BarrierRequest:
    return admin_pb2.BarrierRequest()


def revision_answer(asked: Asked, response: admin_pb2.BarrierResponse) -> Answer:
    body: Revision = {"revision": response.revision, "seq": response.seq}
    return json_answer(body, revision=response.revision)
