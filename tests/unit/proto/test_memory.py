"""Memory of a process: its limit, from a setting or any cgroup above it, and what it takes."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from sp00ky.proto.memory import Memory, container_limit
from sp00ky.proto.pressure import Pressure

MIB = 1024 * 1024


def mounted(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/", {"memory.max": "max"}, 0),
        ("0::/", {"memory.max": str(64 * MIB)}, 64 * MIB),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": str(9 * MIB), "memory.max": str(64 * MIB)}, 9 * MIB),
        ("0::/a", {}, 0),
        ("5:cpu,memory:/job\n1:name=systemd:/", {"memory/job/memory.limit_in_bytes": str(7 * MIB)}, 7 * MIB),
        ("4:memory:/job", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 0),
        ("4:memory:/job", {"memory/memory.limit_in_bytes": str(3 * MIB)}, 3 * MIB),
    ],
)
def test_the_limit_is_the_least_of_the_groups_above(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int
) -> None:
    cgroup = tmp_path / "cgroup"
    cgroup.write_text(groups + "\n")
    assert container_limit(cgroup, mounted(tmp_path / "fs", files)) == limit


def test_a_machine_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert container_limit(tmp_path / "none", tmp_path) == 0


def test_what_is_stated_goes_before_the_container() -> None:
    assert Memory(5 * MIB).bytes_max == 5 * MIB
    assert Memory().bytes_max == container_limit()


def test_it_measures_this_process() -> None:
    memory = Memory(1)
    assert abs(memory.bytes - psutil.Process().memory_info().rss) < 64 * MIB
    assert memory.measure() is Pressure.PRESSED
    used = [10]
    memory = Memory(100, lambda: used[0])
    used[0] = 90
    assert (memory.pressure, memory.measure(), memory.pressure) == (Pressure.ROOM, Pressure.FULL, Pressure.FULL)
    assert memory.metrics() == {"memory_bytes": 90, "memory_bytes_max": 100}
