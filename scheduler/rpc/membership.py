"""What operators ask of the SSPs: to drain one, to have them load anew. And the SSPs that speak HTTP only: they join,
and say that they live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc import aio
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.measures import key_of
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import admin_pb2, membership_pb2, membership_pb2_grpc, replication_pb2
from sp00ky.scheduler.coordinator.events import DrainRequested, ResyncRequested
from sp00ky.scheduler.coordinator.ssp import Ssp
from sp00ky.scheduler.foreign.hashes import table_hashes
from sp00ky.scheduler.foreign.members import Registration

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver


async def drained(driver: SchedulerDriver, request: admin_pb2.DrainSspRequest) -> admin_pb2.DrainSspResponse:
    """Begin or end a drain; asked again, how far it is. Raises Fault INVALID, NOT_FOUND."""
    driver.require_ready()
    if not request.ssp_id:
        raise Fault(Code.INVALID, "ssp_id is missing", "`spky ssp list` names the ssps")
    seq = await driver.committer.ask(lambda ticket: DrainRequested(ticket, request.ssp_id, request.undo))
    left = driver.coordinator.views_left_on(request.ssp_id)
    return admin_pb2.DrainSspResponse(views=left, revision=driver.token(seq))


async def resynced(driver: SchedulerDriver, request: admin_pb2.ResyncSspsRequest) -> admin_pb2.ResyncSspsResponse:
    """Have SSPs drop their state and load a new snapshot. Raises Fault NOT_FOUND."""
    driver.require_ready()
    told = sorted(ssp_id for ssp_id in driver.coordinator.ssps if request.ssp_id in ("", ssp_id))
    await driver.committer.ask(lambda ticket: ResyncRequested(ticket, request.ssp_id))
    return admin_pb2.ResyncSspsResponse(ssp_ids=told)


def ssp_status(driver: SchedulerDriver, member: Ssp, now_ms: int) -> admin_pb2.SspStatus:
    beat = member.heartbeat
    return admin_pb2.SspStatus(
        id=member.id,
        http_url=member.http_url,
        grpc_address=member.grpc_address,
        state=member.documented_state,
        views=driver.coordinator.views_of(member.id),
        cpu_ratio=beat.cpu_ratio,
        memory_bytes=beat.memory_bytes,
        memory_bytes_max=beat.memory_bytes_max,
        heartbeat_age_seconds=max(0, now_ms - member.seen_ms) / 1000,
        applied_seq=member.progress.acked_seq,
        written_seq=member.written_seq,
        version=member.version,
        incarnation=member.incarnation,
        env=dict(member.env),
        uptime_seconds=max(0, now_ms - member.joined_ms) / 1000,
        draining=member.draining,
        frozen=member.loading,
        http_only=member.http_only,
        lag_seconds=driver.probe.lag_of(member.id) if driver.probe is not None else 0.0,
    )


def membership_metrics(driver: SchedulerDriver) -> dict[str, float]:
    coordinator, pages = driver.coordinator, driver.committer.pages
    members = coordinator.ssps.values()
    return {
        "ssps_draining": sum(member.draining for member in members),
        "ssps_loading": sum(member.loading for member in members),
        "ssps_without_room": sum(not member.has_room for member in members),
        "refused_for_memory": coordinator.registrations_refused_for_memory,
        "views_shed": coordinator.views_shed,
        **driver.http_members.metrics(),
        **{key_of("ssp_rebootstraps", reason=reason): count for reason, count in coordinator.rebootstraps.items()},
        **{key_of("sent_seq", ssp=member.id): member.progress.next_seq - 1 for member in members},
        "ssp_lag_max": max((coordinator.durable_seq - member.progress.acked_seq for member in members), default=0),
        "ssp_inflight_frames": sum(member.progress.inflight_frames for member in members),
        "ssp_inflight_entries": sum(member.progress.inflight_entries for member in members),
        "ssp_inflight_bytes": sum(member.progress.inflight_bytes for member in members),
        "views_handing_over": coordinator.views_handing_over,
        "views_leaving": coordinator.views_leaving,
        "views_unassigned": coordinator.views_of(""),
        "views_owned": len(coordinator.views) - coordinator.views_handing_over - coordinator.views_of(""),
        "page_cache_bytes": pages.bytes,
        "page_cache_hits": pages.hits,
        "page_cache_misses": pages.misses,
    }


add_membership = membership_pb2_grpc.add_MembershipServiceServicer_to_server


class MembershipServicer(membership_pb2_grpc.MembershipServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver

    async def RegisterSsp(
        self, request: membership_pb2.RegisterSspRequest, context: aio.ServicerContext[object, object]
    ) -> membership_pb2.RegisterSspResponse:
        driver = self._driver
        driver.require_ready()
        asked = Registration(request.ssp_id, request.url, request.version, dict(request.env), request.secret)
        welcome = await driver.http_members.register(asked)
        with driver.store.holding(Seq(welcome.at_seq)):
            hashes = await table_hashes(driver.store, Seq(welcome.at_seq))
        return membership_pb2.RegisterSspResponse(
            snapshot_seq=welcome.at_seq,
            table_hashes=hashes,
            epoch=welcome.epoch,
            revision=driver.token(welcome.at_seq),
        )

    async def BeatSsp(
        self, request: membership_pb2.BeatSspRequest, context: aio.ServicerContext[object, object]
    ) -> membership_pb2.BeatSspResponse:
        self._driver.require_ready()
        heartbeat = replication_pb2.Heartbeat(
            views=request.views, cpu_ratio=request.cpu_ratio, memory_bytes=request.memory_bytes
        )
        self._driver.http_members.beat(request.ssp_id, heartbeat)
        return membership_pb2.BeatSspResponse()
