"""grpcurl, a client that knows nothing of ours: reflection tells it the services, and calls work by hand.

The calls under `## By hand` in proto/README.md are run as they are written there.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sp00ky.scheduler.datastore.memory import MemoryDatastore

from tests.harness.scheduler import Scheduler

ROOT = Path(__file__).resolve().parents[2]
GRPCURL = Path(sysconfig.get_path("scripts")) / "grpcurl"
SERVICES = ("AdminService", "IngestService", "ProxyService", "ReplicationService", "ViewService")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with Scheduler(MemoryDatastore(), auth_secret="") as scheduler:
        yield scheduler.address


async def grpcurl(*arguments: str) -> str:
    """What grpcurl prints; AssertionError with its complaint when it fails."""
    process = await asyncio.create_subprocess_exec(
        str(GRPCURL), "-plaintext", "-max-time", "10", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complaint = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, complaint.decode()
    return out.decode()


async def test_it_lists_every_service(address: str) -> None:
    listed = set((await grpcurl(address, "list")).split())
    assert {f"sp00ky.v1.{name}" for name in SERVICES} <= listed
    assert "grpc.health.v1.Health" in listed
    described = await grpcurl(address, "describe", "sp00ky.v1.Change")
    assert "bytes key = 3;" in described


async def test_the_health_of_each_service_is_told(address: str) -> None:
    for service in ("", *(f"sp00ky.v1.{name}" for name in SERVICES)):
        request = json.dumps({"service": service})
        answer = json.loads(await grpcurl("-d", request, address, "grpc.health.v1.Health/Check"))
        assert answer == {"status": "SERVING"}


def written_calls() -> list[str]:
    """The commands of proto/README.md, one a line."""
    text = (ROOT / "proto" / "README.md").read_text()
    page = re.search(r"## By hand\n(.*?)```sh\n(.*?)```", text, re.S)
    assert page is not None
    return [line for line in page[2].replace("\\\n", " ").splitlines() if line.startswith("grpcurl")]


async def test_the_calls_of_the_readme_run_as_written(address: str) -> None:
    answers: list[Any] = []
    for line in written_calls():
        words = [word.replace("127.0.0.1:9668", address) for word in shlex.split(line)]
        assert words[:2] == ["grpcurl", "-plaintext"]
        answers.append(await grpcurl(*words[2:]))
    assert len(answers) >= 4
    ingested = json.loads(next(answer for answer in answers if '"revision"' in answer))
    assert ingested["revision"].startswith("v1.")
    assert any('\\"value\\":21.5' in answer for answer in answers)
    status = json.loads(answers[-1])
    assert status["state"] == "ready" and int(status["head_seq"]) >= int(ingested["seq"])


async def test_a_fault_is_a_status_with_its_message(address: str) -> None:
    with pytest.raises(AssertionError, match=r"(?s)InvalidArgument.*CREATE"):
        await grpcurl(
            "-d", '{"spec": {"key": {"id": "v"}, "surql": "CREATE x"}}', address, "sp00ky.v1.ViewService/RegisterView"
        )
