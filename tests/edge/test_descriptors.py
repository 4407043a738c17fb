"""L7: a process that has no files left keeps what it has, accepts nothing, does not spin, and goes on when it can."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from tests.edge.raw import connected
from tests.edge.serve_crowded import DESCRIPTORS

PATIENCE_S = 30.0
BACKLOG = 128  # connections that one round tries to accept
WHOLE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


class Crowded:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process, self._in, self._out = process, process.stdin, process.stdout

    async def line(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return (await self._out.readline()).decode().strip()

    async def do(self, command: str) -> None:
        self._in.write(f"{command}\n".encode())
        assert await self.line() == "ok"

    async def end(self) -> str:
        """Its stderr."""
        self._in.close()
        async with asyncio.timeout(PATIENCE_S):
            _, said = await self._process.communicate()
        return said.decode()


@asynccontextmanager
async def crowded() -> AsyncIterator[Crowded]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edge.serve_crowded", stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield Crowded(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_l7_without_files_nothing_new_is_accepted_and_nothing_spins() -> None:
    async with crowded() as server:
        async with aiohttp.ClientSession(await server.line()) as client, connected(client) as held:
            held.say(WHOLE)
            assert await held.status() == 200
            await server.do("exhaust")
            async with connected(client) as late:
                late.say(WHOLE)
                held.say(WHOLE)
                rest = await held.reader.readuntil(b"HTTP/1.1 200")
                assert rest, "who is connected is served"
                await server.do("release")
                assert await late.status() == 200, "who waited is served once there are files again"
        said = await server.end()
    attempts = said.count("socket.accept() out of system resource")
    assert 1 <= attempts <= 5 * BACKLOG, f"a pause after each round of attempts, not {attempts}"


async def test_l7_connections_leave_half_of_the_files_to_the_rest_of_the_process() -> None:
    async with crowded() as server:
        async with aiohttp.ClientSession(await server.line()) as client, AsyncExitStack() as stack:
            told = []
            for _ in range(DESCRIPTORS):
                raw = await stack.enter_async_context(connected(client))
                raw.say(WHOLE)
                told.append(await raw.status())
            most = DESCRIPTORS // 2
            assert told == [200] * most + [503] * (DESCRIPTORS - most)
        said = await server.end()
    assert "out of system resource" not in said
    assert f"at most {most} connections" in said
