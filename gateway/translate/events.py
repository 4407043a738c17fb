"""`GET /events` ↔ `EventService.WatchEvents`: what happens in the mesh, as server-sent events.

| event          | id | data                                                                                     |
|----------------|----|------------------------------------------------------------------------------------------|
| `mesh`         | y  | something happened: `{id, at_ms, kind, text, trouble, ssp_id?, view_id?, auth?}`          |
| `must-refetch` |    | events after the asked id are kept no more; those that are kept follow                   |
| `history`      |    | `?samples=1`: figures of the last 15 minutes, at once                                    |
| `sample`       |    | `?samples=1`: figures of now, once a second                                              |
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.translate.answers import MeshEvent, MeshSample, SspSample
from sp00ky.gateway.translate.fields import FLAG, TEXT, Field
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import events_pb2

SINCE = Field("since", "id of the last event that is known; what came after it is told. None: all that is kept", TEXT)
SAMPLES = Field("samples", "1 adds figures: of the last 15 minutes, then once a second", FLAG)
LAST_EVENT_ID = Field("Last-Event-ID", "as `since`, from a client that comes back; it counts before `since`", TEXT)
_ID_MAX = 2**53 - 1  # what a number in JSON holds


def watch_request(asked: Asked, last_event_id: str = "") -> events_pb2.WatchEventsRequest:
    """Raises Fault INVALID."""
    since = last_event_id or SINCE.text(asked.query) or "0"
    if not (since.isascii() and since.isdecimal()) or int(since[:32]) > _ID_MAX:
        raise Fault(Code.INVALID, "since is not the id of an event", "take the id of the last event that came")
    return events_pb2.WatchEventsRequest(since_id=int(since), samples=SAMPLES.flag(asked.query))


def told(answer: events_pb2.WatchEventsResponse, is_first: bool, streams: int = 0) -> Iterator[tuple[str, str, bytes]]:
    """(name, id, data) of each event of an answer. The first answer's figures are those of before; `streams`: open at
    this server, which those of now say as well."""
    if answer.missed:
        yield "must-refetch", "", orjson.dumps({"kept": len(answer.events)})
    if is_first and answer.samples:
        yield "history", "", orjson.dumps([sample_body(sample) for sample in answer.samples])
    for event in answer.events:
        yield "mesh", str(event.id), orjson.dumps(event_body(event))
    for sample in () if is_first else answer.samples:
        yield "sample", "", orjson.dumps(sample_body(sample) | {"streams": streams})


def event_body(event: events_pb2.MeshEvent) -> MeshEvent:
    body: MeshEvent = {
        "id": event.id,
        "at_ms": event.at_ms,
        "kind": event.kind,
        "text": event.text,
        "trouble": event.trouble,
    }
    if event.ssp_id:
        body["ssp_id"] = event.ssp_id
    if event.view_id:
        body["view_id"] = event.view_id
    if event.auth_id:
        body["auth"] = event.auth_id
    return body


def sample_body(sample: events_pb2.MeshSample) -> MeshSample:
    body: MeshSample = {
        "at_ms": sample.at_ms,
        "state": sample.state,
        "captures": sample.captures,
        "captured_per_second": sample.captured_per_second,
        "appended_per_second": sample.appended_per_second,
        "head_seq": sample.head_seq,
        "queued_changes": sample.queued_changes,
        "log_bytes": sample.log_bytes,
        "rows": sample.rows,
        "cpu_usage": sample.cpu_ratio,
        "memory_usage": sample.memory_bytes,
        "views": sample.views,
        "dead_letters": sample.dead_letters,
        "ssps": [_ssp_body(ssp) for ssp in sample.ssps],
    }
    if sample.detail:
        body["detail"] = sample.detail
    if sample.HasField("lag"):
        lag = sample.lag
        body["lag"] = {
            "captured_seconds": lag.captured_seconds,
            "applied_seconds": lag.applied_seconds,
            "written_seconds": lag.written_seconds,
        }
    return body


def _ssp_body(ssp: events_pb2.SspSample) -> SspSample:
    return {
        "id": ssp.id,
        "state": ssp.state,
        "draining": ssp.draining,
        "views": ssp.views,
        "cpu_usage": ssp.cpu_ratio,
        "memory_usage": ssp.memory_bytes,
        "last_heartbeat_seconds_ago": ssp.heartbeat_age_seconds,
        "applied_seq": ssp.applied_seq,
        "written_seq": ssp.written_seq,
        "applied_per_second": ssp.applied_per_second,
        "edges_per_second": ssp.edges_per_second,
        "views_failed": ssp.views_failed,
    }
