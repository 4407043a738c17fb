"""The scheduler's refusals, one function each: the code, the object named in lower case, and what to do about it.

They are `Fault`s (proto/faults.py is the one table from code to status); this file keeps their wording in one place.
"""

from __future__ import annotations

from sp00ky.proto.faults import FIELD, INDEX, RESOURCE_NAME, RESOURCE_TYPE, RETRY_AFTER_MS, Code, Fault

INTAKE_RETRY_MS = 500  # a full queue is durable by then
REGISTRATION_RETRY_MS = 1_000
QUERY_RETRY_MS = 1_000
MEMORY_RETRY_MS = 5_000  # a heartbeat of an SSP says whether there is room


def _resource(kind: str, name: str) -> dict[str, str]:
    return {RESOURCE_TYPE: kind, RESOURCE_NAME: name}


class SchedulerInvariantError(AssertionError):
    """Our own broken invariant: the process ends and starts again from the log."""


def invalid_change(index: int, field: str, reason: str, hint: str = "") -> Fault:
    """A change of a batch that can never be applied; the whole request is refused and nothing of it is applied."""
    details = {INDEX: str(index), FIELD: field}
    return Fault(Code.INVALID, f"change {index}: {field} {reason}", hint, details)


def cloning() -> Fault:
    return Fault(
        Code.NOT_READY, "scheduler is cloning the database", "retry when /health/ready says ready", {"state": "cloning"}
    )


def draining() -> Fault:
    return Fault(Code.UNAVAILABLE, "scheduler is shutting down", "retry")


def overloaded(queued: int, queue_max: int, size: int, size_max: int) -> Fault:
    return Fault(
        Code.OVERLOADED,
        f"intake queue is full: {queued} changes, {size} bytes wait to be made durable",
        "retry after a moment, or send on the stream, which waits",
        {
            "queued": str(queued),
            "queue_max": str(queue_max),
            "queued_bytes": str(size),
            "queue_bytes_max": str(size_max),
            RETRY_AFTER_MS: str(INTAKE_RETRY_MS),
        },
    )


def queries_overloaded(waiting: int, waiting_max: int) -> Fault:
    return Fault(
        Code.OVERLOADED,
        f"{waiting} queries wait for the replica",
        "retry after a moment",
        {"queued": str(waiting), "queue_max": str(waiting_max), RETRY_AFTER_MS: str(QUERY_RETRY_MS)},
    )


def registrations_overloaded(waiting: int, waiting_max: int) -> Fault:
    return Fault(
        Code.OVERLOADED,
        f"scheduler is busy with changes and views that it has: {waiting} new views wait",
        "retry after a moment; views that are registered go on",
        {"queued": str(waiting), "queue_max": str(waiting_max), RETRY_AFTER_MS: str(REGISTRATION_RETRY_MS)},
    )


def no_ready_ssp(purpose: str) -> Fault:
    return Fault(Code.NO_READY_SSP, f"no ready ssp {purpose}", "start or undrain an ssp, or wait until one has loaded")


def no_memory(view_id: str, besides: str) -> Fault:
    return Fault(
        Code.OVERLOADED,
        f'no ssp has memory for view "{view_id}"{besides}',
        "retry after a moment, start an ssp, or raise SPKY_SSP_MEMORY_BYTES_MAX; views that are registered go on",
        {RETRY_AFTER_MS: str(MEMORY_RETRY_MS)},
    )


def unknown_view(view_id: str) -> Fault:
    return Fault(Code.NOT_FOUND, f'view "{view_id}" is not registered', "", _resource("view", view_id))


def kept_over_http(view_id: str, ssp_id: str) -> Fault:
    message = f'view "{view_id}" is kept by ssp "{ssp_id}", which speaks HTTP only and answers no reads'
    return Fault(Code.UNIMPLEMENTED, message, "follow its edges in SurrealDB", {"ssp_id": ssp_id})


def unknown_ssp(ssp_id: str) -> Fault:
    hint = "`spky ssp list` names those that are"
    return Fault(Code.NOT_FOUND, f'ssp "{ssp_id}" is not known', hint, _resource("ssp", ssp_id))


def other_text(view_id: str) -> Fault:
    return Fault(
        Code.CONFLICT,
        f'view "{view_id}" is registered with another query, other params or other auth',
        "unregister it first, or use another id",
        _resource("view", view_id),
    )


def peer_fault(ssp_id: str, reason: str) -> Fault:
    return Fault(Code.INVALID, f'ssp "{ssp_id}" broke the protocol: {reason}', "say hello again")
