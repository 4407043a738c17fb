"""The memory of this process: what it takes (resident), and the most that it may, by its setting or its container.

The container's limit is that of its cgroup, the least on the way up, since each of them ends the process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import psutil
from sp00ky.proto.pressure import Pressure, pressure_of

CGROUP: Final = Path("/proc/self/cgroup")
MOUNT: Final = Path("/sys/fs/cgroup")


class Memory:
    """`bytes_max` 0: the container's, if it has one. `measure` reads anew, the rest is what was read last."""

    def __init__(self, bytes_max: int = 0, read: Callable[[], int] | None = None) -> None:
        self.bytes_max = bytes_max or container_limit()
        process = psutil.Process()
        self._read = read or (lambda: int(process.memory_info().rss))
        self.bytes = self._read()

    @property
    def pressure(self) -> Pressure:
        return pressure_of(self.bytes, self.bytes_max)

    def measure(self) -> Pressure:
        self.bytes = self._read()
        return self.pressure

    def metrics(self) -> dict[str, float]:
        return {"memory_bytes": self.bytes, "memory_bytes_max": self.bytes_max}


def container_limit(cgroup: Path = CGROUP, mount: Path = MOUNT) -> int:
    """Bytes; 0 without a limit."""
    machine = int(psutil.virtual_memory().total)
    limits = [int(text) for path in _limit_files(cgroup, mount) if (text := _text_of(path)).isdigit()]
    return min((limit for limit in limits if limit < machine), default=0)  # v1 says an absurd number for none


def _limit_files(cgroup: Path, mount: Path) -> Iterator[Path]:
    """Of every group from the process's own up: a line of `/proc/self/cgroup` is `number:controllers:path`."""
    for line in _text_of(cgroup).splitlines():
        _, controllers, path = line.split(":", 2)
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            if not controllers:
                yield mount / group.relative_to("/") / "memory.max"
            elif "memory" in controllers.split(","):
                yield mount / "memory" / group.relative_to("/") / "memory.limit_in_bytes"


def _text_of(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""
