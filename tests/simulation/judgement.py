"""The checkers: what processes hold and answer, against the witness's fold of the durable log."""

from __future__ import annotations

from collections.abc import Mapping

from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.proto.values.text import record_id_text
from sp00ky.scheduler.driver import SchedulerDriver
from sp00ky.scheduler.room import Work
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.views.lifecycle import State

from tests.simulation.hosts import INGEST_QUEUE_MAX
from tests.simulation.kernel import Violation
from tests.simulation.surreal import ModelSurreal
from tests.simulation.views import BY_ID, TABLES, Place, Query, places
from tests.simulation.witness import Witness, unpacked


def check_replica(name: str, engine: Engine, witness: Witness) -> None:
    """Every table that the SSP holds equals the log folded up to what it has applied."""
    at = engine.applied_seq
    for table, arrangement in engine._tables.held.items():
        held = arrangement.rows
        rows = witness.rows(table, at)
        if held.keys() != rows.keys():
            raise Violation(f"{name} at {at}: table {table} has other records than the log says")
        for key, (record, seq) in held.items():
            packed, version = rows[key]
            if seq != version:
                raise Violation(f"{name} at {at}: {table}:{unpacked(packed)['id'].key} is of {seq}, not of {version}")
            logged = unpacked(packed)
            if record != logged and record != {**logged, "id": record["id"]}:
                raise Violation(f"{name} at {at}: {record} is not what was logged at {seq}")


def check_a_view(name: str, engine: Engine, witness: Witness, turn: int) -> None:
    """A live view equals its query, evaluated afresh at the revision that it claims."""
    readings = engine.views()
    if not readings:
        return
    reading = readings[turn % len(readings)]
    query = BY_ID[reading.key.id]
    if reading.state is not State.LIVE or reading.seq == 0:
        return
    members = {place_of(member) for member in reading.members}
    expected = places(query, witness.source(reading.seq, TABLES))
    if members != expected:
        raise Violation(f"{name}: view {query.id} at {reading.seq}: {told(members)}, should be {told(expected)}")


def place_of(member: MemberChange) -> Place:
    return Place(member.id, member.parent, member.parent_rel)


def told(found: set[Place]) -> str:
    return str(sorted(_text(place) for place in found))


def _text(place: Place) -> tuple[str, str]:
    return record_id_text(place.record), record_id_text(place.parent) if place.parent is not None else ""


def check_read(witness: Witness, query: Query, answer: views_pb2.GetViewResponse, floor: int) -> None:
    seq = parse_revision(answer.revision).seq
    witness.shown(seq, f"a read of {query.id}")
    if seq < floor:
        raise Violation(f"view {query.id} was to be read at {floor} or later, and is of {seq}")
    expected = {_text(place) for place in places(query, witness.source(seq, TABLES))}
    members = {(member.id, member.parent) for member in answer.members}
    if members != expected:
        raise Violation(f"view {query.id} was read at {seq} as {sorted(members)}, should be {sorted(expected)}")


def check_barrier(
    surreal: ModelSurreal, witness: Witness, before: Mapping[RecordId, tuple[float, int]], seq: int
) -> None:
    """The log up to `seq` holds, of each record, what it was when the barrier was asked for, or later."""
    for record, (_, count) in before.items():
        _, packed = witness.version_at(record, pack(record.key), seq)
        later = [version.packed for version in surreal.versions[record][count - 1 :]]
        if packed not in later:
            raise Violation(f"the barrier answered {seq}, and {record_id_text(record)} is older there than the call")


def check_scheduler_bounds(driver: SchedulerDriver) -> None:
    """Every queue has its limit. An offer of the capture that is larger is let in where no other changes wait, however
    many commands do."""
    committer = driver.committer
    depth = committer.room.depth
    is_larger = depth[Work.CAPTURED] > INGEST_QUEUE_MAX and not depth[Work.CHANGES]
    if sum(depth.values()) > INGEST_QUEUE_MAX and not is_larger:
        raise Violation(f"{depth} wait in a queue of {INGEST_QUEUE_MAX}")
    coordinator = committer.coordinator
    for member in coordinator.ssps.values():
        progress = member.progress
        if progress.inflight_frames > progress.credit.frames:
            raise Violation(f"{member.id} was sent {progress.inflight_frames} frames for {progress.credit.frames}")
