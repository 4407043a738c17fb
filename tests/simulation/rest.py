"""When the mesh has come to rest: everything ready, everything acknowledged visible, edges equal to fresh queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.coordinator.coordinator import Coordinator
from sp00ky.scheduler.coordinator.membership import Phase
from sp00ky.ssp.edges.outbox import edge_of
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange

from tests.simulation.judgement import check_replica
from tests.simulation.views import CAPTURED, QUERIES, TABLES, Query, places
from tests.simulation.witness import unpacked

if TYPE_CHECKING:
    from tests.simulation.world import World


def why_not_well(world: World) -> str:
    """What still has to happen; empty when nothing has."""
    if world.applications.acting:
        return "callers wait for an answer"
    driver = world.active.serving
    if driver is None:
        return "no scheduler runs"
    coordinator = driver.coordinator
    if driver.state != "ready":
        return "the scheduler clones the database"
    return (
        _why_not_followed(world, coordinator)
        or _why_not_captured(world)
        or next((why for query in QUERIES if (why := _why_not_kept(world, coordinator, query))), "")
    )


def _why_not_followed(world: World, coordinator: Coordinator) -> str:
    head = world.witness.head
    if coordinator.durable_seq != head:
        return f"the scheduler is at {coordinator.durable_seq}, durable is {head}"
    for host in world.ssps:
        if host.driver is None:
            return f"{host.name} does not run"
        member = coordinator.ssps.get(host.name)
        if member is None or member.phase is not Phase.READY:
            return f"{host.name} is {member.phase if member is not None else 'unknown'}: {host.driver.detail}"
        engine = host.driver.engine
        if engine.applied_seq != head:
            return f"{host.name} has applied {engine.applied_seq} of {head}"
        check_replica(host.name, engine, world.witness)
    return ""


def _why_not_captured(world: World) -> str:
    """The replica is the database."""
    witness = world.witness
    for table in CAPTURED:
        rows = {key: unpacked(packed) for key, (packed, _) in witness.rows(table, witness.head).items()}
        records = {pack(key): record for key, record in world.surreal.records[table].items()}
        if rows != records:
            return f"table {table} is {rows}, SurrealDB has {records}"
    return ""


def _why_not_kept(world: World, coordinator: Coordinator, query: Query) -> str:
    view = coordinator.views.get(_key(query))
    if query.id not in world.applications.kept:
        return _why_not_gone(world, view is not None, query)
    if view is None:
        return f"view {query.id} is not registered"
    owners = [host for host in world.ssps if host.driver is not None and host.driver.engine.view(_key(query))]
    if [host.name for host in owners] != [view.ssp_id]:
        return f"view {query.id} is {view.ssp_id}'s, and kept by {[host.name for host in owners]}"
    assert owners[0].driver is not None
    reading = owners[0].driver.engine.view(_key(query))
    assert reading is not None
    if str(reading.state) != "live":
        return f"view {query.id} is {reading.state}: {reading.error}"
    if reading.unsettled:
        return f"view {query.id} is about to be run again"
    return _why_edges_differ(world, query, owners[0].name)


def _why_edges_differ(world: World, query: Query, owner: str) -> str:
    expected = _expected(world, query)
    stored = {key: edge.version for key, edge in world.surreal.edges_of(RecordId("_00_query", query.id)).items()}
    if query.by_run:
        expected, stored = dict.fromkeys(expected, 0), dict.fromkeys(stored, 0)
    if stored != expected:
        return (
            f"edges of view {query.id}, kept by {owner}, are {sorted(stored.items())}, not {sorted(expected.items())}"
        )
    return ""


def _expected(world: World, query: Query) -> dict[str, int]:
    """The edges of a fresh evaluation, edge → version; remembered as long as the log does not grow."""
    witness = world.witness
    known = world.expected.get(query.id)
    if known is not None and known[0] == witness.head:
        return known[1]
    expected: dict[str, int] = {}
    for place in places(query, witness.source(witness.head, TABLES)):
        version, _ = witness.version_at(place.record, pack(place.record.key), witness.head)
        member = MemberChange(place.record, version, place.parent, place.rel)
        expected[edge_of(_key(query), member)] = version
    world.expected[query.id] = witness.head, expected
    return expected


def _why_not_gone(world: World, is_known: bool, query: Query) -> str:
    """An unregistered view has left nothing behind."""
    row = RecordId("_00_query", query.id)
    if is_known:
        return f"view {query.id} is still registered"
    if any(host.driver is not None and host.driver.engine.view(_key(query)) for host in world.ssps):
        return f"view {query.id} is unregistered, and still kept"
    if world.surreal.edges_of(row) or row in world.surreal.queries:
        return f"view {query.id} is unregistered, and has left rows behind"
    return ""


def _key(query: Query) -> ViewKey:
    return ViewKey(query.id)
