"""The connections of one server: how many there may be, and how long each may stand still.

Between the socket and aiohttp's own protocol stands a `Guard`, which passes everything on and keeps three promises that
aiohttp does not: a request's head arrives within `head_timeout_ms` of its first byte (of the connection's first, within
that of being accepted); a peer that reads nothing for `write_timeout_ms` while there is something to read is cut; there
are at most `connections_max`, of one address `connections_per_address_max`. One too many is told so and closed.

A connection is *waiting* for a head, *busy* with a request, or *idle*; the middleware says when it changes. The body's
time is the request's (`read_body`), an idle connection's aiohttp's keepalive.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.proxies import Proxies
from sp00ky.gateway.telemetry import Telemetry

DESCRIPTORS_SHARE: Final = 0.5  # of what the process may open; the rest is for its files and its other connections

log = logging.getLogger(__name__)


class Connections:
    """`protocol` is what a listening socket makes of each connection."""

    def __init__(
        self, limits: Limits, telemetry: Telemetry, http: Callable[[], Any], proxies: Proxies | None = None
    ) -> None:
        self.limits, self.telemetry, self.http = limits, telemetry, http
        self._proxies = proxies or Proxies("")
        self.most = min(limits.connections_max, int(descriptors(limits.connections_max) * DESCRIPTORS_SHARE))
        self._of_address: Counter[str] = Counter()
        self._count = 0
        if self.most < limits.connections_max:
            log.warning("at most %d connections: the process may not open more files", self.most)

    def protocol(self) -> asyncio.Protocol:
        return Guard(self)

    def refusal(self, address: str) -> str:
        """Why there is no room for another; empty if there is."""
        if self._count >= self.most:
            return "connections"
        if self._of_address[address] >= self.limits.connections_per_address_max:
            return "" if self._proxies.are_trusted(address) else "address"  # a proxy's are of many clients
        return ""

    def opened(self, address: str) -> None:
        self._count += 1
        self._of_address[address] += 1
        self.telemetry.connections.set(self._count)

    def closed(self, address: str) -> None:
        self._count -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        assert self._count >= 0
        self.telemetry.connections.set(self._count)


class Guard(asyncio.Protocol):
    """One connection, as the socket sees it."""

    def __init__(self, of: Connections) -> None:
        self._of, self._address = of, ""
        self._http: Any = None
        self._transport: Any = None
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None
        self._state = "waiting"
        self._heard = False
        self.on_lost: Callable[[], None] | None = None  # of the request that is being answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        address = str((transport.get_extra_info("peername") or ("",))[0])
        reason = self._of.refusal(address)
        if reason:
            self._of.telemetry.rejected("connection", reason)
            self._say(503 if reason == "connections" else 429)
            return
        self._address = address
        self._of.opened(address)
        self._http = self._of.http()
        self._http.connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head()
        self._stop_write()
        if self.on_lost is not None:
            self.on_lost()
        if self._http is not None:
            self._of.closed(self._address)
            self._http.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._http is None:
            return
        self._heard = True
        if self._state == "idle":
            self._state = "waiting"
            self._await_head()
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return bool(self._http.eof_received()) if self._http is not None else None

    def pause_writing(self) -> None:
        self._await_reader()
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._stop_write()
        self._http.resume_writing()

    # --- what the middleware says ------------------------------------------------------------------------------------

    def became_busy(self) -> None:
        """A head has arrived."""
        self._state = "busy"
        self._stop_head()
        self._stop_write()

    def became_idle(self) -> None:
        """The answer is about to be written, which says nothing of whether it is read."""
        self._state, self._heard = "idle", False
        self._await_reader()

    # --- time --------------------------------------------------------------------------------------------------------

    def _await_head(self) -> None:
        seconds = self._of.limits.head_timeout_ms / 1000
        self._head = asyncio.get_running_loop().call_later(seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head = None
        self._of.telemetry.rejected("connection", "head")
        if self._heard:
            self._say(408)
        else:
            self._transport.close()

    def _await_reader(self) -> None:
        self._stop_write()
        seconds = self._of.limits.write_timeout_ms / 1000
        self._write = asyncio.get_running_loop().call_later(seconds, self._reader_is_late)

    def _reader_is_late(self) -> None:
        self._write = None
        if self._transport.get_write_buffer_size():
            self._of.telemetry.rejected("connection", "write")
            self._transport.abort()

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_write(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None

    def _say(self, status: int) -> None:
        """The shortest answer, and no more: nothing of this connection has reached aiohttp's writer."""
        more = "" if status == 408 else "Retry-After: 1\r\n"
        self._transport.write(f"HTTP/1.1 {status} \r\nConnection: close\r\n{more}Content-Length: 0\r\n\r\n".encode())
        self._transport.close()


def guard_of(request: web.Request) -> Guard | None:
    """The guard of a request's connection; None once it is gone."""
    transport = request.transport
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, Guard) else None


def descriptors(wanted: int) -> int:
    """How many files the process may open: raised, as far as it is allowed to, to what `wanted` connections take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = int(wanted / DESCRIPTORS_SHARE)
    infinite = resource.RLIM_INFINITY
    if soft == infinite or soft >= need:
        return need if soft == infinite else soft
    most = need if hard == infinite else min(need, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft
    return most
