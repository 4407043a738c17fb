"""`spky events` and `spky top`: what they print of a mesh that tells what the test says."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.console import Console
from sp00ky.deploy.cli_events import line_of
from sp00ky.deploy.cli_top import Glance, bars, frame
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.v1 import events_pb2

from tests.harness.eventually import eventually
from tests.harness.fake_mesh import FakeMesh
from tests.harness.processes import Child, spawn

SECRET = "correct horse"


def happened(number: int, kind: str = "ssp.ready", text: str = "ssp-1 is ready") -> events_pb2.MeshEvent:
    return events_pb2.MeshEvent(id=number, at_ms=1_700_000_000_000, kind=kind, text=text, trouble=kind == "ssp.stale")


def sample(**fields: Any) -> events_pb2.MeshSample:
    ssp = events_pb2.SspSample(id="ssp-1", state="ready", views=7, cpu_ratio=0.5, memory_bytes=2**20, applied_seq=40)
    lag = events_pb2.StageLag(captured_seconds=0.02, applied_seconds=0.03, written_seconds=0.12)
    stated = {"at_ms": 1, "state": "ready", "head_seq": 42, "views": 7, "ssps": [ssp], "lag": lag, "rows": 9, **fields}
    return events_pb2.MeshSample(captures=True, **stated)


@asynccontextmanager
async def served(*told: events_pb2.WatchEventsResponse) -> AsyncIterator[tuple[str, FakeMesh]]:
    mesh = FakeMesh(SECRET)
    mesh.told = list(told)
    settings = GatewaySettings(listen_addr="127.0.0.1:0", auth_secret=SECRET)
    server = GatewayServer(settings, "scheduler", await mesh.start())
    try:
        yield await server.start(), mesh
    finally:
        await server.stop()
        await mesh.stop()


async def printed(url: str, *arguments: str, lines: int = 0) -> list[str]:
    """What a command prints until it ends, or its first lines, after which it is ended."""
    child: Child = spawn([*arguments, "--url", url, "--secret", SECRET])
    try:
        found: list[str] = []
        while not lines or len(found) < lines:
            line = await asyncio.to_thread(child.lines.get, True, 30)
            if line is None:
                break
            found.append(line.rstrip("\n"))
        if not lines:
            assert await asyncio.to_thread(child.wait) == 0, child.said()
        return found
    finally:
        await asyncio.to_thread(child.close)


KEPT = events_pb2.WatchEventsResponse(
    last_id=2, events=[happened(1), happened(2, "ssp.stale", "ssp-1 lost its stream")]
)


def test_bars_show_the_highest_of_each_stretch() -> None:
    assert bars([0, 1, 2, 4], width=4) == "▁▃▅█"
    assert bars([0, 0, 9, 0], width=2) == "▁█"
    assert bars([], width=3) == "   "
    assert bars([0, 0], width=2) == "▁▁"


def test_a_frame_tells_when_nothing_comes_any_more() -> None:
    from sp00ky.gateway.translate.events import sample_body

    glance = Glance()
    glance.take("sample", sample_body(sample(ssps=[])))
    glance.lost = "cannot reach it"
    out = io.StringIO()
    Console(file=out, width=120).print(frame(glance))
    assert "cannot reach it" in out.getvalue()
    assert "no SSP has joined" in out.getvalue()


async def test_events_prints_what_is_kept_and_ends() -> None:
    async with served(KEPT, events_pb2.WatchEventsResponse(last_id=2, samples=[sample()])) as (url, mesh):
        lines = await printed(url, "events")
        assert [line.split()[2:4] for line in lines] == [["1", "ssp.ready"], ["2", "ssp.stale"]]
        as_json = await printed(url, "events", "--json", "--since", "1")
        assert [json.loads(line)["id"] for line in as_json] == [1, 2]
        assert mesh.last(events_pb2.WatchEventsRequest).since_id == 1
    assert line_of(json.loads(as_json[0])).endswith("ssp-1 is ready")


async def test_events_goes_on_and_comes_back_with_the_last_id() -> None:
    async with served(KEPT, events_pb2.WatchEventsResponse(last_id=2, samples=[sample()])) as (url, mesh):
        follows = asyncio.create_task(printed(url, "events", "-f", lines=3))
        await eventually(lambda: mesh.asked, 20)
        mesh.told = [events_pb2.WatchEventsResponse(last_id=3, events=[happened(3)])]
        mesh.break_streams()
        lines = await follows
        assert [line.split()[2] for line in lines] == ["1", "2", "3"]
        assert mesh.last(events_pb2.WatchEventsRequest).since_id == 2


async def test_top_prints_one_frame_also_into_a_pipe() -> None:
    answers = (
        events_pb2.WatchEventsResponse(last_id=2, events=KEPT.events, samples=[sample(), sample()]),
        events_pb2.WatchEventsResponse(last_id=2, samples=[sample(appended_per_second=120.0)]),
    )
    async with served(*answers) as (url, _):
        shown = "\n".join(await printed(url, "top", "--once"))
        [figures] = await printed(url, "top", "--once", "--json")
    for expected in ("● ready", "120", "after 20 ms", "after 120 ms", "ssp-1", "50%", "ssp.stale", "7 views"):
        assert expected in shown, shown
    assert "\x1b" not in shown, "no control codes in a pipe"
    assert json.loads(figures)["appended_per_second"] == 120


@pytest.mark.parametrize("command", ["events", "top"])
async def test_a_mesh_that_never_was_there_is_one_line_and_no_trace(command: str) -> None:
    child = spawn([command, "--url", "http://127.0.0.1:9", "--secret", SECRET])
    try:
        assert await asyncio.to_thread(child.wait) == 1
        assert "cannot reach http://127.0.0.1:9" in child.said()
        assert "Traceback" not in child.said()
    finally:
        await asyncio.to_thread(child.close)
