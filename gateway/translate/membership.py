"""`POST /admin/ssp/…` ↔ `AdminService.DrainSsp`, `ResyncSsps`: an operator moves views off an SSP, or has SSPs load
anew."""

from __future__ import annotations

from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import Drained, Resynced
from sp00ky.gateway.translate.fields import FLAG, Field
from sp00ky.proto.v1 import admin_pb2

UNDO = Field("undo", "1 ends the drain: views may be placed on the SSP again", FLAG)


def drain_request(asked: Asked) -> admin_pb2.DrainSspRequest:
    return admin_pb2.DrainSspRequest(ssp_id=asked.path["id"], undo=UNDO.flag(asked.query))


def drain_answer(asked: Asked, response: admin_pb2.DrainSspResponse) -> Answer:
    draining = not UNDO.flag(asked.query)
    body: Drained = {"ssp_id": asked.path["id"], "draining": draining, "views": response.views}
    return json_answer(body, revision=response.revision)


def resync_request(asked: Asked) -> admin_pb2.ResyncSspsRequest:
    return admin_pb2.ResyncSspsRequest(ssp_id=asked.path.get("id", ""))


def resync_answer(asked: Asked, response: admin_pb2.ResyncSspsResponse) -> Answer:
    """`marked_for_resync` is the documented count."""
    body: Resynced = {"marked_for_resync": len(response.ssp_ids), "ssp_ids": list(response.ssp_ids)}
    return json_answer(body)
