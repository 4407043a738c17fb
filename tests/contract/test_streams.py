"""`GET /view/{id}/events` over real HTTP and gRPC: what is told, to whom, from where, and every end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import jwt
import orjson
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.folding import Result
from sp00ky.proto.v1 import views_pb2

from tests.harness.event_source import EventSource
from tests.harness.eventually import eventually
from tests.harness.fake_mesh import token
from tests.harness.folding_reader import FoldedView
from tests.harness.watched_ssp import WatchedSsp

SECRET = "s" * 32
JWT_SECRET = "j" * 40


class Scene:
    """A gateway, the mesh behind it, and a client."""

    def __init__(self) -> None:
        self.ssp = WatchedSsp()
        self.server: GatewayServer
        self.client: aiohttp.ClientSession

    async def start(self, secret: str = "", **stated: object) -> Scene:
        self.ssp._secret = secret
        self.secret, self.stated = secret, stated
        await self.ssp.start()
        await self.serve()
        return self

    async def serve(self, listen: str = "127.0.0.1:0") -> None:
        settings = {"listen_addr": listen, "auth_secret": self.secret} | self.stated
        self.server = GatewayServer(GatewaySettings.model_validate(settings), "gateway", self.ssp.address)
        self.client = aiohttp.ClientSession(await self.server.start())

    async def stop(self) -> None:
        await self.client.close()
        await self.server.stop()

    def result(self, name: str = "v") -> Result:
        return self.ssp.at((name, ""), self.ssp.seq)

    def folded_is(self, source: EventSource, name: str = "v", rows: bool = True) -> None:
        true, view = self.result(name), source.folded.views[name]
        assert view.result.members == true.members
        if rows:
            assert view.result.rows == [orjson.loads(row) for row in true.rows]

    def counted(self, name: str, **labels: str) -> float:
        assert self.server._views is not None
        return self.server._views._telemetry.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def scene() -> AsyncIterator[Callable[..., Awaitable[Scene]]]:
    built: list[Scene] = []

    async def build(**stated: object) -> Scene:
        built.append(Scene())
        await built[-1].start(**stated)  # type: ignore[arg-type]
        return built[-1]

    yield build
    for each in built:
        await each.stop()
        await each.ssp.stop()


Build = Callable[..., Awaitable[Scene]]


async def test_a_view_is_told_and_then_what_changes(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1, 2]})
    async with EventSource(mesh.client, "/view/v/events?rows=1") as source:
        assert source.response.headers["Content-Type"].startswith("text/event-stream")
        first = await source.next()
        assert (first.kind, first.id) == ("snapshot", token(mesh.ssp.seq))
        assert first.body == {
            "id": "v", "revision": token(2), "hash": "r:1@2,r:2@2", "state": "live", "mode": "incremental",
            "members": [{"id": "r:1", "version": 2}, {"id": "r:2", "version": 2}], "rows": [{"n": 1}, {"n": 2}],
        }  # fmt: skip
        assert (await source.next())[:2] == ("up-to-date", {"revision": token(2)})
        mesh.ssp.put({"v": [2, 3]})
        change = await source.next()
        assert change.id == token(3)
        assert change.body == {
            "id": "v", "revision": token(3), "from": token(2), "hash": "r:2@2,r:3@3", "state": "live",
            "mode": "incremental", "removed": [{"id": "r:1"}], "added": [{"at": 1, "id": "r:3", "version": 3}],
            "updated": [],
            "rows": [{"at": 0, "remove": 1, "insert": []}, {"at": 1, "remove": 0, "insert": [{"n": 3}]}],
        }  # fmt: skip
        mesh.folded_is(source)


async def test_an_id_is_told_as_its_reader_wrote_it_and_the_view_followed_once(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    async with (
        EventSource(mesh.client, "/view/_00_query:v/events") as one,
        EventSource(mesh.client, "/view/v/events") as other,
    ):
        assert (await one.next()).body["id"] == "_00_query:v"
        assert (await other.next()).body["id"] == "v"
        assert mesh.ssp.watches == 1
        mesh.ssp.put({"v": [1, 2]})
        assert (await one.next("delta")).body["id"] == "_00_query:v"
        assert (await other.next("delta")).body["id"] == "v"
        assert mesh.counted("spky_gateway_streams", transport="sse") == 2
        assert mesh.counted("spky_gateway_feeds") == 1


async def test_who_comes_back_is_told_what_came_after_whatever_he_has(scene: Build) -> None:
    """From every revision there was: by the changes that are kept, else by a read, never twice."""
    mesh = await scene(feed_entries_max=3)
    mesh.ssp.put({"v": [0]})
    async with EventSource(mesh.client, "/view/v/events?rows=1") as kept:
        await kept.next("up-to-date")
        for number in range(8):
            mesh.ssp.put({"v": [number, number + 1]})
            await kept.next("delta")
        for seq in range(2, mesh.ssp.seq + 1):
            late = EventSource(mesh.client, f"/view/v/events?rows=1&since={token(seq)}")
            old = mesh.ssp.at(("v", ""), seq)
            async with late as source:
                view = source.folded.views["v"] = FoldedView(revision=token(seq))
                view.result = Result(list(old.members), [{"n": int(each.id[2:])} for each in old.members])  # type: ignore[misc]
                assert (await source.next("up-to-date")).id == token(mesh.ssp.seq)
                assert "snapshot" not in source.folded.seen
                mesh.folded_is(source)
        assert 0 < mesh.ssp.reads <= 5, "what is kept needs no read"
        assert mesh.counted("spky_gateway_resume_reads_total", outcome="exact") == mesh.ssp.reads


async def test_the_header_of_a_browser_that_comes_back_counts_before_its_address(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    source = EventSource(mesh.client, f"/view/v/events?rows=1&since={token(1)}")
    source.folded.views["v"] = FoldedView(revision=token(1))
    async with source:
        await source.next("up-to-date")
        folded = source.folded
    mesh.ssp.put({"v": [1, 2]})
    async with EventSource(mesh.client, f"/view/v/events?rows=1&since={token(1)}", folded) as source:
        assert (await source.next("delta")).body["from"] == token(2)
        mesh.folded_is(source)


async def test_what_leads_nowhere_must_be_fetched_again(scene: Build) -> None:
    mesh = await scene(request_timeout_ms=300)
    mesh.ssp.put({"v": [1]})
    mesh.ssp.floor = 2
    foreign = token(2).replace("deadbeef", "0badf00d")
    for since, code in ((token(1), "REVISION_GONE"), (foreign, "REVISION_GONE"), (token(999), "TIMEOUT")):
        async with EventSource(mesh.client, f"/view/v/events?since={since}") as source:
            told = await source.next()
            assert (told.kind, told.body["code"]) == ("must-refetch", f"SPKY_{code}")
            assert (await source.next()).kind == "snapshot"
            mesh.folded_is(source, rows=False)
    assert mesh.counted("spky_gateway_must_refetch_total", reason="SPKY_REVISION_GONE") == 2


async def test_a_break_and_a_move_are_one_ordinary_change(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1, 2]})
    async with EventSource(mesh.client, "/view/v/events?rows=1") as source:
        await source.next("up-to-date")
        await mesh.ssp.stop()
        for number in range(5):
            mesh.ssp.put({"v": [2, number]})
        await mesh.ssp.start(mesh.ssp.address)
        change = await source.next()
        assert (change.kind, change.body["from"], change.body["revision"]) == ("delta", token(2), token(7))
        mesh.folded_is(source)
        assert mesh.ssp.opened[-1].at_least_seq == 2
    assert mesh.counted("spky_gateway_feed_breaks_total", reason="link") == 1


async def test_a_store_that_was_restored_to_an_older_branch_must_be_fetched_again(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    async with EventSource(mesh.client, "/view/v/events") as source:
        await source.next("up-to-date")
        mesh.ssp.refusal = Fault(Code.REVISION_GONE, "that branch is gone")
        await mesh.ssp.restart()
        assert (await source.next()).kind == "must-refetch"
        mesh.ssp.refusal = None
        mesh.ssp.put({"v": [2]})
        assert (await source.next()).kind == "snapshot"
        mesh.folded_is(source, rows=False)


async def test_a_view_that_is_gone_ends_the_stream(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    async with EventSource(mesh.client, "/view/v/events") as source:
        await source.next("up-to-date")
        mesh.ssp.drop("v")
        gone = await source.next()
        assert (gone.kind, gone.body["code"]) == ("gone", "SPKY_NOT_FOUND")
        assert await source.ended() == []


async def test_a_pending_view_is_told_once_it_has_a_result_and_a_failed_one_says_why(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.withheld.add(("v", ""))
    mesh.ssp.states["v", ""] = views_pb2.VIEW_STATE_FAILED, "no such function"
    mesh.ssp.put({"v": []})
    async with EventSource(mesh.client, "/view/v/events") as source:
        await eventually(lambda: bool(mesh.ssp.opened))
        mesh.ssp.withheld.clear()
        await mesh.ssp.restart()
        told = await source.next()
        assert (told.kind, told.body["state"], told.body["error"]) == ("snapshot", "failed", "no such function")


async def test_several_views_move_together(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"a": [1], "b": [2]})
    async with EventSource(mesh.client, "/view/a/events?rows=1&also=b") as source:
        await source.next("up-to-date")
        for number in range(3, 9):
            mesh.ssp.put({"a": [number], "b": [-number]})
            while (await source.next("up-to-date")).id != token(mesh.ssp.seq):
                assert source.folded.views["a"].seq == source.folded.views["b"].seq
            mesh.folded_is(source, "a")
            mesh.folded_is(source, "b")
        folded = source.folded
    mesh.ssp.put({"a": [100], "b": [-100]})
    async with EventSource(mesh.client, "/view/a/events?rows=1&also=b", folded) as source:
        while (await source.next("up-to-date")).id != token(mesh.ssp.seq):
            continue  # the gateway may hear of it after its reader has come back
        mesh.folded_is(source, "a")
        mesh.folded_is(source, "b")


async def test_a_quiet_stream_says_how_far_it_is(scene: Build) -> None:
    mesh = await scene(keep_alive_ms=50)
    mesh.ssp.put({"v": [1], "other": [1]})
    async with EventSource(mesh.client, "/view/v/events") as source:
        await source.next("up-to-date")
        mesh.ssp.put({"other": [2]})
        assert (await source.next()).id == token(mesh.ssp.seq)
        await mesh.ssp.stop()
        with pytest.raises(TimeoutError):
            await source.next(within=0.3)
        assert source.comments >= 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/view/nope/events", 404),
        ("/view/v/events?also=nope", 404),
        ("/view/v/events?since=yesterday", 400),
        ("/view/v/events?rows=perhaps", 400),
        ("/view/v/events?auth=", 400),
        ("/view/v/events?also=", 400),
        ("/view/v/ws?since=yesterday", 426),
        ("/view/v/events?" + "&".join(f"also=v{each}" for each in range(64)), 413),
    ],
)
async def test_what_is_wrong_is_an_ordinary_answer(scene: Build, path: str, status: int) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    async with mesh.client.get(path) as response:
        assert response.status == status, await response.text()
        assert (await response.json())["code"].startswith("SPKY_")


async def test_one_stream_too_many_is_turned_away(scene: Build) -> None:
    mesh = await scene(streams_max=1)
    mesh.ssp.put({"v": [1]})
    async with EventSource(mesh.client, "/view/v/events") as source:
        await source.next()
        async with mesh.client.get("/view/v/events") as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
    await eventually(lambda: mesh.counted("spky_gateway_streams", transport="sse") == 0)
    async with EventSource(mesh.client, "/view/v/events") as source:
        await source.next()


async def test_one_view_too_many_is_turned_away_and_an_idle_one_makes_room(scene: Build) -> None:
    mesh = await scene(feeds_max=1)
    mesh.ssp.put({"a": [1], "b": [1]})
    async with EventSource(mesh.client, "/view/a/events") as source:
        await source.next()
        async with mesh.client.get("/view/b/events") as response:
            assert response.status == 429
    await eventually(lambda: mesh.counted("spky_gateway_streams", transport="sse") == 0)
    async with EventSource(mesh.client, "/view/b/events") as source:
        await source.next()


async def test_a_view_that_nobody_reads_is_followed_for_the_linger(scene: Build) -> None:
    mesh = await scene(feed_linger_ms=0)
    mesh.ssp.put({"v": [1]})
    async with EventSource(mesh.client, "/view/v/events") as source:
        await source.next()
    await eventually(lambda: mesh.counted("spky_gateway_feeds") == 0 and mesh.ssp.watches == 0)
    await eventually(lambda: mesh.counted("spky_gateway_links") == 0)


async def test_a_bearer_may_stand_in_the_address_of_a_stream_and_nowhere_else(scene: Build) -> None:
    mesh = await scene(secret=SECRET, jwt_secret=JWT_SECRET)
    mesh.ssp.put({"v": [1], ("v", "user:1"): [2]})
    for path, status in (
        ("/view/v/events", 401),
        ("/view/v/events?access_token=wrong", 401),
        (f"/view/v?access_token={SECRET}", 401),
    ):
        async with mesh.client.get(path) as response:
            assert response.status == status
    async with EventSource(mesh.client, f"/view/v/events?access_token={SECRET}") as source:
        assert (await source.next()).body["members"] == [{"id": "r:1", "version": 2}]
    user = jwt.encode({"ID": "user:1", "exp": time.time() + 60}, JWT_SECRET)
    async with EventSource(mesh.client, f"/view/v/events?access_token={user}") as source:
        assert (await source.next()).body["members"] == [{"id": "r:2", "version": 2}]
    async with mesh.client.get(f"/view/v/events?access_token={user}&auth=user:2") as response:
        assert response.status == 403


async def test_a_stream_ends_with_its_bearer(scene: Build) -> None:
    mesh = await scene(secret=SECRET, jwt_secret=JWT_SECRET, jwt_leeway_s=0)
    mesh.ssp.put({("v", "user:1"): [2]})
    user = jwt.encode({"ID": "user:1", "exp": int(time.time()) + 2}, JWT_SECRET)
    async with EventSource(mesh.client, f"/view/v/events?access_token={user}") as source:
        assert await source.ended() == ["snapshot", "up-to-date"]


async def test_a_restart_of_the_gateway_is_one_ordinary_change(scene: Build) -> None:
    mesh = await scene()
    mesh.ssp.put({"v": [1]})
    folded = None
    async with EventSource(mesh.client, "/view/v/events?rows=1") as source:
        await source.next("up-to-date")
        async with asyncio.timeout(3):
            await mesh.server.stop()
        assert await source.ended() == []
        folded = source.folded
    await mesh.client.close()
    mesh.ssp.put({"v": [1, 2]})
    await mesh.serve()
    mesh.ssp.put({"v": [1, 2, 3]})
    async with EventSource(mesh.client, "/view/v/events?rows=1", folded) as source:
        assert (await source.next("delta")).body["from"] == token(2)
        mesh.folded_is(source)


async def test_l6_a_reader_that_takes_nothing_is_cut_off_and_comes_back(scene: Build) -> None:
    mesh = await scene(write_timeout_ms=300, feed_bytes_max=100_000_000)
    mesh.ssp.padding = 300_000
    mesh.ssp.put({"v": []})
    async with aiohttp.ClientSession(mesh.client._base_url, read_bufsize=1024) as lazy:
        source = await EventSource(lazy, "/view/v/events?rows=1").__aenter__()
        await source.next("up-to-date")

        def flood() -> bool:
            mesh.ssp.put({"v": [mesh.ssp.seq]})
            return mesh.counted("spky_gateway_streams", transport="sse") == 0

        await eventually(flood, 30)
        cut = [
            mesh.counted("spky_admission_rejected_total", **{"class": each, "reason": "write"})
            for each in ("stream", "connection")
        ]
        assert sum(cut) >= 1, "by whoever sees it first"
        source.response.close()
    async with EventSource(mesh.client, "/view/v/events?rows=1", source.folded) as source:
        while (await source.next()).id != token(mesh.ssp.seq):
            pass
        mesh.folded_is(source)


async def test_a_reader_who_falls_out_of_what_is_kept_is_cut_off_and_comes_back(scene: Build) -> None:
    mesh = await scene(feed_bytes_max=1_000_000)
    mesh.ssp.padding = 300_000
    mesh.ssp.put({"v": []})
    async with aiohttp.ClientSession(mesh.client._base_url, read_bufsize=1024) as lazy:
        source = EventSource(lazy, "/view/v/events?rows=1")
        async with source:
            await source.next("up-to-date")

            def flood() -> bool:
                mesh.ssp.put({"v": [mesh.ssp.seq]})
                return mesh.counted("spky_gateway_feed_history_bytes") > 0 and mesh.ssp.seq > 100

            await eventually(flood, 30)
            kinds = await source.ended()
            assert set(kinds) == {"delta"}
            assert mesh.counted("spky_gateway_stream_cuts_total", reason="slow") == 1
    assert mesh.counted("spky_gateway_feed_history_bytes") <= 1_000_000
    async with EventSource(mesh.client, "/view/v/events?rows=1", source.folded) as source:
        while (await source.next()).id != token(mesh.ssp.seq):
            pass
        mesh.folded_is(source)
