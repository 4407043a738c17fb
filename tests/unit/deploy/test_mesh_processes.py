"""`spky dev` and `spky serve all` as their users meet them: the client commands, the drain, the second signal."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from sp00ky.deploy.cli import app
from typer.testing import CliRunner

from tests.harness.eventually import eventually
from tests.harness.processes import running

pytestmark = pytest.mark.processes
SPKY = [sys.executable, "-m", "sp00ky.deploy.cli"]


class Client:
    """`spky …` against one URL, in this process."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--url", self._url, "--json"], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return json.loads(result.output)


def test_dev_serves_the_client_commands_and_drains(tmp_path: Path) -> None:
    with running([*SPKY, "dev", "--ports", "auto", "--json"], cwd=str(tmp_path)) as dev:
        ready = dev.wait_json_line(lambda line: line["event"] == "ready")
        spky = Client(ready["gateway"])
        assert spky("status")["ready"] is True
        assert {entity["entity"] for entity in spky("status")["entities"]} == {"scheduler", "ssp"}
        file = tmp_path / "changes.ndjson"
        change = '{{"table": "note", "op": "CREATE", "id": "note:{0}", "record": {{"n": {0}}}}}\n'
        file.write_text("".join(change.format(n) for n in range(3)))
        assert spky("ingest", str(file))["changes"] == 3
        query = ["v1", "SELECT * FROM note WHERE n >= $least ORDER BY n", "--param", "least=1"]
        assert spky("view", "register", *query, "--rows")["rows"] == [
            {"id": "note:1", "n": 1},
            {"id": "note:2", "n": 2},
        ]
        assert [view["id"] for view in spky("view", "list")] == ["v1"]
        file.write_text(change.format(7))
        revision = spky("ingest", str(file))["revision"]
        view = spky("view", "get", "v1", "--rows", "--revision", revision)
        assert [row["n"] for row in view["rows"]] == [1, 2, 7]
        assert [member["id"] for member in view["members"]] == ["note:1", "note:2", "note:7"]
        assert spky("view", "explain", "SELECT * FROM note WHERE n > 3")["mode"] == "incremental"
        why = spky("view", "why", "v1", "note:0")
        assert (why["in_view"], why["decider"], why["terms"][-1]["text"]) == (False, "term", "n >= $least")
        assert spky("view", "why", "v1", "note:7")["position"] == 3
        spky("view", "unregister", "v1")
        assert spky("view", "list") == []
        assert (tmp_path / "data").is_dir()
        assert dev.stop(10) == 0


async def test_a_second_signal_is_immediate(tmp_path: Path) -> None:
    arguments = ["serve", "all", "--ssps", "0", "--ports", "auto", "--json", "--data-dir", str(tmp_path)]
    with running([*SPKY, *arguments]) as mesh:
        pids = mesh.wait_json_line(lambda line: line["event"] == "ready")["pids"]
        children = [pids[name] for name in ("db", "scheduler", "gateway")]
        os.kill(pids["gateway"], signal.SIGSTOP)  # a child that cannot drain
        mesh.signal(signal.SIGTERM)
        await eventually(lambda: "draining" in mesh.said())
        began = time.monotonic()
        assert mesh.stop(5) == 130
        assert time.monotonic() - began < 1.0
        await eventually(lambda: not any(psutil.pid_exists(pid) for pid in children), 5)
