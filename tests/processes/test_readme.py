"""The commands of README.md, as they are written there, by a shell, against a running mesh."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.harness.mesh import Mesh, running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
README = Path(__file__).parents[2] / "README.md"
COMMAND_SECONDS = 60


def sections(*titles: str) -> str:
    """Their shell blocks, in order, without the one that starts the mesh."""
    parts = dict(re.findall(r"^##+ (.+?)\n(.*?)(?=^##+ |\Z)", README.read_text(), re.DOTALL | re.MULTILINE))
    blocks = [block for title in titles for block in re.findall(r"```sh\n(.*?)```", parts[title], re.DOTALL)]
    return "\n".join(block for block in blocks if block.strip() != "spky dev")


async def shell(mesh: Mesh, script: str, folder: Path) -> str:
    """What it prints. `spky` is this installation's; the mesh's own ports stand for the documented ones."""
    for documented, real in (
        ("localhost:9667", mesh.ready["scheduler"]),
        ("localhost:8000", mesh.ready["db"].removesuffix("/rpc").replace("ws://", "http://")),
    ):
        assert documented in script
        script = script.replace(documented, real.replace("0.0.0.0", "127.0.0.1").removeprefix("http://"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "SPKY_URL": mesh.ready["scheduler"].replace("0.0.0.0", "127.0.0.1")}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=folder,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    titles = ("See it work", "Register in SurrealDB", "A user of your own", "Follow it")
    script = sections(*titles, "Read your own writes, and the past")
    assert script.count("curl") >= 9
    async with running_mesh(tmp_path / "data", ssps=1, extra={"SPKY_AUTH_SECRET": ""}) as mesh:
        said = await shell(mesh, script, tmp_path)
    assert '"code":"SPKY_' not in said and '"status":"ERR"' not in said, said
    first, second = re.findall(r'"rows":(\[.*?\])', said)[:2]
    assert first == '[{"id":"product:tea","price":4},{"id":"product:cup","price":9}]'
    assert second.startswith('[{"id":"product:pot","price":1}')
    assert '[{"id": "note:hers", "owner": "user:ann"}]' in said, said
    assert "event: snapshot" in said and "3 members" in said
    assert said.rstrip().endswith('{"id":"product:cup","price":9}]'), "the whole database, as it was"
