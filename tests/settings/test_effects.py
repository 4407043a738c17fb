"""Every setting of every service has an effect: changed from its default, something that can be observed is otherwise.

`@shows("service.field", …)` says which settings a test observes. `ELSEWHERE` names the test of another file where one
is thorough already; it must be there, and set the field. A setting that is declared `later` must say so when it is
used. A new setting without any of these fails `test_every_setting_is_observed`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import pytest
import trustme
from sp00ky.deploy.compose import bound, compose_db, compose_gateway, compose_scheduler, compose_ssp, decided_address
from sp00ky.deploy.environment import MODELS
from sp00ky.deploy.logs import set_up_logging
from sp00ky.deploy.ports import free_ports
from sp00ky.deploy.telemetry import _resource
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.server import limits_of
from sp00ky.gateway.streams.events import OVERHEAD_BYTES, Event
from sp00ky.gateway.streams.history import Budget, Entry, History
from sp00ky.gateway.streams.points import Point
from sp00ky.gateway.streams.service import ViewStreams
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.gateway.upstream import Upstream
from sp00ky.proto import tls
from sp00ky.proto.channel import fault_of, open_channel
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import MeshSettings, SourceSettings, fields_of, load
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc, common_pb2, ingest_pb2, views_pb2
from sp00ky.proto.viewer import pack_viewer, viewer_of
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.rpc.admin import AdminServicer as SchedulerAdmin
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.driver import SspDriver
from sp00ky.ssp.rpc.admin import AdminServicer as SspAdmin

from tests.conftest import DB_PASS, DB_USER, FreshDatabase
from tests.harness.edges import stored_edges, table_of
from tests.harness.eventually import eventually
from tests.harness.scheduler import Peer, Scheduler, change
from tests.harness.served_gateway import Serve, scheduler, serve, ssp
from tests.harness.small_mesh import small_mesh
from tests.unit.gateway.tokens import SHARED, ec_key, token, write_jwks

__all__ = ["scheduler", "serve", "ssp"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
F = TypeVar("F", bound=Callable[..., Any])
SHOWN: set[str] = set()


def shows(*names: str) -> Callable[[F], F]:
    """Settings as `service.field`; `*.field` is that of every service that has it."""
    for name in names:
        service, _, field = name.partition(".")
        chosen = (
            [each for each, model in MODELS.items() if field in model.model_fields] if service == "*" else [service]
        )
        assert chosen, f"no service has {field}"
        SHOWN.update(f"{each}.{field}" for each in chosen)
    return lambda test: test


JOBS_TEST = "tests/unit/scheduler/test_jobs.py"
LIMITS_TEST, UPKEEP_TEST = "tests/edge/test_limits.py", "tests/unit/scheduler/test_upkeep.py"
ELSEWHERE = {
    **{f"{service}.job_config": "tests/processes/test_jobs.py" for service in ("ssp", "scheduler")},
    **{f"{service}.{field}": JOBS_TEST for service in ("ssp", "scheduler") for field in ("backends", "apps")},
    "scheduler.job_tables": JOBS_TEST,
    "ssp.view_audit_interval_ms": "tests/unit/ssp/integrity/test_verifying.py",
    "scheduler.merkle_write_interval_secs": "tests/unit/scheduler/integrity/test_publishing.py",
    "scheduler.capture": "tests/unit/scheduler/test_driver_events.py",
    "ssp.schedules": "tests/processes/test_jobs.py",
    "scheduler.health_check_interval_secs": JOBS_TEST,
    "scheduler.ttl_cleanup_interval_secs": "tests/unit/scheduler/registering/test_registering.py",
    "scheduler.row_views_per_user_max": "tests/unit/scheduler/registering/test_registering.py",
    "scheduler.ssp_poll_interval_ms": "tests/unit/scheduler/foreign/test_following.py",
    "scheduler.http_ssps_max": "tests/unit/scheduler/foreign/test_following.py",
    "scheduler.events_max": "tests/unit/scheduler/test_happenings.py",
    "ssp.memory_bytes_max": "tests/faults/test_memory.py",
    "scheduler.dead_letters_max": "tests/unit/scheduler/test_driver_letters.py",
    "scheduler.snapshot_update_interval_secs": UPKEEP_TEST,
    "scheduler.replica_snapshots_max": UPKEEP_TEST,
    "scheduler.replica_gc_window_secs": UPKEEP_TEST,
    "scheduler.replica_gc_window_bytes": UPKEEP_TEST,
    "scheduler.replica_gc_interval_secs": UPKEEP_TEST,
    "scheduler.replica_gc_max_time_ms": UPKEEP_TEST,
    "scheduler.replica_log_max_bytes": UPKEEP_TEST,
    "scheduler.replica_log_max_age_secs": UPKEEP_TEST,
    "scheduler.replica_auto_migrate": "tests/unit/deploy/test_marks.py",
    "gateway.head_timeout_ms": LIMITS_TEST,
    "gateway.request_timeout_ms": LIMITS_TEST,
    "gateway.write_timeout_ms": LIMITS_TEST,
    "gateway.requests_inflight_max": LIMITS_TEST,
    "gateway.connections_max": LIMITS_TEST,
    "gateway.connections_per_address_max": LIMITS_TEST,
    "gateway.keep_alive_ms": "tests/unit/gateway/test_sse.py",
    "gateway.rate_log": "tests/contract/test_of_an_ssp.py",
    "gateway.streams_max": "tests/contract/test_streams.py",
    "gateway.memory_bytes_max": "tests/unit/gateway/test_memory.py",
    "gateway.stream_views_max": "tests/contract/test_sockets.py",
    "gateway.feeds_max": "tests/contract/test_streams.py",
    "gateway.feed_linger_ms": "tests/contract/test_streams.py",
    "gateway.feed_entries_max": "tests/contract/test_streams.py",
    "gateway.feed_bytes_max": "tests/contract/test_streams.py",
}
for field in ("fields", "cache_size", "update_bytes_max", "document_bytes_max", "history_bytes", "history_secs"):
    ELSEWHERE[f"ssp.crdt_{field}"] = "tests/unit/ssp/crdt/test_settings.py"
ELSEWHERE["ssp.crdt_presence_secs"] = "tests/unit/ssp/crdt/test_settings.py"
# Set by environment, in real processes.
for service in ("scheduler", "ssp", "gateway"):
    for field in ("otel_endpoint", "otel_interval_ms"):
        ELSEWHERE[f"{service}.{field}"] = "tests/processes/test_telemetry.py"


def settings_of(later: bool) -> list[str]:
    """Every `service.field` that has an effect, or those that say they have none yet."""
    return [
        f"{service}.{field}"
        for service, model in MODELS.items()
        for field, names in fields_of(model).items()
        if bool(names.later) is later
    ]


def test_every_setting_is_observed() -> None:
    observed = SHOWN | ELSEWHERE.keys()
    assert set(settings_of(later=False)) - observed == set(), "settings whose effect no test observes"
    assert observed - set(settings_of(later=False)) == set(), "no such settings, or they are declared `later`"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_tests_elsewhere_are_there(name: str) -> None:
    service, _, field = name.partition(".")
    names = fields_of(MODELS[service])[field]
    text = (ROOT / ELSEWHERE[name]).read_text()
    assert re.search(rf"\b({field}|{'|'.join((names.env, *names.aliases))})\b", text), f"{ELSEWHERE[name]}: not {field}"


@pytest.mark.parametrize("name", settings_of(later=True))
def test_what_has_no_effect_yet_says_so(name: str) -> None:
    service, _, field = name.partition(".")
    model = MODELS[service]
    names, info = fields_of(model)[field], model.model_fields[field]
    other = {"capture": "events"}.get(field)
    text = other or (str(info.default + 1) if isinstance(info.default, int) else "{}")
    (warning,) = load(model, env={names.env: text}).warnings
    assert warning == f"{names.env} has no effect yet: {names.later}"


# --- of every process ------------------------------------------------------------------------------------------------


def stated(service: str, **flags: Any) -> Any:
    return load(MODELS[service], flags=flags)


@shows("*.insecure_dev")
@pytest.mark.parametrize("service", MODELS)
def test_insecure_dev_opens_an_outside_address(service: str) -> None:
    with pytest.raises(Fault) as raised:
        decided_address(stated(service, listen_addr="0.0.0.0:1"), "listen_addr")
    assert raised.value.code is Code.FORBIDDEN
    opened = stated(service, listen_addr="0.0.0.0:1", insecure_dev=True)
    assert decided_address(opened, "listen_addr") == "0.0.0.0:1"


@pytest.fixture
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:] = kept
    root.setLevel(level)


@shows("*.log_level", "*.log_format")
@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("service", MODELS)
def test_log_lines_have_the_level_and_the_form(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, is_json, is_told in (
        ({}, True, False),
        ({"log_level": "debug"}, True, True),
        ({"log_level": "debug", "log_format": "pretty"}, False, True),
    ):
        settings = stated(service, **flags).settings
        set_up_logging(settings.log_level, service, settings.log_format)
        logging.getLogger("sp00ky.test").debug("a detail")
        logging.getLogger("sp00ky.test").error("a fault")
        lines = capsys.readouterr().err.splitlines()
        assert [("a detail" in line) for line in lines] == ([True, False] if is_told else [False])
        assert lines[-1].startswith("{") is is_json
        assert not is_json or json.loads(lines[-1])["service"] == service


# --- of every process of the mesh ------------------------------------------------------------------------------------

MESH = [name for name, model in MODELS.items() if issubclass(model, MeshSettings)]
SOURCES = [name for name, model in MODELS.items() if issubclass(model, SourceSettings)]


@pytest.fixture
def certificates(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Files by setting; what is adopted with them is nobody's afterwards."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = {name: tmp_path / f"{name}.pem" for name in ("tls_cert", "tls_key", "tls_ca", "tls_http_ca")}
    issued.cert_chain_pems[0].write_to_path(str(files["tls_cert"]))
    issued.private_key_pem.write_to_path(str(files["tls_key"]))
    for name in ("tls_ca", "tls_http_ca"):
        authority.cert_pem.write_to_path(str(files[name]))
    yield files
    tls.adopt(None)


@shows("*.tls_cert", "*.tls_key", "*.tls_ca", "*.tls_http_ca")
@pytest.mark.parametrize("service", MESH)
def test_certificates_are_shown_and_demanded(service: str, certificates: dict[str, Path]) -> None:
    def adopted(*names: str) -> tls.Identity | None:
        [port] = free_ports(1)
        files = {name: certificates[name] for name in names}
        bound(stated(service, listen_addr=f"127.0.0.1:{port}", **files), "listen_addr")
        return tls.identity()

    assert adopted() is None
    with pytest.raises(Fault, match="both certificate and key"):
        adopted("tls_cert")
    shown = adopted("tls_cert", "tls_key")
    assert shown is not None and shown.http_context().verify_mode.name == "CERT_NONE"
    demanding = adopted("tls_cert", "tls_key", "tls_http_ca")
    assert demanding is not None and demanding.http_context().verify_mode.name == "CERT_REQUIRED"
    mutual = adopted("tls_cert", "tls_key", "tls_ca")
    assert mutual is not None and mutual.watched.value().ca == certificates["tls_ca"].read_bytes()


@shows("*.otel_service_name")
@pytest.mark.parametrize("service", MESH)
def test_traces_and_metrics_name_the_service_as_is_set(service: str) -> None:
    for flags, name in (({}, service), ({"otel_service_name": "mine"}, "mine")):
        assert _resource(stated(service, **flags).settings, service).attributes["service.name"] == name


class Listening:
    """The gRPC server of a service: an SSP that follows nobody, or a scheduler without a database."""

    def __init__(self, service: str, **settings: object) -> None:
        self._scheduler = Scheduler(MemoryDatastore(), **settings) if service == "scheduler" else None
        if service == "ssp":
            database = Database("ws://127.0.0.1:1", user="", password="", namespace="n", database="d")
            own = {"grpc_addr": "127.0.0.1:0", **settings}
            self._ssp = SspDriver(SspSettings.model_validate(own), database, scheduler_address="127.0.0.1:1")

    async def __aenter__(self) -> str:
        if self._scheduler is not None:
            return (await self._scheduler.__aenter__()).address
        return await self._ssp.listen()

    async def __aexit__(self, *error: Any) -> None:
        if self._scheduler is not None:
            await self._scheduler.__aexit__(*error)
        else:
            await self._ssp.stop()


async def grpc_fault(address: str, secret: str = "", request: Any = None) -> Fault | None:
    """Of a call that asks for the status, or of a larger request."""
    channel = open_channel(address, secret)
    stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
    try:
        await stub.GetStatus(request or admin_pb2.GetStatusRequest())
    except Exception as error:
        return fault_of(error)  # type: ignore[arg-type]
    finally:
        await channel.close()
    return None


@shows("scheduler.auth_secret", "scheduler.auth_secret_previous", "ssp.auth_secret", "ssp.auth_secret_previous")
@pytest.mark.parametrize("service", SOURCES)
async def test_secrets_close_the_grpc_door(service: str) -> None:
    async with Listening(service, auth_secret="now", auth_secret_previous="before") as address:
        assert await grpc_fault(address, "now") is None
        assert await grpc_fault(address, "before") is None
        refused = await grpc_fault(address, "other")
        assert refused is not None and refused.code is Code.UNAUTHENTICATED
    async with Listening(service) as address:
        assert await grpc_fault(address, "other") is None


@shows("*.grpc_message_bytes_max")
@pytest.mark.parametrize("service", SOURCES)
async def test_messages_are_as_long_as_is_set(service: str) -> None:
    unread = b"\x7a" + b"\xff\xff\x7f" + b"x" * 0x1FFFFF  # a field that the message has not, of 2 MiB
    long = admin_pb2.GetStatusRequest.FromString(unread)
    async with Listening(service) as address:
        assert await grpc_fault(address, request=long) is None
    async with Listening(service, grpc_message_bytes_max=1024 * 1024) as address:
        refused = await grpc_fault(address, request=long)
        assert refused is not None and refused.code is Code.TOO_LARGE


@shows("*.grpc_deadline_ms")
@pytest.mark.parametrize("service", SOURCES)
async def test_a_call_without_a_deadline_gets_the_one_that_is_set(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    for servicer in (SchedulerAdmin, SspAdmin):
        monkeypatch.setattr(servicer, "GetStatus", hang)
    async with Listening(service, grpc_deadline_ms=50) as address:
        refused = await grpc_fault(address)
        assert refused is not None and (refused.code, "0.05 s" in refused.message) == (Code.TIMEOUT, True)


# --- whole processes, one of each ------------------------------------------------------------------------------------


@shows("db.path", "db.data_dir", "db.listen_addr", "db.db_user", "db.db_pass")
async def test_the_database_is_where_and_whose_it_is_set_to_be(tmp_path: Path) -> None:
    [port] = free_ports(1)
    for place, flags in (("d/db", {"data_dir": tmp_path / "d"}), ("own", {"path": str(tmp_path / "own")})):
        async with AsyncExitStack() as stack:
            own = {"listen_addr": f"127.0.0.1:{port}", "db_user": "admin", "db_pass": "open sesame", **flags}
            listening = await compose_db(stack, stated("db", **own))
            assert listening.facts()["ws"] == f"ws://127.0.0.1:{port}/rpc"
            assert (tmp_path / place).is_dir()
            database = Database(
                f"ws://127.0.0.1:{port}", user="admin", password="open sesame", namespace="n", database="d"
            )
            await database.connect()
            await database.close()
            stranger = Database(f"ws://127.0.0.1:{port}", user="root", password="root", namespace="n", database="d")
            with pytest.raises(Fault):
                await stranger.connect()
            await stranger.close()


async def asked(url: object, path: str, **call: Any) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}", **call) as response:
        return await response.json()


SCHEDULER_PLACES = (
    "listen_addr",
    "grpc_addr",
    "scheduler_id",
    "data_dir",
    "replica_engine",
    "replica_db_path",
    "wal_path",
)
SOURCE = ("db_ws", "db_user", "db_pass", "db_ns", "db_name")


@shows(*(f"scheduler.{field}" for field in (*SCHEDULER_PLACES, *SOURCE, "ingest_host", "ingest_port")))
async def test_a_scheduler_is_where_it_is_set_to_be(
    embedded_url: str, tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    http, grpc = free_ports(2)
    namespace = f"test_{uuid4().hex}"
    root = await fresh_database(namespace, "theirs")
    await root.query("DEFINE USER keeper ON ROOT PASSWORD 'open sesame' ROLES OWNER")
    source = {
        "db_ws": embedded_url,
        "db_user": "keeper",
        "db_pass": "open sesame",
        "db_ns": namespace,
        "db_name": "theirs",
    }
    places = {"replica_db_path": tmp_path / "elsewhere", "wal_path": tmp_path / "wal"}
    own = {"listen_addr": f"127.0.0.1:{http}", "grpc_addr": f"127.0.0.1:{grpc}", "scheduler_id": "mine", **source}
    async with AsyncExitStack() as stack:
        await compose_scheduler(stack, stated("scheduler", **own, **places))
        (entity,) = await asked(f"http://127.0.0.1:{http}", "/info")
        assert (entity["id"], entity["grpc_address"]) == ("mine", f"127.0.0.1:{grpc}")
        assert any((tmp_path / "elsewhere").iterdir()) and any((tmp_path / "wal").iterdir())
        [info] = await root.query("INFO FOR DB")
        assert "_00_query" in info["tables"]
    halves = {"ingest_host": "127.0.0.1", "ingest_port": http, "grpc_addr": f"127.0.0.1:{grpc}"}
    async with AsyncExitStack() as stack:
        await compose_scheduler(stack, stated("scheduler", **source, **halves, data_dir=tmp_path / "data"))
        assert (await asked(f"http://127.0.0.1:{http}", "/info"))[0]["entity"] == "scheduler"
        assert any((tmp_path / "data" / "replica").iterdir())
    async with AsyncExitStack() as stack:
        memory = {"replica_engine": "memory", "data_dir": tmp_path / "none"}
        await compose_scheduler(stack, stated("scheduler", **source, **halves, **memory))
        assert not (tmp_path / "none").exists()
    with pytest.raises(Fault):
        async with AsyncExitStack() as stack:
            await compose_scheduler(stack, stated("scheduler", **{**source, "db_pass": "wrong"}, **halves))


@shows(
    *(f"ssp.{field}" for field in (*SOURCE, "ssp_id", "listen_addr", "grpc_addr", "advertise_addr", "scheduler_url"))
)
@shows("ssp.data_dir", "gateway.listen_addr", "gateway.scheduler_url")
async def test_an_ssp_and_a_gateway_are_where_they_are_set_to_be(
    embedded_url: str, tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    http, grpc, ssp_http, ssp_grpc, edge = free_ports(5)
    root = await fresh_database(f"test_{uuid4().hex}", "theirs")
    await root.query("DEFINE USER writer ON ROOT PASSWORD 'open sesame' ROLES OWNER")
    place = {"db_ws": embedded_url, "db_ns": root.namespace, "db_name": "theirs"}
    source = {**place, "db_user": "writer", "db_pass": "open sesame"}
    url = {"scheduler_url": f"http://127.0.0.1:{http}"}
    own = {"listen_addr": f"127.0.0.1:{ssp_http}", "grpc_addr": f"127.0.0.1:{ssp_grpc}", "ssp_id": "mine"}
    async with AsyncExitStack() as stack:
        listen = {"listen_addr": f"127.0.0.1:{http}", "grpc_addr": f"127.0.0.1:{grpc}", "replica_engine": "memory"}
        await compose_scheduler(stack, stated("scheduler", **place, **listen, db_user=DB_USER, db_pass=DB_PASS))
        await compose_ssp(stack, stated("ssp", **source, **own, **url, advertise_addr="localhost:1234"))
        await compose_gateway(stack, stated("gateway", listen_addr=f"127.0.0.1:{edge}", **url))

        async def member() -> Any:
            found = await asked(f"http://127.0.0.1:{edge}", "/info")  # through the gateway
            return [each for each in found if each["entity"] == "ssp"]

        (entity,) = await eventually(member, 20)
        assert entity["id"] == "mine" and "localhost:1234" in json.dumps(entity)
        assert (await asked(f"http://127.0.0.1:{ssp_http}", "/info"))[0]["grpc_address"].endswith(f":{ssp_grpc}")
        async with AsyncExitStack() as second:
            with pytest.raises(Fault):
                await compose_ssp(second, stated("ssp", **{**source, "db_ns": "another"}, **url))
            with pytest.raises(Fault):
                await compose_ssp(second, stated("ssp", **{**source, "db_pass": "wrong"}, **url, ssp_id="other"))
    async with AsyncExitStack() as stack:  # no scheduler is named: it carries one
        await compose_ssp(stack, stated("ssp", **source, **own, data_dir=tmp_path / "data"))
        assert any((tmp_path / "data" / "replica").iterdir())


# --- the scheduler ---------------------------------------------------------------------------------------------------


@shows("scheduler.heartbeat_interval_ms", "scheduler.bootstrap_page_size", "scheduler.revision_quantization_ms")
async def test_what_an_ssp_is_told_and_loads() -> None:
    for settings, interval, rows, shared in (
        ({}, 5000, 3, True),
        ({"heartbeat_interval_ms": 77, "bootstrap_page_size": 2, "revision_quantization_ms": 0}, 77, 2, False),
    ):
        async with Scheduler(MemoryDatastore(), **settings) as running:
            ingested = ingest_pb2.IngestRequest(changes=[change("t", key) for key in (1, 2, 3)])
            await running.ingest.Ingest(ingested)
            first, second = Peer(running.address, "a"), Peer(running.address, "b")
            welcome = await first.hello()
            assert welcome.heartbeat_interval_ms == interval
            page = await first.load("t", welcome.at_seq, rows_max=0)
            assert len(page.rows) == rows
            await running.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 4)]))
            assert ((await second.hello()).at_seq == welcome.at_seq) is shared
            for peer in (first, second):
                await peer.close()


@shows("scheduler.heartbeat_timeout_ms")
async def test_a_silent_ssp_is_stale_after_its_time() -> None:
    async with Scheduler(MemoryDatastore(), heartbeat_timeout_ms=300) as running:
        peer = Peer(running.address, "a")
        await peer.join()
        await eventually(running.driver.coordinator.ready_ssps, 10)
        await eventually(lambda: not running.driver.coordinator.ready_ssps(), 10)
        await peer.close()


@shows("scheduler.bootstrap_timeout_secs")
async def test_a_load_that_takes_too_long_loses_its_pin() -> None:
    async with Scheduler(MemoryDatastore(), bootstrap_timeout_secs=1) as running:
        peer = Peer(running.address, "a")
        await peer.hello()
        await eventually(running.driver.store.pins, 10)
        await eventually(lambda: not running.driver.store.pins(), 10)
        await peer.close()


@shows("scheduler.max_buffer_per_ssp")
async def test_an_ssp_that_is_too_far_behind_must_load_anew() -> None:
    async with Scheduler(MemoryDatastore(), max_buffer_per_ssp=2, heartbeat_timeout_ms=500) as running:
        peer = Peer(running.address, "a")
        await peer.join(credit=1)
        await eventually(running.driver.coordinator.ready_ssps, 10)
        peer.answers = False

        async def given_up() -> bool:
            await running.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", key) for key in range(3)]))
            return bool(peer.rebootstrap) or peer.ended

        assert await eventually(given_up, 20, every_s=0.05)
        await peer.close()


async def registered(running: Scheduler, count: int, prefix: str = "v") -> list[str]:
    """The SSPs that so many new views are placed on."""
    placed = []
    for number in range(count):
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id=f"{prefix}{number}"), surql="SELECT * FROM t")
        placed.append((await running.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))).ssp_id)
    return placed


@shows("scheduler.load_balance")
async def test_views_are_placed_as_is_set() -> None:
    for policy, expected in (("round_robin", {"a", "b"}), ("affinity", {"a"})):
        async with Scheduler(MemoryDatastore(), load_balance=policy) as running:
            peers = [Peer(running.address, name) for name in ("a", "b")]
            for peer in peers:
                await peer.join()
            await eventually(lambda: len(running.driver.coordinator.ready_ssps()) == 2, 10)
            assert set(await registered(running, 4)) == expected, policy
            for peer in peers:
                await peer.close()


@shows("scheduler.rebalance", "scheduler.move_views_inflight_max")
@pytest.mark.parametrize(
    ("settings", "moving"), [({}, 4), ({"move_views_inflight_max": 1}, 1), ({"rebalance": False}, 0)]
)
async def test_views_move_to_a_new_ssp_as_is_set(settings: dict[str, Any], moving: int) -> None:
    async with Scheduler(MemoryDatastore(), **settings) as running:
        first, second = Peer(running.address, "a"), Peer(running.address, "b")
        await first.join()
        await eventually(running.driver.coordinator.ready_ssps, 10)
        assert set(await registered(running, 8)) == {"a"}
        first.answers = False  # what it hands over is under way for good
        await second.join()
        await eventually(lambda: len(running.driver.coordinator.ready_ssps()) == 2, 10)

        def handed(prefix: str) -> int:
            """Views of that name that the new one has been given."""
            assigned = [each.view_assigned for each in second.entries if each.WhichOneof("body") == "view_assigned"]
            return sum(each.spec.key.id.startswith(prefix) for each in assigned if each.ssp_id == "b")

        if moving:
            await eventually(lambda: handed("v") >= moving, 10)
        await running.ingest.Ingest(ingest_pb2.IngestRequest(changes=[change("t", 1)]))
        await eventually(lambda: any(each.WhichOneof("body") == "change" for each in second.entries), 10)
        assert handed("v") == moving
        for peer in (first, second):
            await peer.close()


class HeldSync(MemoryDatastore):
    """A store whose fsync ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def sync(self) -> Any:
        await self.gate.wait()
        return await super().sync()


@shows("scheduler.ingest_queue_max", "scheduler.ingest_queue_bytes_max", "scheduler.registrations_inflight_max")
@pytest.mark.parametrize(
    ("settings", "refused"), [({}, 0), ({"ingest_queue_max": 4}, 1), ({"ingest_queue_bytes_max": 2000}, 1)]
)
async def test_what_waits_for_its_commit_is_bounded_as_is_set(settings: dict[str, Any], refused: int) -> None:
    store = HeldSync()
    async with Scheduler(store, **settings, registrations_inflight_max=3) as running:
        room = running.driver.committer.room
        assert room.registrations_max == 3
        store.gate.clear()
        big = ingest_pb2.IngestRequest(changes=[change("t", key, text="x" * 1000) for key in range(8)])
        under_way = [asyncio.ensure_future(running.ingest.Ingest(big)) for _ in range(4)]
        await eventually(lambda: sum(each.done() for each in under_way) >= refused and room.changes, 10)
        store.gate.set()
        answers = await asyncio.gather(*under_way, return_exceptions=True)
        assert any(isinstance(each, Exception) for each in answers) is bool(refused)


@shows("scheduler.ingest_inflight_max")
@pytest.mark.parametrize(("settings", "most"), [({"ingest_inflight_max": 1}, 4), ({}, 8)])
async def test_a_stream_has_as_many_batches_under_way_as_is_set(settings: dict[str, Any], most: int) -> None:
    """Of eight batches whose commit waits: those that are set, and what reader and writer hold beside them."""
    store = HeldSync()
    async with Scheduler(store, **settings) as running:
        store.gate.clear()
        stream = running.ingest.IngestStream()
        for batch in range(1, 9):
            await stream.write(ingest_pb2.IngestStreamRequest(batch=batch, changes=[change("t", batch)]))
        driver = running.driver
        await eventually(lambda: driver.coordinator.head_seq + driver.committer.room.changes >= most - 2, 10)
        await grpc_fault(running.address)  # a round trip on the same loop: what could be read has been read
        assert driver.committer.room.changes <= most
        store.gate.set()
        for batch in range(1, 9):
            assert (await stream.read()).batch == batch
        stream.cancel()


@shows("scheduler.capture_poll_ms", "scheduler.drift_check_interval_secs", "scheduler.lag_probe_interval_ms")
async def test_what_goes_on_beside_the_capture_goes_on_as_often_as_is_set(database: Database) -> None:
    quick = {"capture_poll_ms": 5, "drift_check_interval_secs": 0, "lag_probe_interval_ms": 20}
    async with Scheduler(MemoryDatastore(), database, **quick) as running:
        driver = running.driver
        assert driver.capture is not None and driver.audit is not None and driver.probe is not None
        assert driver.capture._poll_seconds == 0.005
        probe = driver.probe
        await eventually(lambda: probe._turn.number >= 3, 20)
        (audit,) = (task for task in driver._tasks if task.get_name() == "audit")
        await eventually(audit.done, 10)  # never: by default it would check now, and every 300 s


# --- the SSP ---------------------------------------------------------------------------------------------------------


@shows("ssp.heartbeat_interval_ms", "ssp.bootstrap_page_size", "ssp.query_update_throttle_ms")
async def test_an_ssp_reports_loads_and_writes_as_is_set(database: Database, fresh_database: FreshDatabase) -> None:
    await database.query("FOR $n IN 1..=5 { CREATE type::record('t', $n) }")
    loads: list[int] = []
    settings = {"heartbeat_interval_ms": 50, "bootstrap_page_size": 2, "query_update_throttle_ms": 40}
    async with small_mesh(database, await fresh_database(database.namespace), **settings) as mesh:
        upstream = mesh.ssp._upstream
        assert upstream is not None
        load = upstream.load

        def counted(page: Any, rows_max: int) -> None:
            loads.append(rows_max)
            load(page, rows_max)

        upstream.load = counted  # type: ignore[method-assign]
        await registered(mesh.scheduler, 1)
        stored = "SELECT VALUE id FROM _00_list_ref"

        async def written() -> bool:
            return len((await database.query(stored))[0]) == 5

        await eventually(written, 20)
        assert loads[:1] == [2] and len(loads) >= 3
        member = mesh.scheduler.driver.coordinator.ssps["ssp-1"]
        await eventually(lambda: member.written_seq >= member.progress.acked_seq > 0, 10)
        assert mesh.ssp._edges._window == 0.04


@shows("ssp.ref_mode")
@pytest.mark.parametrize("mode", ["dedicated", "single"])
async def test_edges_of_a_user_lie_where_is_set(database: Database, fresh_database: FreshDatabase, mode: str) -> None:
    await database.query("DEFINE TABLE t PERMISSIONS FULL; CREATE t:1")
    async with small_mesh(database, await fresh_database(database.namespace), ref_mode=mode) as mesh:
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v", auth_id="user:a"), surql="SELECT * FROM t")
        spec.auth = pack_viewer(viewer_of({"id": "user:a", "access": "account"}))
        await mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        (edge,) = await eventually(partial(stored_edges, database), 20)
        assert edge.table == table_of("user:a", dedicated=mode == "dedicated")
        assert mesh.ssp.status().ref_mode == mode


# --- the gateway -----------------------------------------------------------------------------------------------------


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@shows("gateway.auth_secret", "gateway.auth_secret_previous", "gateway.client_secret", "gateway.admin_secret")
@shows("gateway.ssp_secret")
async def test_each_secret_opens_its_doors(serve: Serve) -> None:
    secrets = {"auth_secret_previous": "before", "client_secret": "c", "ssp_secret": "s", "admin_secret": "a"}
    client, _ = await serve("scheduler", "now", **secrets)
    for secret, doors in (
        ("now", (200, 200, 403)),
        ("before", (200, 200, 403)),
        ("c", (200, 200, 403)),
        ("s", (403, 200, 403)),
        ("a", (200, 200, 200)),
        ("other", (401, 401, 401)),
    ):
        statuses = []
        for method, path, body in (
            ("GET", "/views", None),
            ("POST", "/proxy/query", {"query": "SELECT * FROM t"}),
            ("POST", "/admin/ssp/resync-all", None),
        ):
            async with client.request(method, path, json=body, headers=bearer(secret)) as response:
                statuses.append(response.status)
        assert tuple(statuses) == doors, secret


@shows(
    "gateway.jwt_secret", "gateway.jwt_jwks_file", "gateway.jwt_audience", "gateway.jwt_issuer", "gateway.jwt_leeway_s"
)
async def test_tokens_are_taken_as_is_set(serve: Serve, tmp_path: Path) -> None:
    plain, late = token(), token(lasts_s=-30)
    by_key = token(ec_key(), "ES256", "e1")
    named = token(aud="mesh", iss="us")
    every = {"jwt_secret": SHARED}
    for settings, taken in (
        ({"client_secret": "c"}, ()),
        (every, (plain,)),
        ({**every, "jwt_leeway_s": 60}, (plain, late)),
        ({"jwt_jwks_file": write_jwks(tmp_path / "jwks.json")}, (by_key,)),
        ({**every, "jwt_audience": "mesh"}, (named,)),
        ({**every, "jwt_audience": "mesh", "jwt_issuer": "them"}, ()),
    ):
        client, _ = await serve("scheduler", **settings)
        for each in (plain, late, by_key, named):
            async with client.get("/view/v1", headers=bearer(each)) as response:
                assert (response.status == 200) is (each in taken), (settings, each)


@shows("gateway.cors_origins")
async def test_a_page_may_ask_if_its_origin_is_listed(serve: Serve) -> None:
    for settings, allowed in (({}, None), ({"cors_origins": "https://app.example"}, "https://app.example")):
        client, _ = await serve("scheduler", **settings)
        async with client.get("/health/live", headers={"Origin": "https://app.example"}) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == allowed


@shows("gateway.trusted_proxies")
async def test_a_rate_counts_to_whom_a_trusted_proxy_names(serve: Serve) -> None:
    for settings, status in (({}, 429), ({"trusted_proxies": "127.0.0.1"}, 200)):
        client, _ = await serve("scheduler", rate_read=1, **settings)
        for number in range(6):
            async with client.get("/views", headers={"X-Forwarded-For": f"203.0.113.{number}"}) as response:
                last = response.status
        assert last == status


@shows("gateway.body_bytes_max", "gateway.header_bytes_max")
async def test_bodies_and_headers_are_as_long_as_is_set(serve: Serve) -> None:
    event = {"table": "t", "op": "CREATE", "id": "t:1", "record": {"text": "x" * 4000}}
    for settings, statuses in (({}, (200, 200)), ({"body_bytes_max": 2000, "header_bytes_max": 1024}, (413, 400))):
        client, _ = await serve("scheduler", **settings)
        async with client.post("/ingest", json=event) as response:
            assert response.status == statuses[0]
        async with client.get("/health/live", headers={"X-Long": "x" * 3000}) as response:
            assert response.status == statuses[1]


@shows("gateway.rate_new", "gateway.rate_write", "gateway.rate_read")
async def test_a_caller_may_ask_as_often_as_is_set(serve: Serve) -> None:
    asks = {
        "rate_new": ("POST", "/view/explain", {"surql": "SELECT * FROM t"}),
        "rate_write": ("POST", "/ingest", {"table": "t", "op": "DELETE", "id": "t:1"}),
        "rate_read": ("GET", "/views", None),
    }
    for setting, (method, path, body) in asks.items():
        client, _ = await serve("scheduler", **{setting: 1})
        statuses = set()
        for _ in range(12):
            async with client.request(method, path, json=body) as response:
                statuses.add(response.status)
        assert statuses == {200, 429}, setting


@shows("gateway.feeds_bytes_max")
def test_all_feeds_together_keep_as_much_as_is_set() -> None:
    for settings, kept in (({}, 4000), ({"feeds_bytes_max": 2500}, 2000)):
        limits = limits_of(GatewaySettings.model_validate(settings))
        budget = Budget(limits.feed_entries_max, limits.feed_bytes_max, limits.feeds_bytes_max)
        for history in (History(budget), History(budget)):
            history.restart(Point(0, "v1.0", "s"))
            for seq in (1, 2):
                event = Event("delta", "v1", b"x" * (1000 - OVERHEAD_BYTES))
                history.append(Entry(Point(seq - 1, "v1", "s"), Point(seq, "v1", "s"), seq, event))
        assert budget.held == kept


@shows("gateway.resume_reads_max")
async def test_as_many_who_come_back_are_read_for_as_is_set() -> None:
    for settings, most in (({}, 16), ({"resume_reads_max": 3}, 3)):
        limits = limits_of(GatewaySettings.model_validate(settings))
        upstream = Upstream("127.0.0.1:1", "")
        streams = ViewStreams(limits, Telemetry(), "", upstream, None)
        reads: list[object] = []

        async def read(request: object, *_: object, reads: list[object] = reads) -> Any:
            reads.append(request)
            await asyncio.Event().wait()

        streams._rereading._read = read
        feed: Any = type("AnyFeed", (), {"key": common_pb2.ViewKey(id="v"), "generation": 1, "rows": False})()
        asked = [asyncio.create_task(streams._rereading.bridge(feed, f"v1.{number}")) for number in range(20)]
        await eventually(lambda reads=reads, most=most: len(reads) >= most, 10)
        assert len(reads) == most
        await streams.close()
        await upstream.close()
        await asyncio.gather(*asked, return_exceptions=True)


LIMITED = [
    field for field in GatewaySettings.model_fields if field in {each.name for each in dataclasses.fields(Limits)}
]


@pytest.mark.parametrize("field", LIMITED)
def test_a_limit_that_is_set_is_the_servers_and_is_read(field: str) -> None:
    other = GatewaySettings().__getattribute__(field) + 1
    assert getattr(limits_of(GatewaySettings.model_validate({field: other})), field) == other
    readers = [path for path in (ROOT / "gateway").rglob("*.py") if re.search(rf"limits\.{field}\b", path.read_text())]
    assert readers, f"nobody reads limits.{field}"
