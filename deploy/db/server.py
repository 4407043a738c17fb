"""The embedded SurrealDB engine served as an ordinary SurrealDB endpoint; what is emulated stands in README.md.

One engine, opened and closed here; every client reaches it through `Endpoints`, under sessions that only the server
names. `stop` ends the clients first, lets what they have begun be carried out, and closes the engine last.
"""

from __future__ import annotations

import logging
from pathlib import Path

from aiohttp import web
from sp00ky.deploy.db.endpoints import Endpoints
from sp00ky.deploy.db.engine import DurableEngine, Engine, MemoryEngine, call_as_owner
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.live import Credentials, LiveQueries
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.text import escape_ident, quote_string

log = logging.getLogger(__name__)


class DatabaseServer:
    """`path`: the directory of the data, None for memory. `user`, `password`: the root user, (re)defined at start."""

    def __init__(self, *, path: Path | None, user: str, password: str, limits: Limits | None = None) -> None:
        self._engine: Engine = MemoryEngine() if path is None else DurableEngine(path)
        self._user = user
        self._password = password
        self._limits = limits or Limits()
        self._lives = LiveQueries(self._engine, Credentials(user, password), self._limits)
        self._endpoints: Endpoints | None = None
        self._runner: web.AppRunner | None = None
        self._open = False

    async def start(self, listen: str) -> str:
        """Open the engine and listen on `host:port` (port 0: any free one); the WebSocket address. Raises Fault."""
        host, port = address_of(listen)
        await self._engine.open()
        self._open = True
        try:
            return await self._listen(host, port)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every connection and close the engine; no effect when stopped."""
        if self._endpoints is not None:
            self._endpoints.end()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._lives.stop()
        if self._open:
            self._open = False
            await self._engine.close()

    async def _listen(self, host: str, port: int) -> str:
        user, password = escape_ident(self._user), quote_string(self._password)
        await call_as_owner(
            self._engine, "query", [f"DEFINE USER OVERWRITE {user} ON ROOT PASSWORD {password} ROLES OWNER", {}]
        )
        version = str(await call_as_owner(self._engine, "version", []))
        self._endpoints = Endpoints(self._engine, self._lives, self._limits, version)
        self._runner = web.AppRunner(
            self._endpoints.application(), access_log=None, shutdown_timeout=self._limits.stop_timeout_s
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            hint = "is another server running there? choose one with --listen"
            raise Fault(Code.UNAVAILABLE, f"database cannot listen on {host}:{port}: {error.strerror}", hint) from error
        bound_host, bound_port = self._runner.addresses[0][:2]
        return f"ws://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}/rpc"


def address_of(listen: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`; raises Fault INVALID."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Fault(Code.INVALID, f'listen address "{listen}" is not host:port')
    return host.strip("[]"), int(port)
