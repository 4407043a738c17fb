"""The composition root: which objects make up each service, started and stopped in order.

Every function starts one service, pushes what undoes it onto the caller's stack, and returns its addresses. The stack
unwinds in reverse: first the HTTP edge (no new requests), then the driver (drains), then its database and store.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sp00ky.deploy.announce import Listening, complain
from sp00ky.deploy.db.config import DbSettings
from sp00ky.deploy.environment import load_service
from sp00ky.deploy.ports import free_ports, require_free
from sp00ky.deploy.surreal.install import install
from sp00ky.deploy.surreal.marks import seqs_handed_out
from sp00ky.deploy.telemetry import push_metrics
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exchange import Api
from sp00ky.gateway.exposure import decide_bind, is_loopback, split_address
from sp00ky.proto import tls
from sp00ky.proto.database import Database
from sp00ky.proto.discovery import resolve_scheduler
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import Loaded, MeshSettings, ProcessSettings, SourceSettings
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings

if TYPE_CHECKING:
    from sp00ky.ssp.driver import SspDriver

S = TypeVar("S", bound=ProcessSettings)
DISCOVERY_SECONDS = 20.0
RESOLVE_SECONDS = 2.0
EXIT_FAILED = 70
LOCAL_SSP_ID = "ssp-local"

log = logging.getLogger(__name__)


def decided_address(loaded: Loaded[S], field: str) -> str:
    """Where a listening field may bind (G10). Raises Fault FORBIDDEN, INVALID."""
    settings = loaded.settings
    stated: str = getattr(settings, field)
    default = loaded.sources.get(field, "default") == "default"
    secret, name = settings.auth_secret if isinstance(settings, MeshSettings) else "", "SPKY_AUTH_SECRET"
    if isinstance(settings, DbSettings):  # the database knows no bearer: its root password is its secret
        secret, name = settings.secret(), "SPKY_DB_PASS"
    return decide_bind(stated, default, secret, settings.insecure_dev, name)


def bind_address(loaded: Loaded[S], field: str) -> str:
    """The decided address, port 0 replaced by a free one. Raises Fault, also when the port is taken."""
    address = decided_address(loaded, field)
    if address.startswith("unix:"):
        return address
    host, port = split_address(address)
    if port == 0:
        return f"{address.rpartition(':')[0]}:{free_ports(1, host or '0.0.0.0')[0]}"
    require_free(address)
    return address


def bound(loaded: Loaded[S], *fields: str) -> S:
    """The settings with their listening fields decided."""
    warn_of(loaded)
    tls.adopt(tls_files(loaded.settings) if isinstance(loaded.settings, MeshSettings) else None)
    return loaded.settings.model_copy(update={field: bind_address(loaded, field) for field in fields})


def tls_files(settings: MeshSettings) -> tls.TlsFiles | None:
    """The files of this process's certificate; None without one. Raises Fault INVALID."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is not None and key is not None:
        return tls.TlsFiles(cert, key, settings.tls_ca, settings.tls_http_ca)
    if (cert, key, settings.tls_ca, settings.tls_http_ca) == (None, None, None, None):
        return None
    raise Fault(Code.INVALID, "encryption needs both certificate and key", "set SPKY_TLS_CERT and SPKY_TLS_KEY")


def warn_of(loaded: Loaded[S]) -> None:
    for sentence in loaded.warnings:
        log.warning(sentence)


def ensure_directory(path: Path) -> Path:
    """Make the directory and prove that it can be written. Raises Fault INVALID."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Fault(Code.INVALID, f"data directory {path} cannot be written: {reason}", "set SPKY_DATA_DIR") from error


async def connect(stack: AsyncExitStack, settings: SourceSettings) -> Database:
    """A connected database that has our system tables, closed with the stack. Raises Fault UNAVAILABLE,
    UNAUTHENTICATED."""
    database = Database(
        settings.db_ws,
        user=settings.db_user,
        password=settings.db_pass,
        namespace=settings.db_ns,
        database=settings.db_name,
    )
    stack.push_async_callback(database.close)
    await database.connect()
    await install(database)
    return database


async def compose_db(stack: AsyncExitStack, loaded: Loaded[DbSettings]) -> Listening:
    """The embedded SurrealDB server."""
    from sp00ky.deploy.db.server import DatabaseServer

    settings = bound(loaded, "listen_addr")
    path = settings.directory()
    if path is not None:
        ensure_directory(path)
    server = DatabaseServer(path=path, user=settings.db_user, password=settings.db_pass)
    stack.push_async_callback(server.stop)
    return Listening("db", ws=await server.start(settings.listen_addr))


async def compose_scheduler(
    stack: AsyncExitStack, loaded: Loaded[SchedulerSettings], config: Path | None = None
) -> Listening:
    """Store, database, driver, and the HTTP edge beside them."""
    settings = bound(loaded, "listen_addr", "grpc_addr")
    grpc = await start_scheduler(stack, settings)
    http = await start_edge(stack, edge_settings(settings, settings.listen_addr, config), "scheduler", grpc)
    return Listening("scheduler", settings.scheduler_id, http, grpc)


async def start_scheduler(stack: AsyncExitStack, settings: SchedulerSettings) -> str:
    """The scheduler without an edge; returns its gRPC address."""
    from sp00ky.deploy.surreal.deployment import say_place
    from sp00ky.scheduler.datastore.datastore import Datastore
    from sp00ky.scheduler.datastore.memory import MemoryDatastore
    from sp00ky.scheduler.datastore.restoring import require_restored
    from sp00ky.scheduler.datastore.rocks import RocksDatastore
    from sp00ky.scheduler.driver import SchedulerDriver

    store: Datastore
    replica = settings.replica_dir
    if settings.replica_engine == "rocksdb":
        require_restored(replica)
        for directory in filter(None, (replica, settings.wal_path)):
            ensure_directory(directory)
    await say_place(settings)
    database = await connect(stack, settings)
    mark = await seqs_handed_out(database)
    if settings.replica_engine == "memory":
        store = MemoryDatastore(mark)
    else:
        auto = settings.replica_auto_migrate
        store = RocksDatastore.open(replica, settings.wal_path, base_seq=mark, auto_migrate=auto)
    stack.callback(store.close)
    driver = SchedulerDriver(settings, store, database)
    driver.prepare = partial(install, database)
    stack.push_async_callback(driver.stop)
    address: str = await driver.start()
    crash_when_failed(stack, "scheduler", driver.failed)
    return address


def crash_when_failed(stack: AsyncExitStack, service: str, failed: asyncio.Event) -> None:
    """A service whose own invariant broke ends at once, acknowledging nothing; it starts again from the log."""

    async def watch() -> None:
        await failed.wait()
        complain(f"{service} cannot go on; it must start again from the log")
        os._exit(EXIT_FAILED)

    stack.callback(asyncio.create_task(watch()).cancel)


async def compose_ssp(stack: AsyncExitStack, loaded: Loaded[SspSettings], config: Path | None = None) -> Listening:
    """Database, driver and edge; with no scheduler stated, a private one in the same process."""
    from sp00ky.ssp.driver import SspDriver

    settings = bound(loaded, "listen_addr", "grpc_addr")
    scheduler = (
        await resolve_scheduler(settings.scheduler_url, DISCOVERY_SECONDS)
        if settings.scheduler_url
        else await start_private_scheduler(stack, settings, config)
    )
    settings = await adopt_database(identified(settings), scheduler)
    log.info("views are kept over namespace %s, database %s of %s", settings.db_ns, settings.db_name, settings.db_ws)
    database = await connect(stack, settings)
    queries = await connect(stack, settings)
    driver = SspDriver(
        settings,
        database,
        queries=queries,
        prepare=partial(install, database),
        scheduler_address="" if settings.scheduler_url else scheduler,
    )
    stack.push_async_callback(driver.stop)
    await start_collaboration(stack, settings, driver)
    grpc = await driver.listen()
    edge = edge_settings(settings, settings.listen_addr, config)
    edge = edge.model_copy(update={"scheduler_url": settings.scheduler_url})
    http = await start_edge(stack, edge, "ssp", grpc, scheduler)
    driver.http_url = advertised(settings.advertise_addr, http)
    await start_jobs(stack, settings, driver)
    await driver.start()
    crash_when_failed(stack, "ssp", driver.failed)
    return Listening("ssp", settings.ssp_id, http, grpc)


async def start_jobs(stack: AsyncExitStack, settings: SspSettings, driver: SspDriver) -> None:
    """The jobs of the configured outbox tables, on a connection of their own. Raises Fault INVALID."""
    from sp00ky.ssp.jobs.jobs import Jobs

    backends, schedules = settings.job_backends(), settings.job_schedules()
    if not any(backend.table for backend in backends):
        return
    jobs = Jobs(await connect(stack, settings), backends, settings.ssp_id, schedules)
    stack.push_async_callback(jobs.stop)
    jobs.start()
    driver.beside.append(jobs)
    crash_when_failed(stack, "ssp", jobs.failed)


async def start_collaboration(stack: AsyncExitStack, settings: SspSettings, driver: SspDriver) -> None:
    """Collaborative fields, on a connection of their own. Raises Fault INVALID."""
    from sp00ky.ssp.rpc.crdt import serve_crdt

    collaboration = serve_crdt(settings, await connect(stack, settings), driver)
    stack.push_async_callback(collaboration.stop)
    collaboration.start()


def identified(settings: SspSettings) -> SspSettings:
    """A single node that nobody named keeps one name over restarts, so that its scheduler knows it again at once."""
    if settings.scheduler_url or "ssp_id" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"ssp_id": LOCAL_SSP_ID})


async def start_private_scheduler(stack: AsyncExitStack, settings: SspSettings, config: Path | None) -> str:
    """A scheduler for this process alone, on a unix socket that only this user can reach; returns its address."""
    socket_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="spky-"))
    shared = {field: getattr(settings, field) for field in SourceSettings.model_fields}
    loaded = load_service(SchedulerSettings, {**shared, "grpc_addr": f"unix:{socket_dir}/scheduler"}, config)
    warn_of(loaded)
    return await start_scheduler(stack, loaded.settings)


async def adopt_database(settings: SspSettings, scheduler: str) -> SspSettings:
    """The scheduler's namespace and database, where nobody stated them here. Raises Fault CONFLICT where somebody
    stated others: an SSP that writes edges beside the data they point to is never meant."""
    from grpc.aio import AioRpcError
    from sp00ky.proto.channel import fault_of, open_channel
    from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc

    channel = open_channel(scheduler, settings.auth_secret)
    try:
        stub_of: Any = admin_pb2_grpc.AdminServiceStub
        asked = admin_pb2.GetStatusRequest()
        status = await stub_of(channel).GetStatus(asked, timeout=DISCOVERY_SECONDS, wait_for_ready=True)
    except AioRpcError as error:
        fault = fault_of(error)
        raise Fault(fault.code, f"scheduler at {scheduler}: {fault.message}", fault.hint) from None
    finally:
        await channel.close()
    theirs = {"db_ns": status.namespace, "db_name": status.database}
    for field, value in theirs.items():
        mine: str = getattr(settings, field)
        if value and field in settings.model_fields_set and mine != value:
            name = "namespace" if field == "db_ns" else "database"
            raise Fault(
                Code.CONFLICT,
                f'ssp "{settings.ssp_id}" is set to {name} "{mine}", its scheduler to "{value}"',
                "unset SPKY_DB_NS and SPKY_DB_NAME here, or make them the scheduler's",
            )
    return settings.model_copy(update={field: value for field, value in theirs.items() if value})


async def compose_gateway(stack: AsyncExitStack, loaded: Loaded[GatewaySettings]) -> Listening:
    """The stateless edge as a process of its own."""
    settings = bound(loaded, "listen_addr")
    upstream = await resolve_scheduler(settings.scheduler_url, DISCOVERY_SECONDS)
    http = await start_edge(stack, settings, "gateway", upstream)
    return Listening("gateway", http=http)


async def start_edge(
    stack: AsyncExitStack, settings: GatewaySettings, api: Api, upstream: str, scheduler: str | None = None
) -> str:
    """A gateway in front of a gRPC address; returns its URL."""
    from sp00ky.gateway.server import GatewayServer

    url = settings.scheduler_url if api != "scheduler" else ""
    resolve = partial(resolve_scheduler, url, RESOLVE_SECONDS) if url else None
    server = GatewayServer(settings, api, upstream, scheduler, resolve=resolve)
    stack.push_async_callback(server.stop)
    url = await server.start()
    if settings.otel_endpoint:
        await push_metrics(stack, settings, server)
    return url


def edge_settings(settings: MeshSettings, listen: str, config: Path | None) -> GatewaySettings:
    """For an edge beside a service: the gateway's limits, the service's address and secret."""
    stated = {"auth_secret": settings.auth_secret, "insecure_dev": settings.insecure_dev, "listen_addr": listen}
    stated["auth_secret_previous"] = settings.auth_secret_previous
    return load_service(GatewaySettings, stated, config).settings


def advertised(address: str, http: str) -> str:
    """The URL that others reach an SSP at: the one stated, else the one it listens on, named by host name where it
    listens on every interface."""
    scheme, _, rest = http.partition("://")
    if address:
        return address if "://" in address else f"{scheme}://{address}"
    host, port = split_address(rest.rstrip("/"))
    if is_loopback(host) or host not in {"", "0.0.0.0", "::"}:
        return http
    import socket

    return f"{scheme}://{socket.gethostname()}:{port}"
