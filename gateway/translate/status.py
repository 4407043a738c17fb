"""Health, information and metrics ↔ `AdminService.GetStatus`.

A health endpoint answers whether or not the service behind it does: what stands for "the service is silent" is a status
of its own (`*_silent`), never an error body, since load balancers and `spky` read these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sp00ky.gateway.exchange import TEXT, Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import Backends, Health, Lag, Live, Metrics, Places, Snapshot, Ssp, Version
from sp00ky.proto.faults import Fault
from sp00ky.proto.v1 import admin_pb2

READY = "ready"
_SECRET_WORDS = ("key", "secret", "token", "password", "pass", "auth", "credential", "private")
_WILDCARDS = ("0.0.0.0", "[::]", "")
_NO_BACKENDS: Backends = {"healthy": 0, "unhealthy": 0, "unreachable": 0, "total": 0}
_SICK = ("unhealthy", "unreachable")


def status_request(asked: Asked) -> admin_pb2.GetStatusRequest:
    return admin_pb2.GetStatusRequest()


def health_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """Scheduler: healthy if it and at least one SSP are ready, and no backend is known to be sick; unavailable without
    an SSP, or if every backend that is asked is sick. SSP: its state."""
    if asked.api == "ssp":
        state = status.state if status.state in {READY, "failed"} else "bootstrapping"
        told = {"detail": status.detail} if status.detail and state != READY else {}
        return json_answer({"status": state} | told, status=200 if state == READY else 503)
    ready = sum(ssp.state == READY for ssp in status.ssps)
    asked_of = [backend.state for backend in status.backends if backend.healthcheck]
    sick = sum(state in _SICK for state in asked_of)
    healthy = ready > 0 and status.state not in {"cloning", "restoring"} and (sick < len(asked_of) or not asked_of)
    body: Health = {
        "status": ("degraded" if sick else "healthy") if healthy else "unavailable",
        "ssps": {"ready": ready, "total": len(status.ssps)},
        "backends": {
            "healthy": asked_of.count("healthy"),
            "unhealthy": asked_of.count("unhealthy"),
            "unreachable": asked_of.count("unreachable"),
            "total": len(asked_of),
        },
    }
    if status.detail and not healthy:
        body["detail"] = status.detail
    return json_answer(body, status=200 if healthy else 503)


def health_silent(asked: Asked, fault: Fault) -> Answer:
    if asked.api == "ssp":
        return json_answer({"status": "failed", "detail": fault.message}, status=503)
    body: Health = {"status": "unavailable", "ssps": {"ready": 0, "total": 0}, "backends": _NO_BACKENDS}
    body["detail"] = fault.message
    return json_answer(body, status=503)


def ready_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """503 while a scheduler clones, or until an SSP is ready."""
    if asked.api == "ssp":
        return health_answer(asked, status)
    body = {"status": status.state} | ({"detail": status.detail} if status.detail else {})
    return json_answer(body, status=503 if status.state in {"cloning", ""} else 200)


def ready_silent(asked: Asked, fault: Fault) -> Answer:
    if asked.api == "ssp":
        return health_silent(asked, fault)
    return json_answer({"status": "unavailable", "detail": fault.message}, status=503)


def live_answer(asked: Asked, response: None) -> Answer:
    """The process answers; nothing is said of what stands behind it."""
    body: Live = {"status": "live"}
    return json_answer(body)


def snapshot_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """Rows of every table. The replica is the log, folded: its snapshot is its durable head."""
    body: Snapshot = {
        "tables": {table.name: table.rows for table in status.tables},
        "captured": sorted(table.name for table in status.tables if table.captured),
        "total_records": sum(table.rows for table in status.tables),
        **_places(status),
    }
    return json_answer(body)


def _places(status: admin_pb2.GetStatusResponse) -> Places:
    """The documented figures of the log; what the scheduler does not count itself follows from its head."""
    counted = status.metrics
    return {
        "pending_events": int(counted.get("pending_events", 0)),
        "snapshot_seq": int(counted.get("snapshot_seq", status.head_seq)),
        "latest_seq": int(counted.get("latest_seq", status.head_seq)),
        "lag": int(counted.get("lag", 0)),
    }


def info_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """The documented array: the service itself, then, of a scheduler, its SSPs and the backends."""
    return json_answer(_info(asked, status))


def info_text_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    return Answer(info_answer(asked, status).body, 200, TEXT)


def _info(asked: Asked, status: admin_pb2.GetStatusResponse) -> list[dict[str, object]]:
    own: dict[str, object] = {
        "entity": status.service,
        "id": status.id,
        "ip": _host(status.grpc_address),
        "status": status.state,
        "views": status.views,
        "version": status.version,
        "uptime_seconds": status.uptime_seconds,
        "last_heartbeat_seconds_ago": None,
        "grpc_address": reachable_grpc_address(asked, status),
        "store_id": status.store_id,
        "epoch": status.epoch,
        "namespace": status.namespace,
        "database": status.database,
    }
    if status.service == "ssp":
        own["circuit_tables"] = {table.name: table.rows for table in status.tables}
        own["applied_seq"] = status.head_seq
        own["ref_mode"] = status.ref_mode
    else:
        own |= _places(status)
    if status.detail:
        own["detail"] = status.detail
    own["env"] = masked(status.env)
    backends = (_backend_info(backend) for backend in status.backends)
    return [own, *(_ssp_info(ssp) for ssp in status.ssps), *backends]


def reachable_grpc_address(asked: Asked, status: admin_pb2.GetStatusResponse) -> str:
    """Where the service's gRPC is. A port open on every interface has no host of its own: who asked the service over
    HTTP puts in the host it asked; a separate gateway is another host, and puts in the one it calls."""
    address = status.grpc_address or asked.upstream
    host, _, port = address.rpartition(":")
    upstream_host = asked.upstream.rpartition(":")[0]
    if asked.api == "gateway" and host in _WILDCARDS and not asked.upstream.startswith("unix:"):
        return f"{upstream_host}:{port}"
    return address


def _ssp_info(ssp: admin_pb2.SspStatus) -> dict[str, object]:
    return {
        "entity": "ssp",
        "id": ssp.id,
        "ip": _host(re.sub(r"^https?://", "", ssp.http_url).partition("/")[0]),
        "url": ssp.http_url,
        "grpc_address": ssp.grpc_address,
        "status": ssp.state,
        "views": ssp.views,
        "version": ssp.version,
        "uptime_seconds": ssp.uptime_seconds,
        "last_heartbeat_seconds_ago": ssp.heartbeat_age_seconds,
        "applied_seq": ssp.applied_seq,
        "written_seq": ssp.written_seq,
        "env": masked(ssp.env),
    }


def _backend_info(backend: admin_pb2.BackendStatus) -> dict[str, object]:
    checked, healthy = backend.checked_age_seconds, backend.healthy_age_seconds
    return {
        "entity": "backend",
        "id": backend.name,
        "ip": _host(re.sub(r"^https?://", "", backend.url).partition("/")[0]),
        "url": backend.url,
        "port": backend.port or None,
        "table": backend.table or None,
        "status": backend.state,
        "healthcheck": backend.healthcheck,
        "last_checked_seconds_ago": checked if checked >= 0 else None,
        "last_healthy_seconds_ago": healthy if healthy >= 0 else None,
        "response_time_ms": round(backend.response_seconds * 1000, 3) if checked >= 0 else None,
        "detail": backend.detail or None,
        **(_jobs_info(backend) if backend.table else {}),
        "env": masked(backend.env),
    }


def _jobs_info(backend: admin_pb2.BackendStatus) -> dict[str, object]:
    return {
        "breaker": backend.breaker or None,
        "runners": backend.runners,
        "running": backend.running,
        "jobs": dict(sorted(backend.jobs.items())),
        "last_error": backend.last_error or None,
        "last_error_seconds_ago": backend.last_error_age_seconds if backend.last_error else None,
    }


def masked(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with what may be a secret replaced by `****`, whoever forgot to."""
    return {
        name: "****" if value and any(word in name.lower() for word in _SECRET_WORDS) else value
        for name, value in sorted(env.items())
    }


def _host(address: str) -> str | None:
    host = address.rpartition(":")[0]
    return None if not host or host == "unix" or address.startswith("unix:") else host


def version_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    body: Version = {"version": status.version, "service": status.service}
    if asked.api == "ssp":
        body["mode"] = "streaming"
    return json_answer(body)


def ssps_answer(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    body: list[Ssp] = [
        {
            "id": ssp.id,
            "url": ssp.http_url,
            "grpc_address": ssp.grpc_address,
            "state": ssp.state,
            "views": ssp.views,
            "cpu_usage": ssp.cpu_ratio,
            "memory_usage": ssp.memory_bytes,
            "memory_limit": ssp.memory_bytes_max,
            "last_heartbeat_seconds_ago": ssp.heartbeat_age_seconds,
            "applied_seq": ssp.applied_seq,
            "written_seq": ssp.written_seq,
            "incarnation": ssp.incarnation,
            "version": ssp.version,
            "uptime_seconds": ssp.uptime_seconds,
            "draining": ssp.draining,
            "frozen": ssp.frozen,
            "http_only": ssp.http_only,
        }
        for ssp in status.ssps
    ]
    return json_answer(body)


def metrics_json(asked: Asked, status: admin_pb2.GetStatusResponse) -> Answer:
    """The documented object; everything else the service counts is under `metrics`."""
    counted = dict(sorted(status.metrics.items()))
    if status.service == "ssp":
        own = {"id": status.id, "state": status.state, "views": status.views, "applied_seq": status.head_seq}
        of_ssp: Metrics = {"ssp": {**own, "uptime_seconds": status.uptime_seconds}, "metrics": counted}
        return json_answer(of_ssp)
    scheduler: dict[str, object] = {
        "total_ssps": len(status.ssps),
        "ready_ssps": sum(ssp.state == READY for ssp in status.ssps),
        "total_queries": status.views,
        "running_jobs": int(counted.get("running_jobs", 0)),
        "uptime_seconds": status.uptime_seconds,
        **_places(status),
    }
    ssps = [_ssp_metrics(ssp) for ssp in status.ssps]
    body: Metrics = {"scheduler": scheduler, "ssps": ssps, "metrics": counted}
    if status.HasField("lag"):
        body["lag"] = _lag(status)
    return json_answer(body)


def _lag(status: admin_pb2.GetStatusResponse) -> Lag:
    """How long a write takes through the mesh, in seconds; null: it was not seen there yet, or nobody looks."""
    lag = status.lag
    return {
        "interval_ms": lag.interval_ms,
        "turn": lag.turn,
        "age_seconds": lag.age_seconds,
        "stored_seconds": lag.stored_seconds or None,
        "captured_seconds": lag.captured_seconds or None,
        "applied_seconds": lag.applied_seconds or None,
        "written_seconds": lag.written_seconds or None,
        "ssps": {ssp.id: ssp.lag_seconds or None for ssp in status.ssps},
        "detail": lag.detail,
    }


def _ssp_metrics(ssp: admin_pb2.SspStatus) -> dict[str, object]:
    return {
        "id": ssp.id,
        "query_count": ssp.views,
        "views": ssp.views,
        "cpu_usage": ssp.cpu_ratio,
        "memory_usage": ssp.memory_bytes,
        "last_heartbeat_seconds_ago": ssp.heartbeat_age_seconds,
    }
