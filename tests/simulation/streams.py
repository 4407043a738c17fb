"""One stream between two processes: ordered and reliable until it breaks, each direction by itself.

What is cut off is held back; when keepalive has waited long enough both ends give up. A process that dies takes its
end with it, and the other learns it at once or by keepalive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from sp00ky.proto.faults import Code

from tests.simulation.kernel import Killed, ProcessLoop
from tests.simulation.wire import KEEPALIVE_S, Context, Deserializer, Network, Target, rpc_error


class Stream:
    """One bidirectional call: the client's end is this object, the server's end a task in its process."""

    def __init__(self, network: Network, target: Target, requests: AsyncIterator[Any]) -> None:
        self.network, self.client, self._target = network, target.client, target
        self.server: ProcessLoop | None = None
        self._host = ""
        self._down = _End(target.client)
        self._up: _End | None = None
        self._pump: asyncio.Task[None] | None = None
        self._handler: asyncio.Task[None] | None = None
        found = network.server_of(target.client.name, target.address)
        if found is None:
            network.kernel.after(network.delay(), self._down.close, rpc_error(Code.UNAVAILABLE, "connection refused"))
            return
        self._host, self.server, server = found
        self._up = _End(self.server)
        self._lanes = (_Lane(self, self.client.name, self._host), _Lane(self, self._host, self.client.name))
        network.streams[self] = None
        self._lanes[0].send(self._open, server.handler(target.path))
        self._pump = target.client.create_task(self._send_up(requests))

    @property
    def hosts(self) -> set[str]:
        return {self.client.name, self._host}

    # --- the client's end ---

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        return await self._down.take()

    def cancel(self) -> None:
        """The client goes: the server learns it."""
        self._down.close(rpc_error(Code.UNAVAILABLE, "cancelled"))
        if self._pump is not None:
            self._pump.cancel()
        if self in self.network.streams:
            self.network.streams.pop(self, None)
            self._lanes[0].send(self._cancel_handler)

    async def _send_up(self, requests: AsyncIterator[Any]) -> None:
        up = self._up
        assert up is not None
        async for request in requests:
            self._lanes[0].send(up.put, self._target.write(request))

    # --- the server's end ---

    def _open(self, handler: Any) -> None:
        if self.server is not None and self.server.alive:
            self._handler = self.server.create_task(self._serve(handler))

    async def _serve(self, handler: Any) -> None:
        up = self._up
        assert up is not None
        up.read = handler.request_deserializer
        error: BaseException | None = None
        try:
            async with contextlib.aclosing(handler.stream_stream(up, Context())) as frames:
                async for frame in frames:
                    written = frame if type(frame) is bytes else handler.response_serializer(frame)
                    message = self._target.read(written)
                    for observe in self.network.observers:
                        observe(self, self._host, self.client.name, message)
                    self._lanes[1].send(self._down.put, message)
        except Killed:
            raise
        except BaseException as caught:
            error = self.network.rpc_error_of(caught)
        self._lanes[1].send(self._ended, error or StopAsyncIteration())

    def _ended(self, error: BaseException) -> None:
        self.network.streams.pop(self, None)
        self._down.close(error)
        if self._pump is not None and self.client.alive:
            self._pump.cancel()

    def _cancel_handler(self) -> None:
        if self._handler is not None and self.server is not None and self.server.alive:
            self._handler.cancel()

    # --- ways to break ---

    def broke(self) -> None:
        self.die(0.3)

    def die(self, within_s: float) -> None:
        """Both ends learn it, each in its own time, after what has been delivered until then."""
        if self not in self.network.streams:
            return
        self.network.streams.pop(self, None)
        for lane in self._lanes:
            lane.broken = True
        kernel = self.network.kernel
        kernel.after(kernel.random.random() * within_s, self._break_client)
        kernel.after(kernel.random.random() * within_s, self._cancel_handler)

    def _break_client(self) -> None:
        self._down.close(rpc_error(Code.UNAVAILABLE, "stream broke"))
        if self._pump is not None and self.client.alive:
            self._pump.cancel()

    def suspect(self) -> None:
        """A direction is cut: if it still is when keepalive has waited long enough, both ends give up."""
        kernel = self.network.kernel
        kernel.after(KEEPALIVE_S * (0.6 + 0.4 * kernel.random.random()), self._maybe_give_up)

    def _maybe_give_up(self) -> None:
        if any(lane.is_cut for lane in self._lanes):
            self.network.count("keepalive")
            self.die(0.5)

    def release(self) -> None:
        for lane in self._lanes:
            lane.release()


class _Lane:
    """One direction: first in, first out."""

    def __init__(self, stream: Stream, sender: str, receiver: str) -> None:
        self._stream, self._sender, self._receiver = stream, sender, receiver
        self._last = 0.0
        self._held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.broken = False

    @property
    def is_cut(self) -> bool:
        return self._stream.network.is_cut(self._sender, self._receiver)

    def send(self, act: Callable[..., None], *args: Any) -> None:
        network = self._stream.network
        share = network.weather.broken_share
        if share and network.kernel.random.random() < share:
            network.count("stream broken")
            self._stream.broke()
        self._last = max(self._last + 1e-7, network.kernel.now + network.delay())
        network.kernel.at(self._last, self._deliver, act, args)

    def _deliver(self, act: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.broken:
            return
        if self._held or self.is_cut:
            self._held.append((act, args))
        else:
            act(*args)

    def release(self) -> None:
        held, self._held = self._held, []
        if not self.broken:
            for act, args in held:
                act(*args)


class _End:
    """What has arrived at one end and was not taken yet."""

    def __init__(self, process: ProcessLoop) -> None:
        self._process = process
        self._items: deque[Any] = deque()
        self._closed: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.read: Deserializer | None = None
        self.peak = 0

    def put(self, item: Any) -> None:
        if self._closed is None and self._process.alive:
            self._items.append(item)
            self.peak = max(self.peak, len(self._items))
            self._notify()

    def close(self, error: BaseException) -> None:
        if self._closed is None:
            self._closed = error
            self._notify()

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done() and self._process.alive:
            self._waiter.set_result(None)

    async def take(self) -> Any:
        while not self._items:
            if self._closed is not None:
                raise self._closed
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        item = self._items.popleft()
        return item if self.read is None else self.read(item)

    def __aiter__(self) -> _End:
        return self

    async def __anext__(self) -> Any:
        return await self.take()
