"""The network between the parts fails: partitions, delays, resets, repetitions, other addresses (N1 to N8)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from sp00ky.proto.channel import _OPTIONS, open_channel
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import ingest_pb2, ingest_pb2_grpc

from tests.faults.proxy import proxied
from tests.faults.scene import Scene, running_scene, sensor_change
from tests.harness.eventually import eventually
from tests.harness.mesh_client import SECRET
from tests.harness.scheduler import change
from tests.harness.tuned_spky import TUNED_GRPC

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
TUNED = "tests.harness.tuned_spky"
# Half-open connections are found in 2.5 s here, in 25 by default; servers must let that many pings pass.
KEEPALIVE = {
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 1_500,
    "grpc.http2.ping_timeout_ms": 1_500,
    "grpc.http2.min_ping_interval_without_data_ms": 50,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, db_ws: str) -> AsyncIterator[Scene]:
    tuned = {TUNED_GRPC: json.dumps(KEEPALIVE)}
    async with running_scene(tmp_path_factory.mktemp("network"), db_ws, tuned, program=TUNED) as scene:
        await scene.settled()
        yield scene


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _healed(scene: Scene) -> AsyncIterator[None]:
    """Whatever becomes of a test, the next one finds a network that works."""
    yield
    await scene.heal()


async def moved(scene: Scene, victim: str) -> None:
    """The scheduler has given the victim's views to the others."""

    async def gone() -> bool:
        owners = await scene.parts.owners()
        return bool(owners) and victim not in owners.values() and "" not in owners.values()

    await eventually(gone, 15.0, what=f"the views of {victim} to have moved", every_s=0.05)


async def epoch_of(scene: Scene, ssp: str) -> int:
    """What the database knows as the greatest epoch of this SSP."""
    return int((await scene.database.query(f"SELECT VALUE epoch FROM ONLY _00_owner:{ssp}"))[0])


async def applied(scene: Scene, ssp: str) -> None:
    """The SSP has everything that is in the database now."""
    head = (await scene.parts.get("/revision"))["seq"]

    async def has_it() -> bool:
        return int((await scene.parts.ssps())[ssp]["applied_seq"]) >= head

    await eventually(has_it, 10.0, what=f"{ssp} to have applied {head}")


async def test_n1_partition_both_ways_and_late_writes_are_fenced(scene: Scene) -> None:
    """It owes edges that it cannot write; by the time it can, its views are another's, and it is refused. G5, G9."""
    victim = await scene.owner_of("bin-0")
    before = (await scene.incarnations())[victim]
    scene.stores[victim].hold()
    await scene.write(20)
    await applied(scene, victim)
    scene.links[victim].hold()
    await moved(scene, victim)
    await scene.write(20)
    await scene.settled()
    fenced = await epoch_of(scene, victim)
    assert fenced > before
    scene.stores[victim].release()
    said = scene.parts.parts[victim].running.child.said
    await eventually(lambda: "was fenced at" in said(), 10.0, what="the late write to be refused")
    await scene.settled()
    scene.links[victim].release()
    await scene.all_ready()
    assert (await scene.incarnations())[victim] > fenced
    await scene.write()
    await scene.settled()


async def test_n2_partition_one_way(scene: Scene) -> None:
    """It hears and cannot answer: dead to the scheduler. Every view has one owner, and only that one's edges stay."""
    victim = await scene.owner_of("bin-0")
    before = (await scene.incarnations())[victim]
    scene.links[victim].up.hold()
    await scene.write()
    await moved(scene, victim)
    await scene.write()
    await scene.settled()
    assert await epoch_of(scene, victim) > before
    scene.links[victim].release()
    await scene.all_ready()
    assert (await scene.incarnations())[victim] > before
    await scene.settled()


@pytest.mark.parametrize("how", ["silent", "refusing"])
async def test_n3_partition_from_the_database(scene: Scene, how: str) -> None:
    """It says that it is not ready, and why. What it owes is kept, net by view, until the database is back."""
    victim = await scene.owner_of("bin-0")
    store, before = scene.stores[victim], await scene.incarnations()
    if how == "silent":
        store.hold()
    else:
        await store.refuse()
        store.reset()
    await scene.write(20)

    async def tells() -> bool:
        status = await scene.parts.status_of(victim)
        return status["code"] == 503 and "no edge was written for" in status.get("detail", "")

    await eventually(tells, 10.0, what=f"{victim} to say that it is not ready", every_s=0.05)
    await scene.write(20)
    if how == "silent":
        store.release()
    else:
        await store.allow()
    await scene.settled()
    assert (await scene.parts.status_of(victim))["code"] == 200
    assert await scene.incarnations() == before


async def test_n4_delay_is_no_death(scene: Scene) -> None:
    """50 to 500 ms each way, well below the timeout: nobody is declared dead, everything is only later."""
    before = await scene.incarnations()
    passed = {name: link.up.passed_bytes for name, link in scene.links.items()}
    for link in scene.links.values():
        link.delay(50, 450)
    for _ in range(2):
        await scene.write()
        await scene.ingest()
        await scene.settled()
    for name, link in scene.links.items():
        assert link.up.passed_bytes > passed[name]
    assert await scene.incarnations() == before


async def test_n5_replayed_http_requests_change_nothing(scene: Scene) -> None:
    """Recorded requests arrive again, often and out of order; each is answered as the first time. G5."""
    async with proxied(scene.parts.url.removeprefix("http://")) as proxy:
        sent: list[tuple[int, bytes]] = []
        for _ in range(2):
            scene._next_sensor += 1
            sensor = scene._next_sensor
            headers = {
                "Idempotency-Key": f"sensor-{sensor}",
                "Authorization": f"Bearer {SECRET}",
                "Connection": "close",
            }
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.post(f"http://{proxy.address}/ingest", json=[sensor_change(sensor)]) as response,
            ):
                assert response.status == 200
                scene.acknowledged[sensor], scene.seqs[sensor] = sensor * 10, (await response.json())["seq"]
            await eventually(lambda: len(proxy.recorded) > len(sent), what="the request to be recorded")
            sent.append((sensor, proxy.recorded[-1]))
        first, second = sent
        for sensor, request in (second, first, first, second):
            answer = await proxy.replay(request, b"}")
            assert b" 200 " in answer and b'"seq":%d' % scene.seqs[sensor] in answer, answer
    await scene.settled()


async def test_n5_replayed_grpc_connections_change_nothing(scene: Scene) -> None:
    """The very bytes of a gRPC connection, sent again: HTTP/2 and all."""
    scene._next_sensor += 1
    sensor = scene._next_sensor
    async with proxied(scene.parts.grpc) as proxy:
        async with open_channel(proxy.address, SECRET) as channel:
            request = ingest_pb2.IngestRequest(
                changes=[change("sensor", sensor, idempotency_key=f"grpc-{sensor}", value=sensor * 10)]
            )
            answer = await ingest_pb2_grpc.IngestServiceStub(channel).Ingest(request)
            scene.acknowledged[sensor], scene.seqs[sensor] = sensor * 10, answer.seq
        await eventually(lambda: len(proxy.recorded) == 1, what="the connection to be recorded")
        for _ in range(3):
            again = await proxy.replay(proxy.recorded[0], answer.revision.encode())
            assert answer.revision.encode() in again
    await scene.settled()


async def test_n6_connections_reset_in_mid_stream(scene: Scene) -> None:
    """Each SSP goes on after the seq that it acknowledged last, without loading anything."""
    before = await scene.incarnations()
    resets = 0
    for _ in range(4):
        await scene.write()
        resets += scene.links["one"].reset() + scene.links["two"].reset()
        await scene.ingest()
        await scene.all_ready()
    assert resets >= 6
    await scene.settled()
    assert await scene.incarnations() == before


async def test_n6_half_open_connections_are_found(scene: Scene) -> None:
    """The other end is gone without a word; keepalive finds it. (Here that takes longer than a lease.)"""
    accepted = {name: link.accepted for name, link in scene.links.items()}
    for link in scene.links.values():
        assert link.strand() > 0
    await scene.write()
    for name, link in scene.links.items():
        await eventually(lambda link=link, name=name: link.accepted > accepted[name], 15.0, what=f"{name} to dial anew")
    await scene.all_ready()
    await scene.settled()


async def test_n6_half_open_connections_are_found_within_thirty_seconds() -> None:
    options = dict(_OPTIONS)
    assert options["grpc.keepalive_time_ms"] + options["grpc.http2.ping_timeout_ms"] <= 30_000
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert options["grpc.http2.min_ping_interval_without_data_ms"] < options["grpc.keepalive_time_ms"]


async def test_n6_a_half_open_connection_to_the_database_is_given_up(scene: Scene) -> None:
    """A request that is not answered, on a socket that says nothing: the next one opens another."""
    async with proxied(scene.parts.db_ws.removeprefix("ws://").removesuffix("/rpc")) as proxy:
        database = Database(
            proxy.address, user="root", password="root", namespace=scene.parts.namespace, database="sp00ky",
            request_timeout_s=0.5,
        )  # fmt: skip
        try:
            await database.connect()
            assert proxy.strand() == 1
            with pytest.raises(Fault) as raised:
                await database.query("RETURN 1")
            assert raised.value.code is Code.TIMEOUT
            assert await database.query("RETURN 1") == [1]
            assert proxy.accepted == 2
        finally:
            await database.close()


async def test_n8_connections_that_grow_too_old(scene: Scene) -> None:
    """GOAWAY in the middle of streams, again and again: nobody loads anew, no batch is lost."""
    aged = KEEPALIVE | {"grpc.max_connection_age_ms": 300, "grpc.max_connection_age_grace_ms": 100}
    await scene.restart_scheduler(**{TUNED_GRPC: json.dumps(aged)})
    await scene.all_ready()
    before = await scene.incarnations()
    accepted = {name: link.accepted for name, link in scene.links.items()}

    async def renewed() -> bool:
        await scene.write()
        await scene.ingest()
        return all(link.accepted >= accepted[name] + 3 for name, link in scene.links.items())

    await eventually(renewed, 20.0, what="each SSP to have dialled three times", every_s=0.02)
    for sensor in list(scene.doubtful):
        await scene.retried(sensor)
    await scene.settled()
    assert await scene.incarnations() == before


async def test_n7_a_scheduler_that_comes_back_elsewhere(scene: Scene) -> None:
    """Its gRPC port is another after its restart: an SSP and a gateway that were told its URL find it.

    (SSPs listen elsewhere after each restart in the crash tests, and their views are read there.)"""
    parts = scene.parts
    parts.add_ssp("three", SPKY_SCHEDULER_URL=parts.url)
    parts.add("gateway", ["serve", "gateway"], SPKY_SCHEDULER_URL=parts.url, SPKY_GATEWAY_LISTEN_ADDR="127.0.0.1:0")
    await parts.start("three", "gateway")
    await parts.all_ready("one", "two", "three")
    moved_to = parts.move_grpc()
    for link in scene.links.values():
        link.retarget(moved_to)
    await scene.restart_scheduler(SPKY_SCHEDULER_GRPC_ADDR=parts.grpc)
    await parts.all_ready("one", "two", "three")
    gateway = parts.parts["gateway"].listening["http"]

    async def reached() -> bool:
        async with parts.http.get(f"{gateway}/view/bin-0", params={"consistency": "fully_consistent"}) as response:
            return response.status == 200

    await eventually(reached, 10.0, what="the gateway to find the scheduler", every_s=0.05)
    await scene.settled()
