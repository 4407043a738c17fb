"""Child processes of a test: started with their own session of pipes, read line by line with a deadline, ended by pid.

Nothing a child prints can block it: two threads drain its pipes. A test that fails shows what the child said on stderr.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

DEADLINE_S = 30.0
STDERR_LINES_KEPT = 400


@dataclass(slots=True)
class Child:
    """A running child; `stderr` is what it said so far."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str | None]
    stderr: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_line(self, timeout_s: float = DEADLINE_S) -> str:
        """The next line of stdout; AssertionError when it ends or the time is over."""
        try:
            line = self.lines.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError(f"no line within {timeout_s:g} s; stderr: {self.said()}") from None
        if line is None:
            raise AssertionError(f"ended with {self.process.wait()} before a line; stderr: {self.said()}")
        return line

    def wait_json_line(
        self, wanted: Callable[[dict[str, Any]], bool] = lambda line: True, timeout_s: float = DEADLINE_S
    ) -> dict[str, Any]:
        """The next JSON object on stdout that is wanted; other lines are passed over."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self.wait_line(max(0.01, deadline - time.monotonic()))
            try:
                parsed = json.loads(line)
            except ValueError:
                continue
            if isinstance(parsed, dict) and wanted(parsed):
                return parsed

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9 and wait."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, timeout_s: float = DEADLINE_S) -> int:
        """SIGTERM and wait; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Its exit code; AssertionError when it does not end in time."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s:g} s; stderr: {self.said()}") from None
        for thread in self.threads:
            thread.join(5)
        return code

    def said(self) -> str:
        return "".join(self.stderr[-STDERR_LINES_KEPT:])

    def close(self) -> None:
        """End it whatever it is doing, and its pipes."""
        self.kill()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def start(arguments: Sequence[str], env: Mapping[str, str] | None = None, *, cwd: str | None = None) -> Child:
    """A child of any command. `env` is added to a clean environment: no SPKY_ or SURREAL_ name of ours is inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPKY_", "SURREAL_"))}
    process = subprocess.Popen(
        list(arguments),
        env={**inherited, "PYTHONUNBUFFERED": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
    child = Child(process, queue.Queue())
    child.threads = [threading.Thread(target=work, args=(child,), daemon=True) for work in (_drain_out, _drain_err)]
    for thread in child.threads:
        thread.start()
    return child


@contextmanager
def running(
    arguments: Sequence[str], env: Mapping[str, str] | None = None, *, cwd: str | None = None
) -> Iterator[Child]:
    """A child that is gone at the end of the block."""
    child = start(arguments, env, cwd=cwd)
    try:
        yield child
    finally:
        child.close()


SPKY = "sp00ky.deploy.cli"


def spawn(arguments: Sequence[str], env: Mapping[str, str] | None = None, program: str = SPKY) -> Child:
    """`spky arguments…` as a child, or another module with these arguments."""
    return start([sys.executable, "-m", program, *arguments], env)


def _drain_out(child: Child) -> None:
    assert child.process.stdout is not None
    for line in child.process.stdout:
        child.lines.put(line)
    child.lines.put(None)


def _drain_err(child: Child) -> None:
    assert child.process.stderr is not None
    for line in child.process.stderr:
        child.stderr.append(line)
        del child.stderr[:-STDERR_LINES_KEPT]
