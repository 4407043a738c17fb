"""What happens in the mesh, in words: every kind there is, and what each is made from.

A happening is told to people and never acted on: it is made from what has happened already, a durable command of the
log, or a state that is another than at the last look. Between two looks a state may change and change back, which
nobody is told; of the views nothing is missed, since each step of theirs is a command.

Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.coordinator.membership import Phase
from sp00ky.scheduler.coordinator.ssp import Ssp
from sp00ky.scheduler.dead_letters import DeadLetter


class Kind(StrEnum):
    EPOCH_STARTED = "epoch.started"
    CAPTURE_CLONING = "capture.cloning"
    CAPTURE_CLONED = "capture.cloned"
    CAPTURE_LOST = "capture.lost"
    CAPTURE_BACK = "capture.back"
    SSP_JOINED = "ssp.joined"
    SSP_REPLAYING = "ssp.replaying"
    SSP_READY = "ssp.ready"
    SSP_STALE = "ssp.stale"
    SSP_REBOOTSTRAP = "ssp.rebootstrap"
    SSP_LEFT = "ssp.left"
    SSP_DRAINING = "ssp.draining"
    SSP_UNDRAINED = "ssp.undrained"
    VIEW_REGISTERED = "view.registered"
    VIEW_ASSIGNED = "view.assigned"
    VIEW_RELEASED = "view.released"
    VIEW_UNREGISTERED = "view.unregistered"
    VIEW_FAILED = "view.failed"
    DEAD_LETTER = "dead_letter"
    DRIFT_FOUND = "drift.found"
    DRIFT_CHECKED = "drift.checked"
    SNAPSHOT_TAKEN = "snapshot.taken"
    GARBAGE_COLLECTED = "garbage.collected"
    LOG_TRIMMED = "log.trimmed"
    UPKEEP_FAILED = "upkeep.failed"


TROUBLE: Final = frozenset(
    {
        Kind.CAPTURE_LOST, Kind.SSP_STALE, Kind.SSP_REBOOTSTRAP, Kind.SSP_LEFT, Kind.VIEW_FAILED, Kind.DEAD_LETTER,
        Kind.DRIFT_FOUND, Kind.LOG_TRIMMED, Kind.UPKEEP_FAILED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happening:
    kind: Kind
    text: str
    ssp_id: str = ""
    view_id: str = ""
    auth_id: str = ""


# --- commands ---------------------------------------------------------------------------------------------------------


def told_by(commands: Sequence[common_pb2.Entry]) -> Iterator[Happening]:
    """What the commands of one commit say, in their order. A view that is registered and given to an SSP at once is one
    happening; one that is only renewed is none."""
    registered: tuple[str, str] | None = None
    for entry in commands:
        match entry.WhichOneof("body"):
            case "view_registered":
                key = entry.view_registered.spec.key
                registered = key.id, key.auth_id
            case "view_assigned":
                key = entry.view_assigned.spec.key
                yield _assigned(entry.view_assigned, is_new=registered == (key.id, key.auth_id))
            case "view_released":
                released = entry.view_released
                text = f"{_name(released.key)} is handed over: {released.ssp_id} writes its edges"
                yield _of_view(Kind.VIEW_RELEASED, released.key, text, released.ssp_id)
            case "view_unregistered":
                left = entry.view_unregistered
                text = f"{_name(left.key)} ended: {left.reason}"
                yield _of_view(Kind.VIEW_UNREGISTERED, left.key, text)
            case "ssp_joined":
                ssp_id = entry.ssp_joined.ssp_id
                yield Happening(Kind.SSP_JOINED, f"{ssp_id} joined and loads a snapshot", ssp_id)
            case _:
                continue


def _assigned(assigned: common_pb2.ViewAssigned, is_new: bool) -> Happening:
    key, ssp_id = assigned.spec.key, assigned.ssp_id
    if is_new:
        return _of_view(Kind.VIEW_REGISTERED, key, f"{_name(key)} registered, kept by {ssp_id}", ssp_id)
    former = assigned.handing_over_ssp_id
    whence = f", handed over by {former}" if former and former != ssp_id else ""
    fenced = f", after {', '.join(assigned.fence_ssp_ids)}" if assigned.fence_ssp_ids else ""
    return _of_view(Kind.VIEW_ASSIGNED, key, f"{_name(key)} is kept by {ssp_id}{whence}{fenced}", ssp_id)


def _of_view(kind: Kind, key: common_pb2.ViewKey, text: str, ssp_id: str = "") -> Happening:
    return Happening(kind, text, ssp_id, key.id, key.auth_id)


def _name(key: common_pb2.ViewKey) -> str:
    return f"view {key.id} of {key.auth_id}" if key.auth_id else f"view {key.id}"


# --- SSPs -------------------------------------------------------------------------------------------------------------

# That one loads is told by its command.
_ENTERED: Final[Mapping[Phase, tuple[Kind, str]]] = {
    Phase.JOINING: (Kind.SSP_REBOOTSTRAP, "is told to load anew"),
    Phase.REPLAYING: (Kind.SSP_REPLAYING, "follows the log towards its head"),
    Phase.READY: (Kind.SSP_READY, "is ready"),
    Phase.STALE: (Kind.SSP_STALE, "lost its stream; its views wait for it"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Of an SSP, at one look."""

    phase: Phase
    draining: bool
    views_failed: int = 0


def is_as_before(before: Mapping[str, Standing], ssps: Mapping[str, Ssp]) -> bool:
    """Whether there is nothing to tell of the SSPs: asked after every commit."""
    if len(before) != len(ssps):
        return False
    for ssp_id, member in ssps.items():
        then = before.get(ssp_id)
        if then is None or then.phase is not member.phase or then.draining != member.draining:
            return False
        if then.views_failed != member.heartbeat.views_failed:
            return False
    return True


def standings_of(ssps: Mapping[str, Ssp]) -> dict[str, Standing]:
    return {
        member.id: Standing(member.phase, member.draining, member.heartbeat.views_failed) for member in ssps.values()
    }


def between(before: Mapping[str, Standing], after: Mapping[str, Standing]) -> Iterator[Happening]:
    """What became of the SSPs from one look to the next."""
    for ssp_id in sorted(before.keys() - after.keys()):
        yield Happening(Kind.SSP_LEFT, f"{ssp_id} is removed; its views move", ssp_id)
    for ssp_id, now in after.items():
        then = before.get(ssp_id)
        if now.phase in _ENTERED and (then is None or then.phase is not now.phase):
            kind, text = _ENTERED[now.phase]
            yield Happening(kind, f"{ssp_id} {text}", ssp_id)
        if now.draining != (then is not None and then.draining):
            kind = Kind.SSP_DRAINING if now.draining else Kind.SSP_UNDRAINED
            yield Happening(kind, f"{ssp_id} {'drains' if now.draining else 'no longer drains'}", ssp_id)
        if now.views_failed > (then.views_failed if then is not None else 0):
            text = f"views that have failed on {ssp_id}: {now.views_failed}; `spky view list` says why"
            yield Happening(Kind.VIEW_FAILED, text, ssp_id)


# --- all else ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of the services around the log, at one look. Counters are of this process."""

    cloning: bool = False
    lost: str = ""  # why nothing is captured
    drift_checks: int = 0
    differing: int = 0
    repaired: int = 0
    versions: int = 0  # collected
    trimmed: int = 0
    forced_trims: int = 0
    snapshots: int = 0
    upkeep_failures: int = 0


def since(before: Outlook, now: Outlook) -> Iterator[Happening]:
    """What became of them from one look to the next."""
    if now.cloning != before.cloning:
        if now.cloning:
            yield Happening(Kind.CAPTURE_CLONING, "every table of SurrealDB is compared with the replica")
        else:
            yield Happening(Kind.CAPTURE_CLONED, "the replica equals SurrealDB")
    if bool(now.lost) != bool(before.lost):
        if now.lost:
            yield Happening(Kind.CAPTURE_LOST, f"changes are not captured: {now.lost}")
        else:
            yield Happening(Kind.CAPTURE_BACK, "changes are captured again")
    yield from _of_drift(before, now)
    yield from _of_upkeep(before, now)


def _of_drift(before: Outlook, now: Outlook) -> Iterator[Happening]:
    if now.differing > before.differing:
        found, repaired = now.differing - before.differing, now.repaired - before.repaired
        yield Happening(Kind.DRIFT_FOUND, f"{found} records differed from SurrealDB, {repaired} repaired")
    elif now.drift_checks > before.drift_checks and now.differing == before.differing:
        yield Happening(Kind.DRIFT_CHECKED, "the replica was compared with SurrealDB")


def _of_upkeep(before: Outlook, now: Outlook) -> Iterator[Happening]:
    versions, trimmed = now.versions - before.versions, now.trimmed - before.trimmed
    if now.forced_trims > before.forced_trims:
        yield Happening(
            Kind.LOG_TRIMMED, f"the log was trimmed by its cap: {trimmed} entries, SSPs behind it load anew"
        )
    elif versions or trimmed:
        yield Happening(Kind.GARBAGE_COLLECTED, f"{versions} old versions and {trimmed} log entries were removed")
    if now.snapshots > before.snapshots:
        yield Happening(Kind.SNAPSHOT_TAKEN, "a snapshot of the replica was taken")
    if now.upkeep_failures > before.upkeep_failures:
        yield Happening(Kind.UPKEEP_FAILED, "upkeep of the replica failed; it is tried again")


def of_letter(letter: DeadLetter) -> Happening:
    what = ", ".join(letter.names or letter.tables) or "a change"
    return Happening(Kind.DEAD_LETTER, f"dead letter {letter.id}: {what[:200]}: {letter.reason[:300]}")
