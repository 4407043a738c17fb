"""`GatewayServer`: one API, served over HTTP in front of one gRPC service. Holds no state that outlives a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import fields
from functools import partial

from aiohttp import web
from prometheus_client import Metric
from sp00ky.gateway.admission import Admission
from sp00ky.gateway.app import STATUS_TIMEOUT_SECONDS, Edge, build_app
from sp00ky.gateway.auth import Gatekeeper
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.connections import Connections
from sp00ky.gateway.exchange import Api, Limits
from sp00ky.gateway.exposure import split_address
from sp00ky.gateway.origins import Origins
from sp00ky.gateway.proxies import Proxies
from sp00ky.gateway.sse import Streams
from sp00ky.gateway.streams.service import ViewStreams
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.gateway.translate.metrics import families, joined, up
from sp00ky.gateway.unreadable import Protocol, Unreadable
from sp00ky.gateway.upstream import Resolve, Rpc, Upstream
from sp00ky.proto import tls
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2

DRAIN_SECONDS = 4.0  # in-flight requests may finish within it, then are cut
KEEPALIVE_SECONDS = 75.0

log = logging.getLogger(__name__)


class GatewayServer:
    """`start` binds and serves, `stop` lets in-flight requests finish for at most `DRAIN_SECONDS`.

    `upstream` is the gRPC address of the service: for api "ssp" the SSP's, else the scheduler's. `scheduler` is where
    the SSP's API forwards `/ingest` and `/view/register|unregister` to; `resolve` asks for the scheduler's address
    again when it does not answer."""

    def __init__(
        self,
        settings: GatewaySettings,
        api: Api,
        upstream: str,
        scheduler: str | None = None,
        limits: Limits | None = None,
        *,
        resolve: Resolve | None = None,
    ) -> None:
        self._settings = settings
        self.api: Api = api
        self._addresses = (upstream, scheduler)
        self._proxies = Proxies(settings.trusted_proxies)
        self._resolve = resolve
        self._limits = limits or limits_of(settings)
        self._gatekeeper = Gatekeeper(settings)
        self._upstreams: list[Upstream] = []
        self._views: ViewStreams | None = None
        self._served: Edge | None = None
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> str:
        """Bind and serve; returns the URL of what was bound, its host a wildcard (`0.0.0.0`, `[::]`) if that was asked
        for: whom to tell which host instead is the caller's to know. Raises Fault INVALID, UNAVAILABLE."""
        host, port = split_address(self._settings.listen_addr)
        if not self._gatekeeper.asks:
            log.warning("%s API accepts any bearer: SPKY_AUTH_SECRET is not set", self.api)
        edge = self._served = self._edge()
        runner = self._runner = web.AppRunner(build_app(edge), handle_signals=False, shutdown_timeout=DRAIN_SECONDS)
        await runner.setup()
        assert runner.server is not None
        http = partial(
            Protocol,
            Unreadable(self.api, edge.telemetry),
            runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_line_size=self._limits.line_bytes_max,
            max_field_size=self._limits.header_bytes_max,
            lingering_time=self._limits.head_timeout_ms / 1000,
            auto_decompress=False,  # its parser would unpack for anyone, on the loop: `inflation.py`
        )
        connections = Connections(self._limits, edge.telemetry, http, self._proxies)
        try:
            await GuardedSite(runner, connections, host, port).start()
        except OSError as error:
            await self.stop()
            reason = (error.strerror or str(error)).rpartition(": ")[2]
            raise Fault(
                Code.UNAVAILABLE,
                f"cannot listen on {self._settings.listen_addr}: {reason}",
                "choose another address, or stop what listens there",
            ) from error
        self.url = f"{'http' if tls.identity() is None else 'https'}://{_url_host(host)}:{runner.addresses[0][1]}"
        return self.url

    def _edge(self) -> Edge:
        address, scheduler_address = self._addresses
        settings = self._settings
        secret = settings.auth_secret
        own = Upstream(address, secret, None if self.api == "ssp" else self._resolve)
        scheduler = Upstream(scheduler_address, secret, self._resolve) if scheduler_address else None
        self._upstreams = [own, *([scheduler] if scheduler else [])]
        telemetry = Telemetry()
        where = scheduler if self.api == "ssp" else own
        self._views = ViewStreams(self._limits, telemetry, secret, own, where)
        return Edge(
            self.api,
            self._gatekeeper,
            self._limits,
            telemetry,
            own,
            scheduler,
            Origins(settings.cors_origins, split_address(settings.listen_addr)[0], asks_bearer=self._gatekeeper.asks),
            Admission(self._limits),
            Streams(self._limits, telemetry),
            self._views,
            self._proxies,
        )

    async def metrics(self) -> Sequence[Metric]:
        """What `/metrics` says; of a gateway by itself only what it counts: the services behind it say theirs."""
        if self._served is None:
            return ()
        own = self._served.telemetry.collect()
        if self.api == "gateway":
            return own
        try:
            status = await self._served.own.call(Rpc.GET_STATUS, admin_pb2.GetStatusRequest(), STATUS_TIMEOUT_SECONDS)
        except Fault:
            return joined([up(False), *own])
        return joined([up(True), *families(status), *own])

    async def stop(self) -> None:
        """Stop accepting, drain, close the channels. Twice is once."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        views, self._views = self._views, None
        if views is not None:
            await views.close()
        upstreams, self._upstreams = self._upstreams, []
        for upstream in upstreams:
            await upstream.close()


class GuardedSite(web.BaseSite):
    """A listening socket whose every connection is guarded."""

    __slots__ = ("_connections", "_host", "_port", "_tls")

    def __init__(self, runner: web.AppRunner, connections: Connections, host: str, port: int) -> None:
        super().__init__(runner)
        self._connections, self._host, self._port = connections, host, port
        own = tls.identity()
        self._tls = own.http_context() if own is not None else None

    @property
    def name(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{_url_host(self._host)}:{self._port}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connections.protocol,
            self._host or None,
            self._port,
            backlog=self._backlog,
            ssl=self._tls,
            ssl_handshake_timeout=self._connections.limits.head_timeout_ms / 1000 if self._tls else None,
        )


def limits_of(settings: GatewaySettings) -> Limits:
    """Every limit that is a setting, as it is set."""
    stated = {each.name: getattr(settings, each.name) for each in fields(Limits) if hasattr(settings, each.name)}
    return Limits(**stated)


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host or "0.0.0.0"
