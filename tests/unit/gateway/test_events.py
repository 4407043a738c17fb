"""`GET /events` over a mesh that tells what the test says, and the dashboard's files."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import aiohttp
import pytest
from sp00ky.gateway.dashboard.files import FILE_NAMES
from sp00ky.proto.v1 import events_pb2

from tests.harness.served_gateway import Serve, Served
from tests.unit.gateway.tokens import SHARED, token

Event = tuple[str, str, Any]


async def events_of(response: aiohttp.ClientResponse, count: int) -> list[Event]:
    """The next events: (name, id, data)."""
    found: list[Event] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            block = (await response.content.readuntil(b"\n\n")).decode().strip()
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])))
    return found


def happened(event_id: int, **fields: Any) -> events_pb2.MeshEvent:
    return events_pb2.MeshEvent(id=event_id, at_ms=1_700_000_000_000, kind="ssp.ready", text="ready", **fields)


def sample(**fields: Any) -> events_pb2.MeshSample:
    return events_pb2.MeshSample(
        at_ms=1, state="ready", ssps=[events_pb2.SspSample(id="ssp-1", state="ready")], **fields
    )


async def test_events_carry_their_id_and_figures_none(scheduler: Served) -> None:
    client, mesh = scheduler
    mesh.told = [
        events_pb2.WatchEventsResponse(last_id=7, events=[happened(7, ssp_id="a")], samples=[sample(), sample()]),
        events_pb2.WatchEventsResponse(
            last_id=8,
            events=[happened(8, view_id="v1", auth_id="user:1", trouble=True)],
            samples=[sample(lag=events_pb2.StageLag(captured_seconds=0.25))],
        ),
    ]
    async with client.get("/events", params={"samples": "1", "since": "5"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        history, first, second, now = await events_of(response, 4)
    request = mesh.last(events_pb2.WatchEventsRequest)
    assert (request.since_id, request.samples) == (5, True)
    assert (history[0], len(history[2])) == ("history", 2)
    assert first[:2] == ("mesh", "7")
    assert first[2]["ssp_id"] == "a"
    assert (second[1], second[2]["view_id"], second[2]["auth"], second[2]["trouble"]) == ("8", "v1", "user:1", True)
    assert (now[0], now[1], now[2]["lag"]["captured_seconds"]) == ("sample", "", 0.25)
    assert now[2]["streams"] == 1


async def test_a_client_that_comes_back_says_what_it_has_and_is_told_what_it_missed(scheduler: Served) -> None:
    client, mesh = scheduler
    mesh.told = [events_pb2.WatchEventsResponse(missed=True, last_id=9, events=[happened(9)])]
    async with client.get("/events?since=3", headers={"Last-Event-ID": "4"}) as response:
        found = await events_of(response, 2)
    assert [name for name, _, _ in found] == ["must-refetch", "mesh"]
    assert mesh.last(events_pb2.WatchEventsRequest).since_id == 4


@pytest.mark.parametrize("since", ["x", "-1", "1.5", "9" * 40, "²"])
async def test_what_is_no_id_is_refused(scheduler: Served, since: str) -> None:
    client, _ = scheduler
    async with client.get("/events", params={"since": since}) as response:
        assert response.status == 400
        assert "since" in (await response.json())["message"]


async def test_without_a_scheduler_there_is_a_status_and_no_stream(serve: Serve) -> None:
    client, mesh = await serve("scheduler")
    await mesh.stop()
    async with client.get("/events") as response:
        assert response.status == 503


async def test_a2_a_stream_is_no_longer_than_its_bearer(serve: Serve) -> None:
    client, _ = await serve("scheduler", jwt_secret=SHARED, jwt_leeway_s=0)
    bearer = token(spky_role="client", exp=int(time.time()) + 2)
    async with client.get("/events", headers={"Authorization": f"Bearer {bearer}"}) as response:
        assert response.status == 200
        async with asyncio.timeout(10):
            await response.read()  # it ends


async def test_the_page_is_open_and_lets_nothing_else_in(serve: Serve) -> None:
    client, _ = await serve("scheduler", "correct horse")
    async with client.get("/") as response:
        text = await response.text()
        assert response.status == 200
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    named = set(re.findall(r'(?:href|src)="/dashboard/([^"]+)"', text))
    assert named <= set(FILE_NAMES)
    assert not re.findall(r"https?://", text)
    for name in FILE_NAMES:
        async with client.get(f"/dashboard/{name}") as response:
            assert response.status == 200
            assert response.headers["Content-Type"].partition(";")[0] != "application/json"
    for name in ("files.py", "__init__.py", "..%2Fauth.py", "nothing.js"):
        async with client.get(f"/dashboard/{name}") as response:
            assert response.status == 404, name
