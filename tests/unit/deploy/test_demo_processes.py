"""The demo itself, shortened, and that it leaves nothing behind when it is told to end in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tests.harness.processes import running

pytestmark = pytest.mark.processes
DEMO = [sys.executable, "-m", "sp00ky.deploy.cli", "demo"]


def meshes_in(directory: Path) -> list[int]:
    """Processes that were started on files below a directory."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [
        process.info["pid"] for process in found if f"{directory}/spky-demo-" in " ".join(process.info["cmdline"] or ())
    ]


def test_every_view_of_the_demo_equals_a_fresh_query(tmp_path: Path) -> None:
    # A setting of the shell that would lead it elsewhere: the demo runs in a mesh of its own.
    env = {"TMPDIR": str(tmp_path), "SPKY_DB_WS": "ws://127.0.0.1:1", "SCHEDULER_URL": "http://127.0.0.1:1"}
    with running([*DEMO, "--changes", "60"], env) as demo:
        assert demo.wait(90) == 0, demo.said()
        lines: list[str] = []
        while (line := demo.lines.get_nowait()) is not None:
            lines.append(line)
    assert "12 of 12 views equal the same query run fresh on SurrealDB\n" in lines
    assert list(tmp_path.iterdir()) == []
    assert meshes_in(tmp_path) == []


def test_a_demo_that_is_told_to_end_takes_its_mesh_with_it(tmp_path: Path) -> None:
    with running(DEMO, {"TMPDIR": str(tmp_path)}) as demo:
        assert demo.wait_line(60).startswith("the mesh runs")
        assert meshes_in(tmp_path)
        assert demo.stop(20) == 143
        assert "Traceback" not in demo.said()
    assert meshes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
