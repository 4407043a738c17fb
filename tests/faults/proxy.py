"""A TCP proxy that does to connections what networks do: delays, holds, slows, resets, leaves half-open, records.

Each direction (`up`: from who connects to the target; `down`: back) is a delay line of its own. A held direction takes
nothing more from its sender, as when packets are dropped: TCP keeps what was sent and delivers it after `release`. What
is changed while connections are open holds for them too. Nothing here is random unless a jitter is asked for, and that
is by seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple

CHUNK_BYTES = 64 * 1024
LINE_ITEMS_MAX = 256  # chunks on the way in one direction
RECORDED_BYTES_MAX = 4 * 1024 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s: close sends RST


class Chunk(NamedTuple):
    due: float  # of the event loop's clock
    data: bytes


@dataclass(slots=True)
class Direction:
    """One way through the proxy."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    bytes_per_second: float = 0.0  # 0: as fast as it goes
    passed_bytes: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def opened(self) -> None:
        await self._open.wait()

    def delay_s(self) -> float:
        return (self.latency_ms + self._random.random() * self.jitter_ms) / 1000


async def pause(seconds: float) -> None:
    """Let the time pass that a slow network takes."""
    never = asyncio.Event()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(never.wait(), seconds)


class Link:
    """One connection through the proxy: two sockets, two delay lines."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.near_reader, self.near = reader, writer
        self.far_reader: asyncio.StreamReader | None = None
        self.far: asyncio.StreamWriter | None = None
        self.recorded = bytearray()
        self.stranded = False

    async def run(self) -> None:
        """Until either side closes."""
        await self.proxy.up.opened()  # a held proxy does not even answer the handshake, as far as the target knows
        self.far_reader, self.far = await asyncio.open_connection(*self.proxy.target)
        with contextlib.closing(self.far):
            pumps = [
                asyncio.create_task(self._pump(self.near_reader, self.far, self.proxy.up)),
                asyncio.create_task(self._pump(self.far_reader, self.near, self.proxy.down)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        while self.stranded and await self.near_reader.read(CHUNK_BYTES):
            continue  # nobody answers any more; only who connected can end it

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        line: asyncio.Queue[Chunk] = asyncio.Queue(LINE_ITEMS_MAX)
        sender = asyncio.create_task(self._send(line, writer, way))
        loop = asyncio.get_running_loop()
        due = 0.0
        try:
            while data := await reader.read(CHUNK_BYTES):
                if way is self.proxy.up and len(self.recorded) < RECORDED_BYTES_MAX:
                    self.recorded += data
                due = max(due, loop.time() + way.delay_s())
                await line.put(Chunk(due, data))
            await line.put(Chunk(due, b""))
            await sender
        finally:
            sender.cancel()

    async def _send(self, line: asyncio.Queue[Chunk], writer: asyncio.StreamWriter, way: Direction) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await line.get()
            if (left := due - loop.time()) > 0:
                await pause(left)
            await way.opened()
            if not data:
                return
            writer.write(data)
            await writer.drain()
            way.passed_bytes += len(data)
            if way.bytes_per_second:
                await pause(len(data) / way.bytes_per_second)

    def reset(self) -> None:
        """RST to both sides."""
        for writer in filter(None, (self.near, self.far)):
            _reset(writer)

    def strand(self) -> None:
        """The target's machine is gone without a word: who connected keeps a connection that nobody answers."""
        self.stranded = True
        if self.far is not None:
            _reset(self.far)


def _reset(writer: asyncio.StreamWriter) -> None:
    opened = writer.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0:
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class Proxy:
    """Listens at `address` (`host:port`) and connects each caller with `target`, which may be changed at any time."""

    def __init__(self, target: str) -> None:
        self.up, self.down = Direction(), Direction()
        self.links: list[Link] = []
        self.accepted = 0
        self.recorded: list[bytes] = []  # what each ended connection had sent
        self.address = ""
        self.retarget(target)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def retarget(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, host, port)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        await self.refuse()
        self.release()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refuse(self) -> None:
        """No new connections: nobody listens here any more. `allow` takes it back."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def allow(self) -> None:
        if self._server is None:
            host, _, port = self.address.rpartition(":")
            await self.start(host, int(port))

    def hold(self) -> None:
        """Drop everything, both ways, silently."""
        self.up.hold()
        self.down.hold()

    def release(self) -> None:
        self.up.release()
        self.down.release()

    def delay(self, latency_ms: float, jitter_ms: float = 0.0) -> None:
        """Of each way, on top of what the network takes."""
        for way in (self.up, self.down):
            way.latency_ms, way.jitter_ms = latency_ms, jitter_ms

    def reset(self) -> int:
        """RST every connection; how many there were."""
        links = list(self.links)
        for link in links:
            link.reset()
        return len(links)

    def strand(self) -> int:
        """Leave every connection half-open; how many there were. New ones are served."""
        links = list(self.links)
        for link in links:
            link.strand()
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        link = Link(self, reader, writer)
        self.links.append(link)
        try:
            with contextlib.suppress(OSError):
                await link.run()
        except asyncio.CancelledError:
            pass  # the proxy closes
        finally:
            self.links.remove(link)
            self.recorded.append(bytes(link.recorded))
            writer.close()
            self._tasks.discard(task)

    async def replay(self, sent: bytes, enough: bytes, timeout_s: float = 5.0) -> bytes:
        """Send once more, on a connection of its own, what a connection had sent; the answer up to `enough`."""
        reader, writer = await asyncio.open_connection(*self.target)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.readuntil(enough), timeout_s)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
