"""Channels and unary calls: lost before they are carried out or after, and the caller cannot tell which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sp00ky.proto.faults import Code

from tests.simulation.kernel import Killed, ProcessLoop
from tests.simulation.streams import Stream
from tests.simulation.wire import KEEPALIVE_S, Context, Deserializer, Network, Serializer, Target, rpc_error


class FakeChannel:
    """`grpc.aio.Channel` to an address, from the process that runs."""

    def __init__(self, network: Network, address: str) -> None:
        self._network, self._address = network, address
        process = network.kernel.current
        assert process is not None
        self._process = process

    def unary_unary(
        self, path: str, request_serializer: Serializer, response_deserializer: Deserializer, **_: object
    ) -> Callable[..., asyncio.Task[Any]]:
        target = Target(self._process, self._address, path, request_serializer, response_deserializer)

        def call(request: Any, timeout: float | None = None, metadata: object = ()) -> asyncio.Task[Any]:
            task = self._process.create_task(self._call(target, request, timeout))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            return task

        return call

    def stream_stream(
        self, path: str, request_serializer: Serializer, response_deserializer: Deserializer, **_: object
    ) -> Callable[..., Stream]:
        target = Target(self._process, self._address, path, request_serializer, response_deserializer)
        return lambda requests: Stream(self._network, target, requests)

    def unary_stream(self, *_: object, **__: object) -> None:
        """No such method is called here."""

    stream_unary = unary_stream

    async def close(self) -> None:
        return

    async def _call(self, target: Target, request: Any, seconds: float | None) -> Any:
        call = UnaryCall(self._network, target, target.write(request))
        call.begin()
        try:
            async with asyncio.timeout(seconds):
                return target.read(await call.answer)
        except TimeoutError:
            raise rpc_error(Code.TIMEOUT, f"{target.path} timed out") from None
        finally:
            call.abandon()


class UnaryCall:
    """`answer` comes, or fails, or the caller waits no longer."""

    def __init__(self, network: Network, target: Target, request: bytes) -> None:
        self._network, self._target, self._request = network, target, request
        self._client = target.client
        self._server: ProcessLoop | None = None
        self._host = ""
        self.answer: asyncio.Future[bytes] = target.client.create_future()

    def begin(self) -> None:
        network = self._network
        network.calls[self] = None
        found = network.server_of(self._client.name, self._target.address)
        if found is None:
            network.kernel.after(network.delay(), self._fail, rpc_error(Code.UNAVAILABLE, "connection refused"))
            return
        self._host, self._server, server = found
        if self._is_lost(self._client.name, self._host, "lost request"):
            return
        network.kernel.after(network.delay(), self._arrive, server.handler(self._target.path))

    def _is_lost(self, sender: str, receiver: str, what: str) -> bool:
        network = self._network
        cut = network.is_cut(sender, receiver)
        if not cut and not (network.weather.lost_share and network.kernel.random.random() < network.weather.lost_share):
            return False
        network.count(what)
        delay = KEEPALIVE_S if cut else network.kernel.random.random() * KEEPALIVE_S
        network.kernel.after(delay, self._fail, rpc_error(Code.UNAVAILABLE, f"connection broke: {what}"))
        return True

    def _arrive(self, handler: Any) -> None:
        server = self._server
        if server is None or not server.alive:
            self._fail(rpc_error(Code.UNAVAILABLE, "connection reset"))
            return
        server.create_task(self._serve(handler))

    async def _serve(self, handler: Any) -> None:
        outcome: Any
        try:
            answer = await handler.unary_unary(handler.request_deserializer(self._request), Context())
            outcome = handler.response_serializer(answer)
        except Killed:
            raise
        except BaseException as error:
            outcome = self._network.rpc_error_of(error)
        server, network = self._server, self._network
        if server is None or not server.alive or self._is_lost(self._host, self._client.name, "lost answer"):
            return
        network.kernel.after(network.delay(), self._answered, outcome)

    def _answered(self, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self._fail(outcome)
        elif self._client.alive and not self.answer.done():
            self.answer.set_result(outcome)

    def _fail(self, error: BaseException) -> None:
        if self._client.alive and not self.answer.done():
            self.answer.set_exception(error)

    def lose_server(self, process: ProcessLoop, within_s: float) -> None:
        if self._server is process:
            kernel = self._network.kernel
            kernel.after(kernel.random.random() * within_s, self._fail, rpc_error(Code.UNAVAILABLE, "connection reset"))

    def abandon(self) -> None:
        """The caller waits no longer; what is under way goes on."""
        self._network.calls.pop(self, None)
