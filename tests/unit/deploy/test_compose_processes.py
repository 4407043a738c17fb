"""The compose files' commands, run as processes with the files' own environment: addresses are rewritten to free ports
of this machine, volumes to a directory, and the SurrealDB server is ours."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from sp00ky.deploy.ports import free_ports
from sp00ky.deploy.remote import Remote
from sp00ky.proto.database import Database

from tests.harness.eventually import eventually
from tests.harness.processes import Child, running

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
SECRET = "open sesame"
READY_SECONDS = 20.0
ADDRESS = re.compile(r"([A-Za-z0-9.-]+):(\d+)")


class Composition:
    """A compose file with every `host:port` in it given a port of this machine."""

    def __init__(self, file: Path, directory: Path) -> None:
        self.services: dict[str, dict[str, Any]] = yaml.safe_load(self._given(file.read_text()))["services"]
        self._directory = directory
        self._ports: dict[tuple[str, str], int] = {}
        self._free = iter(free_ports(30))

    @staticmethod
    def _given(text: str) -> str:
        """As the engine substitutes: a default, or what somebody has to state (here: the secret)."""
        return re.sub(r"\$\{\w+:([-?])([^}]*)\}", lambda found: found[2] if found[1] == "-" else SECRET, text)

    def order(self) -> list[str]:
        return list(
            TopologicalSorter(
                {name: self.services[name].get("depends_on", {}) for name in self.services}
            ).static_order()
        )

    def place(self, service: str, port: str) -> str:
        """Where a port of a service is on this machine."""
        key = (service, port)
        if key not in self._ports:
            self._ports[key] = next(self._free)
        return f"127.0.0.1:{self._ports[key]}"

    def rewritten(self, service: str, text: str) -> str:
        """0.0.0.0 and loopback are the service itself; another name is another service."""

        def place(found: re.Match[str]) -> str:
            host = service if found[1] in {"0.0.0.0", "127.0.0.1"} else found[1]
            return self.place(host, found[2]) if host in self.services else found[0]

        return ADDRESS.sub(place, text)

    def environment(self, service: str) -> dict[str, str]:
        stated = self.services[service].get("environment", {})
        data = self._directory / service
        return {name: self.rewritten(service, str(value)).replace("/data", str(data)) for name, value in stated.items()}

    def arguments(self, service: str) -> list[str]:
        words = shlex.split(self.services[service]["command"])
        if service == "surrealdb":
            user, password = words[words.index("--user") + 1], words[words.index("--pass") + 1]
            listen = self.rewritten(service, words[words.index("--bind") + 1])
            given = ["--set", f"db_user={user}", "--set", f"db_pass={password}"]
            return ["serve", "db", "--path", "mem", "--listen", listen, *given]
        return words


def run(arguments: list[str], env: Mapping[str, str], directory: Path) -> Any:
    """`spky …` as a child that is gone at the end of the block."""
    return running([sys.executable, "-m", "sp00ky.deploy.cli", *arguments], env, cwd=str(directory))


async def healthy(composition: Composition, service: str, directory: Path) -> None:
    """As the health check asks, with its own command and environment."""
    test = composition.services[service]["healthcheck"]["test"]
    assert test[:2] == ["CMD", "spky"]

    def ask() -> bool:
        with run(test[2:], composition.environment(service), directory) as child:
            return child.wait() == 0

    await eventually(lambda: asyncio.to_thread(ask), READY_SECONDS, what=f"{service} healthy")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("file", "entry"), [("compose.yaml", ("ssp", "8667")), ("compose.distributed.yaml", ("gateway", "7667"))]
)
async def test_the_commands_of_a_compose_file_make_a_mesh(file: str, entry: tuple[str, str], tmp_path: Path) -> None:
    composition = Composition(DEPLOY / file, tmp_path)
    children: list[Child] = []
    with ExitStack() as held:
        for service in composition.order():
            env = {**composition.environment(service), "SPKY_LOG_LEVEL": "warning"}
            children.append(held.enter_context(run(composition.arguments(service), env, tmp_path)))
            await asyncio.to_thread(children[-1].wait_json_line)
            if service != "surrealdb":
                await healthy(composition, service, tmp_path)
        ns = "test" if file == "compose.yaml" else "sp00ky"
        database = Database(
            f"ws://{composition.place('surrealdb', '8000')}", user="root", password="root", namespace=ns, database=ns
        )
        await database.connect()
        await database.query("CREATE person:1 SET age = 41")
        remote = Remote(f"http://{composition.place(*entry)}", SECRET)
        registration = {"id": "adults", "surql": "SELECT * FROM person WHERE age > 40", "clientId": "c"}
        await asyncio.to_thread(remote.post, "/view/register", registration)
        await database.query("CREATE person:2 SET age = 42")
        await database.close()
        view = await asyncio.to_thread(remote.get, "/view/adults", rows="1", consistency="fully_consistent")
        assert view["rows"] == [{"id": "person:1", "age": 41}, {"id": "person:2", "age": 42}]
        for child in reversed(children):
            assert await asyncio.to_thread(child.stop, 12) == 0
