"""grpcurl, a client that knows nothing of ours: reflection tells it the services, and calls work by hand.

The calls under `## By hand` in gateway/README.md are run as they are written there, by a shell, against a scheduler
with an SSP: only the two addresses are others.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sp00ky.proto.database import Database

from tests.conftest import FreshDatabase
from tests.harness.small_mesh import small_mesh

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sysconfig.get_path("scripts")
COLLABORATIVE = "DEFINE FIELD content ON thread TYPE string DEFAULT '' COMMENT '@crdt text'; CREATE thread:1"
OPEN_STREAMS = {"sp00ky.v1.EventService/WatchEvents"}  # end by -max-time alone


class Addresses(NamedTuple):
    scheduler: str
    ssp: str


@pytest.fixture
async def served(database: Database, fresh_database: FreshDatabase) -> AsyncIterator[Addresses]:
    await database.query(COLLABORATIVE)
    async with small_mesh(database, await fresh_database(database.namespace)) as mesh:
        yield Addresses(mesh.scheduler.address, mesh.ssp_address)


async def run(command: str, served: Addresses) -> str:
    """What the command prints; AssertionError with its complaint when it fails."""
    command = command.replace("127.0.0.1:9668", served.scheduler).replace("127.0.0.1:8668", served.ssp)
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, env={"PATH": f"{SCRIPTS}:{os.defpath}"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complaint = await asyncio.wait_for(process.communicate(), 20)
    cut_off = any(stream in command for stream in OPEN_STREAMS) and b"DeadlineExceeded" in complaint
    assert process.returncode == 0 or cut_off, f"{command}\n{complaint.decode()}"
    return out.decode()


def written_calls() -> list[str]:
    """The commands of the page."""
    text = (ROOT / "gateway" / "README.md").read_text()
    page = re.search(r"## By hand: gRPC\n.*?```sh\n(.*?)```", text, re.S)
    assert page is not None
    return re.findall(r"^grpcurl .*?(?=\n(?:grpcurl|#|\n|\Z)|\Z)", page[1], re.S | re.M)


def documents(text: str) -> list[Any]:
    """The JSON values of an answer, one after the other."""
    found, decoder, at = [], json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


async def test_the_calls_of_the_readme_run_as_written(served: Addresses) -> None:
    assert len(written_calls()) == (ROOT / "gateway" / "README.md").read_text().count("\ngrpcurl ")
    answers: dict[tuple[str, str], list[Any]] = {}
    for call in written_calls():
        out = await run(call, served)
        method = call.split()[-1]
        if "/" in method:
            server = "ssp" if "127.0.0.1:8668" in call else "scheduler"
            answers[server, method.rpartition(".")[2]] = documents(out)
    (ingested,) = answers["scheduler", "IngestService/Ingest"]
    batches = answers["scheduler", "IngestService/IngestStream"]
    assert ingested["revision"].startswith("v1.") and [each["batch"] for each in batches] == ["1", "2"]
    (queried,) = answers["scheduler", "ProxyService/Query"]
    assert [row["value"] for row in json.loads(queried["result_json"])] == [21.5, 23]
    for server in ("scheduler", "ssp"):
        (view,) = answers[server, "ViewService/GetView"]
        assert [member["id"] for member in view["members"]] == ["sensor:1", "sensor:2"], view
        (listed,) = answers[server, "ViewService/ListViews"]
        assert [each["key"]["id"] for each in listed["views"]] == ["warm"]
    (why,) = answers["scheduler", "ViewService/WhyView"]
    assert why["in_view"] and why["decider"] == "WHY_DECIDER_CONDITIONS"
    (page,) = answers["scheduler", "ReplicationService/ReadPage"]
    assert page["page"]["table"] == "sensor"
    (status,) = answers["scheduler", "AdminService/GetStatus"]
    assert status["state"] == "ready" and int(status["head_seq"]) >= int(batches[-1]["seq"])
    (applied,), (read,) = answers["ssp", "CrdtService/ApplyUpdate"], answers["ssp", "CrdtService/GetDocument"]
    assert (applied["rev"], read["rev"], read["value_json"]) == ("1", "1", '"Hello"')
    assert answers["ssp", "AdminService/GetStatus"][0]["service"] == "ssp"


async def test_every_service_has_a_call_there(served: Addresses) -> None:
    listed = set((await run("grpcurl -plaintext 127.0.0.1:9668 list", served)).split())
    assert {"grpc.health.v1.Health", "grpc.channelz.v1.Channelz", "sp00ky.v1.ViewService"} <= listed
    called = {call.split()[-1].rpartition("/")[0] for call in written_calls()}
    assert {service for service in listed if not service.startswith("grpc.reflection.")} <= called
    on_ssp = set((await run("grpcurl -plaintext 127.0.0.1:8668 list", served)).split())
    assert {"sp00ky.v1.AdminService", "sp00ky.v1.CrdtService", "sp00ky.v1.ViewService"} <= on_ssp


async def test_the_health_of_each_service_is_told(served: Addresses) -> None:
    for place in ("127.0.0.1:9668", "127.0.0.1:8668"):
        services = (await run(f"grpcurl -plaintext {place} list", served)).split()
        for service in ("", *services):
            asked = json.dumps({"service": service})
            answer = await run(f"grpcurl -plaintext -d '{asked}' {place} grpc.health.v1.Health/Check", served)
            assert json.loads(answer) == {"status": "SERVING"}, (place, service)


async def test_a_fault_is_a_status_with_its_details(served: Addresses) -> None:
    async def refused(call: str) -> str:
        with pytest.raises(AssertionError) as raised:
            await run(f"grpcurl -plaintext -d {call}", served)
        return str(raised.value)

    spec = """'{"spec": {"key": {"id": "v"}, "surql": "CREATE x"}}'"""
    said = await refused(f"{spec} 127.0.0.1:9668 sp00ky.v1.ViewService/RegisterView")
    assert "InvalidArgument" in said and "CREATE" in said
    assert "google.rpc.ErrorInfo" in said and "SPKY_UNSUPPORTED_QUERY" in said
    said = await refused("""'{"key": {"id": "none"}}' 127.0.0.1:9668 sp00ky.v1.ViewService/GetView""")
    assert "NotFound" in said and "google.rpc.ResourceInfo" in said and "resource_name" in said
    change = """'{"changes": [{"table": "sensor", "op": "OP_CREATE", "id": "sensor:1", "json": "{"}]}'"""
    said = await refused(f"{change} 127.0.0.1:9668 sp00ky.v1.IngestService/Ingest")
    assert "google.rpc.BadRequest" in said and "field_violations" in said
