"""SSPs that speak HTTP only and are not what they seem, in this process: loops, redirects, floods, wrong ids; and what
is left of them over a restart of the scheduler."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.harness.eventually import eventually
from tests.harness.fake_mesh import FakeMesh, ssp_status
from tests.harness.http_ssp import http_ssp
from tests.harness.scheduler import Scheduler
from tests.unit.scheduler.foreign.test_following import POLL_MS, Mesh, following, mesh


async def beat(at: Mesh, ssp_id: str) -> tuple[int, Any]:
    return await at.post("/ssp/heartbeat", {"ssp_id": ssp_id})


@pytest.mark.parametrize(
    "url", ["h:1", "ftp://h", "http://169.254.169.254/", "http://u:p@h", "http://h?x", "http://[::1"]
)
async def test_addresses_are_refused_when_it_registers(url: str) -> None:
    async with mesh() as at:
        status, refused = await at.post("/ssp/register", {"ssp_id": "h", "url": url})
        assert (status, refused["code"]) == (400, "SPKY_INVALID")
        assert not at.driver.coordinator.ssps and not at.driver.store.pins()


async def test_a_url_that_leads_back_to_the_mesh_is_found_before_a_change_is_sent() -> None:
    """An SSP's API of ours is ready and takes /ingest, which it hands to its scheduler: every change would be two."""
    own = FakeMesh(status=ssp_status())
    async with mesh() as at:
        server = GatewayServer(
            GatewaySettings(listen_addr="127.0.0.1:0"), "ssp", await own.start(), at.scheduler.address
        )
        url = await server.start()
        assert (await at.post("/ssp/register", {"ssp_id": "loop", "url": url}))[0] == 202
        last = await at.write(1, 2)

        async def told() -> bool:
            status, answer = await beat(at, "loop")
            return status == 409 and "leads back" in answer["message"]

        await eventually(told)
        assert at.driver.coordinator.head_seq == last
        await server.stop()
    await own.stop()


async def test_the_schedulers_own_api_never_is_an_ssp_that_is_ready() -> None:
    async with mesh(heartbeat_timeout_ms=60_000, bootstrap_timeout_secs=1) as at, following(at, "real"):
        assert (await at.post("/ssp/register", {"ssp_id": "self", "url": at.url}))[0] == 202
        last = await at.write(1)
        await eventually(lambda: "self" not in at.driver.coordinator.ssps, what="the load to be overdue")
        assert at.driver.coordinator.head_seq >= last
        await eventually(lambda: not at.driver.store.pins())
        assert (await beat(at, "self"))[0] == 404


async def test_redirects_are_not_followed() -> None:
    async with mesh() as at, following(at) as ssp:
        ssp.answers["/ingest"] = 307
        await at.write(1)
        await eventually(lambda: at.metric("http_ssp_retries") >= 2)
        assert {path for path, _ in ssp.asked} == {"/ingest"} and not ssp.seqs


@pytest.mark.parametrize("status", [200, 404, 302, 500])
async def test_who_does_not_answer_as_an_ssp_is_not_ready_and_is_removed(status: int) -> None:
    async with mesh(heartbeat_timeout_ms=400) as at, http_ssp("h", at.url) as ssp:
        ssp.status, ssp.answers["/health"] = "x" * 1_000_000 if status == 200 else "ready", status
        await ssp.register()
        ssp.status = "x" * 1_000_000 if status == 200 else "ready"
        await eventually(lambda: "h" not in at.driver.coordinator.ssps, what="its removal")
        await eventually(lambda: at.metric("http_ssps_lost") == 1)
        assert not at.driver.store.pins()


async def test_a_command_about_a_view_holds_up_the_changes_for_a_while_only() -> None:
    async with mesh() as at, following(at) as ssp:
        ssp.answers["/view/register"] = 500
        await at.register_view("v")
        last = await at.write(1)
        await eventually(lambda: ssp.applied == last, 8.0)
        assert at.metric("http_ssp_views_refused") == 1
        assert [path for path, _ in ssp.asked].count("/view/register") == 5


SIGNING = "s" * 32
JWT = jwt.encode({"spky_role": "ssp", "exp": time.time() + 3600}, SIGNING, "HS256")
SECRETS = {"auth_secret": "all", "auth_secret_previous": "before", "jwt_secret": SIGNING}
THEIRS = {**SECRETS, "ssp_secret": "theirs", "admin_secret": "boss"}


@pytest.mark.parametrize(
    ("secrets", "presented", "sent"),
    [
        ({}, "", ""),
        (SECRETS, "all", "Bearer all"),
        (SECRETS, "before", "Bearer before"),
        (SECRETS, JWT, ""),
        (THEIRS, "theirs", "Bearer theirs"),
        (THEIRS, "boss", ""),
        (THEIRS, JWT, ""),
    ],
)
async def test_what_is_posted_has_the_secret_it_registered_with(
    secrets: dict[str, str], presented: str, sent: str
) -> None:
    """And no other: whoever may register, by a JWT or a secret that is on its way out, learns nothing by it."""
    auth = {name: value for name, value in secrets.items() if name.startswith("auth_")}
    async with Scheduler(MemoryDatastore(), ssp_poll_interval_ms=POLL_MS, **auth) as scheduler:
        settings = GatewaySettings.model_validate({"listen_addr": "127.0.0.1:0", **secrets})
        server = GatewayServer(settings, "scheduler", scheduler.address)
        url = await server.start()
        async with aiohttp.ClientSession(url) as http, http_ssp("h", url, presented) as ssp:
            at = Mesh(scheduler, http, url)
            await ssp.join()
            await at.ready("h")
            await at.write(1)
            await eventually(lambda: ssp.seqs)
            assert ssp.bearers == {sent}
        await server.stop()


async def test_registering_again_replaces_what_was_before_also_while_it_is_fed() -> None:
    async with mesh() as at, following(at) as ssp:
        ssp.held["/ingest"] = asyncio.Event()
        await at.write(1, 2, 3)
        await eventually(lambda: ssp.asked)
        held = ssp.held.pop("/ingest")
        await ssp.join()
        held.set()
        await at.ready("h")
        assert set(ssp.rows["t"]) == {"t:1", "t:2", "t:3"}
        last = await at.write(4)
        await eventually(lambda: ssp.applied == last)
        assert ssp.seqs == [last] or ssp.seqs[-1] == last  # the request that was held may have been answered late
        assert await ssp.beat() == 200


async def test_after_a_restart_of_the_scheduler_it_registers_again_and_has_its_views(tmp_path: Path) -> None:
    async with Scheduler(RocksDatastore.open(tmp_path), ssp_poll_interval_ms=POLL_MS) as first:
        server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "scheduler", first.address)
        url = await server.start()
        async with aiohttp.ClientSession(url) as http, http_ssp("h", url) as ssp:
            at = Mesh(first, http, url)
            await ssp.join()
            await at.ready("h")
            await at.register_view("v")
            await at.write(1)
            await eventually(lambda: "v" in ssp.views and ssp.seqs)
            await server.stop()
    async with Scheduler(RocksDatastore.open(tmp_path), ssp_poll_interval_ms=POLL_MS) as second:
        server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "scheduler", second.address)
        url = await server.start()
        async with aiohttp.ClientSession(url) as http, http_ssp("h", url) as ssp:
            at = Mesh(second, http, url)
            status, answer = await beat(at, "h")
            assert status == 409 and "started again" in answer["message"]
            await ssp.join()
            await at.ready("h")
            assert set(ssp.rows["t"]) == {"t:1"}
            await eventually(lambda: "v" in ssp.views, what="its view to be placed on it again")
            assert ssp.views["v"]["lastActiveAt"] > "2020", "else it would have expired long ago"
            async with http.get("/ssps") as response:
                (shown,) = await response.json()
            assert shown["http_only"] is True
        await server.stop()
