"""`POST /admin/ssp/…` ↔ `AdminService.DrainSsp`, `ResyncSsps`: an operator moves views off an SSP, or has SSPs load
anew. `POST /ssp/…` ↔ `MembershipService`: an SSP that speaks HTTP only joins, and says that it lives."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sp00ky.gateway.errors import Misshapen
from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers_of_ssps import Drained, Joined, Resynced
from sp00ky.gateway.translate.body import kind_name, parse_object
from sp00ky.gateway.translate.fields import ANYTHING, FLAG, NAME, OBJECT, Body, Field, Schema
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, membership_pb2
from sp00ky.proto.values.kinds import Value

_U32_MAX, _U64_MAX = 2**32 - 1, 2**64 - 1
_AMOUNT: Schema = {"type": ["number", "null"], "minimum": 0}

SSP_ID = Field("ssp_id", "the SSP's name; whoever registers under it last has it", NAME, required=True)
URL = Field("url", "where the scheduler reaches it: http:// or https://", NAME, required=True)
VERSION = Field("version", "shown in /info")
ENV = Field("env", "its settings, shown in /info, masked", {**OBJECT, "additionalProperties": {"type": "string"}})
TIMESTAMP = Field("timestamp", "accepted, as documented: the scheduler goes by its own clock", ANYTHING)
VIEWS = Field("views", "how many views it has", _AMOUNT)
CPU_USAGE = Field("cpu_usage", "share of one core, 0 to n", _AMOUNT)
MEMORY_USAGE = Field("memory_usage", "bytes", _AMOUNT)
REGISTER_BODY = Body((SSP_ID, URL, VERSION, ENV))
BEAT_BODY = Body((SSP_ID, TIMESTAMP, VIEWS, CPU_USAGE, MEMORY_USAGE, VERSION))

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


def reset_request(asked: Asked, status: admin_pb2.GetStatusResponse) -> admin_pb2.ResyncSspsRequest:
    """Of the SSP that was asked; its scheduler tells it on its stream."""
    return admin_pb2.ResyncSspsRequest(ssp_id=status.id)


def reset_answer(asked: Asked, status: admin_pb2.GetStatusResponse, response: admin_pb2.ResyncSspsResponse) -> Answer:
    return resync_answer(asked, response)


def own_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    raise AssertionError("what follows the status answers")


def register_request(asked: Asked) -> membership_pb2.RegisterSspRequest:
    """Raises Fault INVALID naming the field."""
    body = parse_object(asked)
    env = ENV.object(body)
    for name, value in env.items():
        if type(value) is not str:
            raise Misshapen(f'field "env.{name[:64]}" is {kind_name(value)}, not text')
    return membership_pb2.RegisterSspRequest(
        ssp_id=SSP_ID.text(body), url=URL.text(body), version=VERSION.text(body), env=env, secret=asked.ssp_secret
    )


def register_answer(asked: Asked, response: membership_pb2.RegisterSspResponse) -> Answer:
    body: Joined = {
        "snapshot_seq": response.snapshot_seq,
        "table_hashes": dict(response.table_hashes),
        "epoch": response.epoch,
        "revision": response.revision,
    }
    return json_answer(body, status=202, revision=response.revision)


def beat_request(asked: Asked) -> membership_pb2.BeatSspRequest:
    """Amounts that are not known may be null or absent. Raises Fault INVALID naming the field."""
    body = parse_object(asked)
    return membership_pb2.BeatSspRequest(
        ssp_id=SSP_ID.text(body),
        views=min(int(_amount(body, VIEWS)), _U32_MAX),
        cpu_ratio=_amount(body, CPU_USAGE),
        memory_bytes=min(int(_amount(body, MEMORY_USAGE)), _U64_MAX),
    )


def _amount(body: Mapping[str, Value], field: Field) -> float:
    value = body.get(field.name)
    if value is None:
        return 0.0
    if type(value) is not int and type(value) is not float:
        raise Misshapen(f'field "{field.name}" is {kind_name(value)}, not a number')
    if not math.isfinite(value) or value < 0:
        raise Fault(Code.INVALID, f'field "{field.name}" is below 0 or not finite')
    return float(value)


def beat_answer(asked: Asked, response: membership_pb2.BeatSspResponse) -> Answer:
    """200, and nothing to say."""
    return Answer()
