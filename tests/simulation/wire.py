"""The network: gRPC channels and servers as the product uses them, over links that delay, hold back, lose and break.

A stream is ordered and reliable until it breaks, as HTTP/2 over TCP is: what is cut off is held back and delivered when
the cut heals, or the stream breaks once keepalive has not been answered. A unary call may be lost before it is carried
out or after, and its caller cannot tell which. Streams and calls overtake each other.

Messages travel as bytes, written and read by the handlers and stubs that a real server and channel would use
(`channel.py`, `streams.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from grpc import aio
from sp00ky.proto.details import status_code, trailers
from sp00ky.proto.faults import Code, Fault

from tests.simulation.kernel import Kernel, ProcessLoop

if TYPE_CHECKING:
    from tests.simulation.channel import UnaryCall
    from tests.simulation.streams import Stream

KEEPALIVE_S = 2.5
Observer = Callable[["Stream", str, str, Any], None]  # stream, sender, receiver, message
Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]


class Target(NamedTuple):
    """The method of a server that a process calls, and how its messages are written and read."""

    client: ProcessLoop
    address: str
    path: str
    write: Serializer
    read: Deserializer


def rpc_error(code: Code, message: str, hint: str = "", details: dict[str, str] | None = None) -> aio.AioRpcError:
    metadata = aio.Metadata(*trailers(Fault(code, message, hint, details)))
    return aio.AioRpcError(status_code(code), aio.Metadata(), metadata, message)


@dataclass(slots=True)
class Weather:
    """How the links are; chaos changes it, and clears it at the end."""

    delay_s: float = 0.004
    slow_share: float = 0.02
    slow_s: float = 0.4
    lost_share: float = 0.0
    broken_share: float = 0.0  # of stream messages at which the stream breaks
    cut: set[tuple[str, str]] = field(default_factory=set)  # (from, to) hosts, one way

    def clear(self) -> None:
        self.slow_share = self.lost_share = self.broken_share = 0.0
        self.slow_s = 0.4
        self.cut.clear()


class Network:
    """Hosts by name; a host's process changes when it is started anew. `names`: (caller, name) → host."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.weather = Weather()
        self.servers: dict[str, tuple[ProcessLoop, FakeServer]] = {}
        self.resolve: Callable[[str, str], str] = lambda caller, name: name
        self.observers: list[Observer] = []
        self.streams: dict[Stream, None] = {}  # in the order of their beginning
        self.calls: dict[UnaryCall, None] = {}
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def delay(self) -> float:
        random, weather = self.kernel.random, self.weather
        delay = random.random() * weather.delay_s
        if weather.slow_share and random.random() < weather.slow_share:
            self.count("delay")
            delay += random.random() * weather.slow_s
        return delay

    def is_cut(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) in self.weather.cut

    def cut_off(self, sender: str, receiver: str) -> None:
        """From now on nothing of the one reaches the other."""
        self.weather.cut.add((sender, receiver))
        for stream in list(self.streams):
            if {sender, receiver} == stream.hosts:
                stream.suspect()

    def heal(self) -> None:
        self.weather.clear()
        for stream in list(self.streams):
            stream.release()

    def listen(self, host: str, process: ProcessLoop, server: FakeServer) -> None:
        self.servers[host] = (process, server)

    def fell_silent(self, process: ProcessLoop) -> None:
        """The process died: its peers learn it at once (its kernel says so), or by keepalive (its machine died)."""
        at_once = self.kernel.random.random() < 0.6
        for stream in list(self.streams):
            if process in (stream.client, stream.server):
                stream.die(0.02 if at_once else KEEPALIVE_S)
        for call in list(self.calls):
            call.lose_server(process, 0.02 if at_once else KEEPALIVE_S)

    def rpc_error_of(self, error: BaseException) -> aio.AioRpcError:
        """What a caller gets for what a handler raised: a fault as it is; anything else is a bug of the server."""
        if isinstance(error, Fault):
            return rpc_error(error.code, error.message, error.hint, error.details)
        if isinstance(error, aio.AioRpcError | asyncio.CancelledError):
            return rpc_error(Code.UNAVAILABLE, "the call was cancelled")
        self.kernel.errors.append(error)
        return rpc_error(Code.INTERNAL, f"{type(error).__name__}: {error}")

    def server_of(self, caller: str, address: str) -> tuple[str, ProcessLoop, FakeServer] | None:
        host = self.resolve(caller, address.partition(":")[0])
        found = self.servers.get(host)
        return None if found is None or not found[0].alive else (host, *found)


class FakeServer:
    """`proto.channel.Server`, served from the network."""

    network: Network  # of the world that runs

    def __init__(self, listen: str, *_: object, **__: object) -> None:
        self._registered: dict[str, Any] = {}  # path → handler
        self._generic: list[Any] = []
        self._listen = listen
        self.address = ""
        self.is_serving = False

    def add(self, adder: Callable[[Any, Any], None], servicer: object, service_name: str) -> None:
        adder(servicer, self)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self._registered.update((f"/{service}/{method}", handler) for method, handler in handlers.items())

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._generic += handlers

    def handler(self, path: str) -> Any:
        """As grpc looks them up: what was registered by name first."""
        if path in self._registered:
            return self._registered[path]
        details = SimpleNamespace(method=path, invocation_metadata=())
        found = (handler.service(details) for handler in self._generic)
        return next(handler for handler in found if handler is not None)

    async def start(self) -> str:
        process = self.network.kernel.current
        assert process is not None
        self.network.listen(process.name, process, self)
        self.address = self._listen
        return self.address

    async def serving(self, ready: bool) -> None:
        self.is_serving = ready

    async def stop(self, grace_seconds: float = 0.0) -> None:
        return

    def metrics(self) -> dict[str, float]:
        return {}


class Context:
    """What a handler may ask of its call."""

    def time_remaining(self) -> float | None:
        return 10.0
