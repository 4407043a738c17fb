"""Children are kept alive on their addresses, drained in order, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from sp00ky.deploy.ports import free_ports
from sp00ky.deploy.supervisor import Child, ChildSpec, Supervisor, backoff_seconds, ending
from sp00ky.proto.faults import Code, Fault

from tests.harness.eventually import eventually
from tests.harness.processes import running


def database(name: str, port: int, *more: str) -> ChildSpec:
    return ChildSpec(name, ["serve", "db", "--path", "mem", "--listen", f"127.0.0.1:{port}", *more])


@pytest.fixture
async def restarted() -> list[str]:
    return []


@pytest.fixture
async def supervisor(restarted: list[str]) -> AsyncIterator[Supervisor]:
    made = Supervisor(lambda child: restarted.append(child.spec.name))
    yield made
    await made.stop(9.0)
    assert [child.pid for child in made.children] == [0] * len(made.children)


def test_the_pause_before_a_restart_doubles_up_to_ten_seconds() -> None:
    assert [backoff_seconds(crashes) for crashes in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_how_a_process_ended_is_told_in_words() -> None:
    assert (ending(3), ending(-signal.SIGKILL)) == ("exit 3", "SIGKILL")


async def test_a_killed_child_comes_back_where_it_was(supervisor: Supervisor, restarted: list[str]) -> None:
    [port] = free_ports(1)
    [child] = await supervisor.start([database("db", port)])
    first, address = child.pid, child.listening["ws"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: restarted == ["db"], 15)
    assert child.pid not in (0, first)
    assert child.listening["ws"] == address == f"ws://127.0.0.1:{port}/rpc"
    assert child.restarts == 1


async def test_a_child_that_cannot_start_fails_its_tier(
    supervisor: Supervisor, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Fault, match=r"^db: cannot listen on 127.0.0.1:\d+: address already in use") as raised:
            await supervisor.start([database("db", taken.getsockname()[1])])
    assert raised.value.code == Code.UNAVAILABLE
    assert capfd.readouterr().err == "", "told once, by who raises"


async def test_a_child_that_ends_without_a_word_is_told_by_its_exit(supervisor: Supervisor) -> None:
    with pytest.raises(Fault, match=r"^odd: ended with exit 2$"):
        await supervisor.start([ChildSpec("odd", ["no-such-command"])])


async def test_tiers_are_drained_last_first(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    ask = Child.ask_to_stop

    def noted(child: Child) -> None:
        order.append(child.spec.name)
        ask(child)

    monkeypatch.setattr(Child, "ask_to_stop", noted)
    for name, port in zip(("first", "second"), free_ports(2), strict=True):
        await supervisor.start([database(name, port)])
    await supervisor.stop(9.0)
    assert order == ["second", "first"]


async def test_a_child_that_hangs_is_killed_when_its_share_of_the_drain_is_over(supervisor: Supervisor) -> None:
    assert await supervisor.start([]) == []
    [child] = await supervisor.start([database("db", free_ports(1)[0])])
    pid = child.pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.wait_for(supervisor.stop(0.5), 5.0)
    assert not psutil.pid_exists(pid)


ORPHANS = """
import asyncio, sys
from sp00ky.deploy.supervisor import ChildSpec, Supervisor

async def main():
    [child] = await Supervisor().start([ChildSpec("db", ["serve", "db", "--path", "mem", "--listen", sys.argv[1]])])
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_children_of_a_killed_supervisor_end(tmp_path: Path) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(ORPHANS)
    with running([sys.executable, str(script), f"127.0.0.1:{free_ports(1)[0]}"]) as supervising:
        pid = int(await asyncio.to_thread(supervising.wait_line))
        assert psutil.pid_exists(pid)
        supervising.kill()
        await eventually(lambda: not psutil.pid_exists(pid), 10)
