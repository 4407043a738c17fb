"""I11: a secret is in no log, no answer, no trace, no metric, no file and no listing of settings, whatever is asked."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt
import pytest
import pytest_asyncio
from sp00ky.gateway.endpoints import endpoints_of

from tests.harness import processes
from tests.harness.collector import Collector, collecting
from tests.harness.eventually import eventually
from tests.harness.mesh import Mesh, environment, running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SECRETS = {
    "SPKY_AUTH_SECRET": "auth-Xq81-never-told",
    "SPKY_AUTH_SECRET_PREVIOUS": "previous-Xq82-never-told",
    "SPKY_CLIENT_SECRET": "client-Xq83-never-told",
    "SPKY_ADMIN_SECRET": "admin-Xq84-never-told",
    "SPKY_SSP_SECRET": "ssp-Xq85-never-told",
    "SPKY_JWT_SECRET": "jwt-Xq86-never-told-and-as-long-as-its-algorithm-wants-it-to-be",
    "SPKY_DB_PASS": "database-Xq87-never-told",
}
WRONG = "wrong-Xq88-never-told"
USER_TOKEN = jwt.encode({"ID": "user:Xq89", "exp": 4_000_000_000}, SECRETS["SPKY_JWT_SECRET"], "HS256")
STREAM_PATHS = ("/view/nothing/events", "/view/nothing/ws", "/events")


def forms() -> Iterator[str]:
    """Each as it is, as a URL writes it, and in Basic; of a token its signature too."""
    for secret in (*SECRETS.values(), WRONG, USER_TOKEN, USER_TOKEN.rpartition(".")[2]):
        yield secret
        yield quote(secret, safe="")
        for user in ("root", "user", ""):
            yield base64.b64encode(f"{user}:{secret}".encode()).decode().rstrip("=")


FORMS = frozenset(forms())


def told(text: str) -> list[str]:
    return sorted(form for form in FORMS if form in text)


class Scene:
    def __init__(self, mesh: Mesh, collector: Collector, folder: Path) -> None:
        self.mesh, self.collector, self.folder = mesh, collector, folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("mesh")
    kept, processes.STDERR_LINES_KEPT = processes.STDERR_LINES_KEPT, 1_000_000
    try:
        async with collecting() as collector:
            telling = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "100",
                "OTEL_METRIC_EXPORT_INTERVAL": "300", "SPKY_LOG_LEVEL": "debug", "SPKY_LOG_FORMAT": "json",
            }  # fmt: skip
            async with running_mesh(folder, ssps=1, extra={**SECRETS, **telling}) as mesh:
                yield Scene(mesh, collector, folder)
    finally:
        processes.STDERR_LINES_KEPT = kept


async def answer(client: aiohttp.ClientSession, method: str, url: str, **how: Any) -> str:
    """Status, headers and the first of the body, which a stream does not end."""
    try:
        async with asyncio.timeout(3), client.request(method, url, **how) as response:
            body = await response.content.read(100_000)
            return f"{response.status} {dict(response.headers)} {body!r}"
    except (TimeoutError, aiohttp.ClientError) as error:
        return repr(error).replace(url, "")  # our own client's words name what we asked


async def asked_for_everything(mesh: Mesh) -> list[str]:
    """Every endpoint of both APIs, with every bearer, in the header and in the address."""
    answers: list[str] = []
    bodies: list[Any] = [None, {"id": "v", "surql": "SELECT * FROM t WHERE", "params": {}}]
    services = [("gateway", mesh.url), ("ssp", str(mesh.ready["ssps"][0]["http"]))]
    async with aiohttp.ClientSession() as client:
        for api, url in services:
            paths = [(row.method, row.path.replace("{id}", "nothing")) for row in endpoints_of(api)]  # type: ignore[arg-type]
            for method, path in paths:
                if path in STREAM_PATHS or path.startswith(("/reset", "/admin")):
                    continue
                for secret in (SECRETS["SPKY_AUTH_SECRET"], WRONG):
                    for body in bodies if method != "GET" else bodies[:1]:
                        bearer = {"Authorization": f"Bearer {secret}"}
                        answers.append(await answer(client, method, f"{url}{path}", headers=bearer, json=body))
            for path in (*STREAM_PATHS, "/views", "/no/such/path"):
                for secret in (USER_TOKEN, WRONG, SECRETS["SPKY_CLIENT_SECRET"]):
                    answers.append(await answer(client, "GET", f"{url}{path}", params={"access_token": secret}))
                    basic = {"Authorization": f"Basic {base64.b64encode(f'user:{secret}'.encode()).decode()}"}
                    answers.append(await answer(client, "GET", f"{url}{path}", headers=basic))
            login = {"username": "root", "password": SECRETS["SPKY_DB_PASS"]}
            answers.append(await answer(client, "POST", f"{url}/proxy/signin", json=login))
    return answers


async def test_i11_no_answer_log_trace_metric_or_file_has_a_secret(scene: Scene) -> None:
    mesh, collector = scene.mesh, scene.collector
    answers = await asked_for_everything(mesh)
    assert sum(text.startswith("200") for text in answers) > 20 and sum(text.startswith("401") for text in answers) > 20
    assert [found for text in answers if (found := told(text))] == []
    assert not told(json.dumps(mesh.ready) + json.dumps(mesh.service.lines()))

    await eventually(lambda: len(collector.spans) > 50 and collector.metrics, 20, what="traces and metrics")
    assert not told(repr(collector.spans) + repr(collector.metrics))

    said = mesh.service.child.said()
    assert "/no/such/path" in said, "it logs what it is asked"
    assert told(f"{said}?access_token={USER_TOKEN}&"), "it would be found"
    assert [line for line in said.splitlines() if told(line)] == []
    kept = [path for path in scene.folder.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        assert not told(path.read_bytes().decode("latin-1")), path.name


@pytest.mark.parametrize("flag", ["--redact", "--json"])
async def test_i11_settings_are_shown_without_their_secrets(tmp_path: Path, flag: str) -> None:
    pipe = asyncio.subprocess.PIPE
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPKY_", "SURREAL_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", processes.SPKY, "config", "show", flag, stdout=pipe, stderr=pipe,
        env={**inherited, **environment(tmp_path), **SECRETS},
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0 and b"****" in out
    assert not told(out.decode() + err.decode())
