"""SSPs that speak HTTP only, over a real scheduler and its HTTP API, in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.eventually import eventually
from tests.harness.http_ssp import HttpSsp, http_ssp
from tests.harness.scheduler import Peer, Scheduler, change

POLL_MS = 20


class Mesh:
    """A scheduler without a database, and its API."""

    def __init__(self, scheduler: Scheduler, http: aiohttp.ClientSession, url: str) -> None:
        self.scheduler, self.http, self.url = scheduler, http, url
        self.driver = scheduler.driver

    async def write(self, *numbers: int, op: str = "CREATE") -> int:
        fields: dict[str, Any] = {} if op == "DELETE" else {"kind": "a"}
        tickets = [await self.scheduler.offer(change("t", number, op, n=number, **fields)) for number in numbers]
        return [await ticket.seq() for ticket in tickets][-1]

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self.http.post(path, json=body) as response:
            text = await response.text()
            return response.status, await response.json() if text else None

    async def register_view(self, name: str, **more: object) -> tuple[int, Any]:
        return await self.post("/view/register", {"id": name, "surql": "SELECT * FROM t", "clientId": "c", **more})

    def metric(self, name: str) -> float:
        return self.driver.http_members.metrics()[name]

    def state(self, ssp_id: str) -> str:
        member = self.driver.coordinator.ssps.get(ssp_id)
        return member.documented_state if member is not None else ""

    async def ready(self, ssp_id: str) -> None:
        await eventually(lambda: self.state(ssp_id) == "ready", what=f"{ssp_id} to be ready")


@contextlib.asynccontextmanager
async def mesh(**settings: object) -> AsyncIterator[Mesh]:
    async with Scheduler(MemoryDatastore(), **{"ssp_poll_interval_ms": POLL_MS, **settings}) as scheduler:
        server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "scheduler", scheduler.address)
        url = await server.start()
        async with aiohttp.ClientSession(url) as http:
            yield Mesh(scheduler, http, url)
        await server.stop()


@contextlib.asynccontextmanager
async def following(at: Mesh, ssp_id: str = "h") -> AsyncIterator[HttpSsp]:
    async with http_ssp(ssp_id, at.url) as ssp:
        await ssp.join()
        await at.ready(ssp_id)
        yield ssp


async def streaming(at: Mesh, ssp_id: str) -> Peer:
    peer = Peer(at.scheduler.address, ssp_id, "127.0.0.1:1")
    await peer.join()
    await at.ready(ssp_id)
    return peer


async def test_it_loads_one_revision_while_writes_go_on_and_is_sent_each_change_after_it_once_in_order() -> None:
    async with mesh() as at, http_ssp("h", at.url) as ssp:
        await at.write(*range(120))
        await ssp.register(env={"A": "b"})
        snapshot = ssp.registered["snapshot_seq"]
        assert snapshot >= 120 and set(ssp.registered["table_hashes"]) == {"t"} and ssp.registered["epoch"] == 1
        await at.write(*range(120, 140))
        await ssp.load()  # checks the hashes of the snapshot against what it was answered
        assert len(ssp.rows["t"]) == 120 and len(ssp.loaded_at) == 1
        await at.ready("h")
        await at.write(*range(0, 120, 2), op="DELETE")
        last = await at.write(500)
        await eventually(lambda: ssp.applied == last)
        assert ssp.seqs == sorted(set(ssp.seqs)) and ssp.seqs[0] > snapshot
        assert len(ssp.seqs) == 20 + 60 + 1
        assert set(ssp.rows["t"]) == {f"t:{n}" for n in (*range(1, 120, 2), *range(120, 140), 500)}
        deleted = next(body for path, body in ssp.asked if body.get("op") == "DELETE")
        assert deleted["record"] == {"id": deleted["id"]}
        await eventually(lambda: at.driver.coordinator.ssps["h"].progress.acked_seq >= last)
        assert at.driver.coordinator.http_load_seq == 0 and not at.driver.store.pins()


async def test_a_query_that_names_no_revision_reads_the_pin_while_one_loads_and_others_share_it() -> None:
    async with mesh(revision_quantization_ms=0) as at, http_ssp("h", at.url) as ssp, http_ssp("i", at.url) as later:
        await at.write(1)
        await ssp.register()
        await at.write(2)
        await later.register()
        assert later.registered["snapshot_seq"] == ssp.registered["snapshot_seq"]
        assert [pin.at for pin in at.driver.store.pins()] == [ssp.registered["snapshot_seq"]] * 2
        assert len(await ssp.query("SELECT * FROM t")) == 1
        status, fresh = await at.post("/proxy/query", {"query": "SELECT * FROM t", "consistency": "minimize_latency"})
        assert (status, len(fresh)) == (200, 2)
        await ssp.load()
        await at.ready("h")
        assert len(await later.query("SELECT * FROM t")) == 1  # it still loads
        await later.load()
        await at.ready("i")
        assert len(await later.query("SELECT * FROM t")) == 2
        await eventually(lambda: ssp.rows == later.rows and len(ssp.rows["t"]) == 2)


async def test_views_are_placed_on_it_and_taken_from_it() -> None:
    async with mesh(auth_secret="") as at, following(at) as ssp:
        status, placed = await at.register_view(
            "v", surql="SELECT * FROM t WHERE kind = $kind", params={"kind": "a"}, ttl="30s"
        )
        assert (status, placed["ssp_id"], placed["ssp_url"]) == (200, "h", ssp.url)
        last = await at.write(1, 2)
        await eventually(lambda: ssp.applied == last and "v" in ssp.views)
        assert ssp.members("v") == ["t:1", "t:2"]
        told = ssp.views["v"]
        assert (told["clientId"], told["params"], told["format"]) == ("c", {"kind": "a"}, "streaming")
        assert told["ttl"] and told["lastActiveAt"].endswith("Z")

        async def live() -> bool:
            async with at.http.get("/views") as response:
                (view,) = await response.json()
                return (view["state"], view["ssp_id"]) == ("live", "h") and bool(view["revision"])

        await eventually(live)
        async with at.http.get("/view/v") as response:
            assert (response.status, (await response.json())["hint"]) == (501, "follow its edges in SurrealDB")
        assert (await at.post("/view/unregister", {"id": "v"}))[0] == 200
        await eventually(lambda: not ssp.views)
        await eventually(lambda: at.driver.coordinator.views_leaving == 0, what="the view to be forgotten")


async def test_g2_no_users_view_is_placed_on_it() -> None:
    async with mesh() as at, following(at) as ssp:
        status, refused = await at.register_view("mine", auth="user:1")
        assert (status, refused["code"]) == (503, "SPKY_NO_READY_SSP")
        peer = await streaming(at, "s")
        assert (await at.register_view("mine", auth="user:1"))[1]["ssp_id"] == "s"
        await peer.close()
        assert not ssp.views


async def test_a_view_that_it_refuses_is_said_to_have_failed_and_moves_to_one_that_can_keep_it() -> None:
    async with mesh() as at, following(at) as ssp:
        ssp.answers["/view/register"] = 400
        await at.register_view("v")
        await eventually(lambda: at.metric("http_ssp_views_refused") == 1)

        async def failed() -> bool:
            async with at.http.get("/views") as response:
                (view,) = await response.json()
                return view["state"] == "failed" and "400" in view["reason"]

        await eventually(failed)
        last = await at.write(1)
        await eventually(lambda: ssp.applied == last, what="changes to go on")
        peer = await streaming(at, "s")
        view = at.driver.coordinator.views
        await eventually(lambda: [each.ssp_id for each in view.values()] == ["s"], what="the view to move")
        await peer.close()


async def test_a_request_without_an_answer_is_sent_again_before_anything_that_follows_it() -> None:
    async with mesh() as at, following(at) as ssp:
        ssp.answers["/ingest"] = 503
        first = await at.write(1)
        await at.write(2, 3)
        await eventually(lambda: at.metric("http_ssp_retries") >= 2)
        assert {body["seq"] for path, body in ssp.asked} == {first} and not ssp.seqs
        del ssp.answers["/ingest"]
        await eventually(lambda: len(ssp.seqs) == 3)
        assert ssp.seqs == [first, first + 1, first + 2]


async def test_one_that_takes_nothing_delays_nobody_and_has_to_bootstrap_again_once_it_is_too_far_behind() -> None:
    async with mesh(max_buffer_per_ssp=20, heartbeat_timeout_ms=1_500) as at, following(at) as ssp:
        peer = await streaming(at, "s")
        ssp.held["/ingest"] = asyncio.Event()
        last = await at.write(*range(100))
        await eventually(lambda: peer.entries and peer.entries[-1].seq >= last, what="the streaming one to have it all")

        async def told() -> bool:
            await peer.ack(0)
            return await ssp.beat() == 409

        await eventually(told, 8.0, what="409", every_s=0.1)
        assert len(ssp.seqs) == 0
        ssp.held.pop("/ingest").set()
        await ssp.join()
        await at.ready("h")
        assert len(ssp.rows["t"]) == 100
        assert await ssp.beat() == 200
        await peer.close()


async def test_a_change_that_it_refuses_for_good_makes_it_bootstrap_again() -> None:
    async with mesh() as at, following(at) as ssp:
        ssp.answers["/ingest"] = 422
        await at.write(1)

        async def told() -> bool:
            return await ssp.beat() == 409

        await eventually(told)
        status, refused = await at.post("/ssp/heartbeat", {"ssp_id": "h"})
        assert (status, refused["code"]) == (409, "SPKY_CONFLICT") and "422" in refused["message"]
        del ssp.answers["/ingest"]
        await ssp.join()
        await at.ready("h")
        assert set(ssp.rows["t"]) == {"t:1"}


async def test_silent_ones_are_removed_and_their_views_move() -> None:
    async with mesh(heartbeat_timeout_ms=600) as at, following(at) as ssp:
        await at.register_view("v")
        await eventually(lambda: "v" in ssp.views)
        peer = await streaming(at, "s")

        async def moved() -> bool:
            await peer.ack(0)
            views = at.driver.coordinator.views
            return [view.ssp_id for view in views.values()] == ["s"]

        await eventually(moved, what="the view to move", every_s=0.05)
        assert await ssp.beat() == 404
        assigned = [entry.view_assigned for entry in peer.entries if entry.HasField("view_assigned")]
        assert list(assigned[-1].fence_ssp_ids) == ["h"]
        assert not [path for path, _ in ssp.asked if path == "/view/unregister"]
        await peer.close()


async def test_what_it_says_when_it_loads_is_heard() -> None:
    async with mesh(heartbeat_timeout_ms=500) as at, http_ssp("h", at.url) as ssp, http_ssp("bad", at.url) as bad:
        await ssp.register()
        polled = at.driver.coordinator.ssps["h"].seen_ms
        await eventually(lambda: ssp.polls > 3, what="its health to be asked for again and again")
        # A load that is longer than the heartbeat timeout is no silence: health is asked for, and answered.
        await eventually(lambda: at.driver.coordinator.ssps["h"].seen_ms > polled + 700, what="a sign of life")
        assert at.state("h") == "bootstrapping"
        ssp.status = "ok"
        await at.ready("h")
        await bad.register()
        bad.status = "failed"

        async def told() -> bool:
            return await bad.beat() == 409

        await eventually(told)
        assert bad.beats[0] in {200, 409}


async def test_it_is_not_asked_before_the_interval_is_over() -> None:
    async with mesh(ssp_poll_interval_ms=60_000) as at, http_ssp("h", at.url) as ssp:
        await ssp.join()
        await at.write(1)
        assert (at.state("h"), ssp.polls, await ssp.beat()) == ("bootstrapping", 0, 200)


async def test_a_drained_one_hands_its_views_over() -> None:
    async with mesh() as at, following(at) as ssp:
        await at.register_view("v")
        await eventually(lambda: "v" in ssp.views)
        peer = await streaming(at, "s")
        await at.post("/admin/ssp/h/drain", {})
        views = at.driver.coordinator.views
        await eventually(lambda: [(v.ssp_id, v.handing_over_ssp_id) for v in views.values()] == [("s", "")])
        assert not ssp.views
        # And back: it is told only when the former owner has released the view.
        await at.post("/admin/ssp/h/drain?undo=1", {})
        peer.answers = False
        await at.post("/admin/ssp/s/drain", {})
        await eventually(lambda: [v.ssp_id for v in views.values()] == ["h"])
        assert not ssp.views

        async def told() -> bool:
            await peer.ack(peer.applied_seq)
            return "v" in ssp.views

        await eventually(told)
        await peer.close()


async def test_its_id_is_one_ssps_only() -> None:
    async with mesh(http_ssps_max=1) as at, following(at, "h") as ssp:
        peer = await streaming(at, "s")
        status, refused = await at.post("/ssp/register", {"ssp_id": "s", "url": ssp.url})
        assert (status, refused["code"]) == (409, "SPKY_CONFLICT")
        status, refused = await at.post("/ssp/register", {"ssp_id": "i", "url": ssp.url})
        assert (status, refused["details"]["http_ssps_max"]) == (429, "1")
        await ssp.join()  # it may register again, whatever the limit
        await at.ready("h")
        await at.register_view("v")
        await at.post("/admin/ssp/s/drain", {})
        await peer.close()
        taken = await streaming(at, "h")  # another kind of SSP: the former one is removed
        assert await ssp.beat() == 404
        assert not at.driver.coordinator.ssps["h"].http_only
        await taken.close()
