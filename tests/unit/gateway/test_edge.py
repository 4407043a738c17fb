"""What every request passes: bearer, limits, request id, error bodies; over real HTTP, before a mesh that answers."""

from __future__ import annotations

import asyncio
import gzip
import logging
from dataclasses import fields, replace

import aiohttp
import orjson
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.endpoints import ENDPOINTS, Endpoint, endpoints_of
from sp00ky.gateway.errors import HTTP_STATUS
from sp00ky.gateway.exchange import Api, Limits
from sp00ky.gateway.server import limits_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import ingest_pb2
from yarl import URL

from tests.harness.served_gateway import Serve, Served

ADA = {"table": "person", "op": "CREATE", "id": "person:ada", "record": {"name": "Ada"}}
SECRET = "correct horse"
APIS: list[Api] = ["scheduler", "ssp", "gateway"]


def path_of(endpoint: Endpoint) -> str:
    return endpoint.path.replace("{id}", "v1").replace("{table}", "person")


@pytest.mark.parametrize("api", APIS)
async def test_a1_every_endpoint_but_the_open_ones_asks_for_the_bearer(serve: Serve, api: Api) -> None:
    client, _ = await serve(api, secret=SECRET)
    for endpoint in endpoints_of(api):
        for bearer in (
            None,
            "Bearer wrong",
            "Bearer ",
            f"bearer {SECRET}",
            f"Bearer {SECRET}x",
            "Bearer " + "x" * 9000,
        ):
            headers = {"Authorization": bearer} if bearer else {}
            async with client.request(endpoint.method, path_of(endpoint), headers=headers) as response:
                refused = response.status == 401
                assert refused != (api in endpoint.open_on), (endpoint.name, bearer, response.status)
                if refused:
                    assert (await response.json())["code"] == "SPKY_UNAUTHENTICATED"
        async with client.request(
            endpoint.method, path_of(endpoint), headers={"Authorization": f"Bearer {SECRET}"}
        ) as response:
            assert response.status != 401, endpoint.name


async def test_documented_open_endpoints_are_open_and_no_others() -> None:
    open_everywhere = {
        "/health",
        "/health/ready",
        "/health/live",
        "/health/snapshot",
        "/info",
        "/info/text",
        "/version",
    }
    on_ssp = {endpoint.path for endpoint in endpoints_of("ssp") if "ssp" in endpoint.open_on}
    on_scheduler = {endpoint.path for endpoint in endpoints_of("scheduler") if "scheduler" in endpoint.open_on}
    assert on_ssp == open_everywhere - {"/health/snapshot"}
    dashboard = {"/", "/dashboard/{file}"}  # holds no data
    assert on_scheduler == open_everywhere | {"/metrics", "/metrics/prometheus"} | dashboard


async def test_without_a_secret_any_bearer_or_none_will_do(scheduler: Served) -> None:
    client, _ = scheduler
    for headers in ({}, {"Authorization": "Bearer whatever"}):
        async with client.get("/views", headers=headers) as response:
            assert response.status == 200


async def test_a_bearer_is_asked_for_before_the_body_is_read(serve: Serve) -> None:
    client, mesh = await serve("scheduler", secret=SECRET)

    async def endless() -> object:
        yield b'{"table":'
        await asyncio.Event().wait()

    async with client.post("/ingest", data=endless(), headers={"Content-Type": "application/json"}) as response:
        assert response.status == 401
    assert not mesh.asked


@pytest.mark.parametrize("code", list(Code))
async def test_every_code_of_the_mesh_has_its_status_and_body(scheduler: Served, code: Code) -> None:
    client, mesh = scheduler
    mesh.answers["GetView"] = Fault(code, "the message", "the hint", {"floor": "v1"})
    async with client.get("/view/v1") as response:
        assert response.status == HTTP_STATUS[code]
        assert await response.json() == {
            "code": code.value,
            "message": "the message",
            "hint": "the hint",
            "details": {"floor": "v1"},
        }
        assert ("Retry-After" in response.headers) == (response.status in (429, 503))


async def test_a_refusal_is_a_problem_to_who_accepts_problems(scheduler: Served) -> None:
    client, mesh = scheduler
    mesh.answers["GetView"] = Fault(Code.REVISION_GONE, "the message", "the hint", {"floor": "v1"})
    async with client.get("/view/v1", headers={"Accept": "application/problem+json, */*"}) as response:
        assert (response.status, response.content_type) == (410, "application/problem+json")
        assert await response.json() == {
            "code": "SPKY_REVISION_GONE",
            "message": "the message",
            "hint": "the hint",
            "details": {"floor": "v1"},
            "type": "about:blank",
            "title": "Gone",
            "status": 410,
            "detail": "the message",
        }
    async with client.get("/view/v1", headers={"Accept": "*/*"}) as response:
        assert response.content_type == "application/json"


def test_g6_every_limit_that_is_a_setting_is_the_one_that_is_set() -> None:
    named = {each.name for each in fields(Limits)} & GatewaySettings.model_fields.keys()
    assert named >= {"body_bytes_max", "head_timeout_ms", "write_timeout_ms", "connections_max", "rate_new"}
    assert limits_of(GatewaySettings()) == Limits(), "the same default, wherever it stands"
    stated = {name: getattr(Limits(), name) + 1 for name in named}
    assert limits_of(GatewaySettings.model_validate(stated)) == replace(Limits(), **stated)


async def test_an_unknown_path_and_a_wrong_method_are_json_too(scheduler: Served) -> None:
    client, _ = scheduler
    async with client.get("/nowhere") as response:
        assert (response.status, (await response.json())["code"]) == (404, "SPKY_NOT_FOUND")
    async with client.get("/ingest") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert (await response.json())["message"] == "GET is not allowed on /ingest"
    async with client.head("/health") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "endpoint", [each for each in ENDPOINTS if each.summary.startswith("501")], ids=lambda each: each.name
)
async def test_documented_endpoints_of_later_rounds_say_so(serve: Serve, endpoint: Endpoint) -> None:
    client, _ = await serve("ssp" if endpoint.apis == {"ssp"} else "scheduler")
    async with client.request(endpoint.method, path_of(endpoint), json={}) as response:
        body = await response.json()
        assert (response.status, body["code"]) == (501, "SPKY_UNIMPLEMENTED")
        assert "later version" in body["message"]


async def test_g6_a_body_above_the_limit_is_413_however_it_comes(serve: Serve) -> None:
    client, mesh = await serve("scheduler", limits=Limits(body_bytes_max=1000))
    large = orjson.dumps({**ADA, "record": {"text": "x" * 2000}})
    kind = {"Content-Type": "application/json"}

    async def chunked() -> object:
        for start in range(0, len(large), 100):
            yield large[start : start + 100]

    squeezed = gzip.compress(large)
    assert len(squeezed) < 1000
    for data, headers in ((large, kind), (chunked(), kind), (squeezed, {**kind, "Content-Encoding": "gzip"})):
        async with client.post("/ingest", data=data, headers=headers) as response:
            body = await response.json()
            assert (response.status, body["details"]) == (413, {"body_bytes_max": "1000"})
    assert not mesh.asked
    async with client.post("/ingest", json=ADA) as response:
        assert response.status == 200


async def test_a_compressed_body_is_read_and_a_broken_one_is_400(scheduler: Served) -> None:
    client, mesh = scheduler
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post("/ingest", data=gzip.compress(orjson.dumps(ADA)), headers=headers) as response:
        assert response.status == 200
    async with client.post("/ingest", data=b"not gzip at all", headers=headers) as response:
        assert response.status == 400
    assert len(mesh.asked) == 1


async def test_a_body_that_never_ends_is_408(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(request_timeout_ms=200))

    async def endless() -> object:
        yield b"{"
        await asyncio.Event().wait()

    async with client.post("/ingest", data=endless(), headers={"Content-Type": "application/json"}) as response:
        assert (response.status, (await response.json())["code"]) == (408, "SPKY_TIMEOUT")


async def test_a_service_that_does_not_answer_in_time_is_504(serve: Serve) -> None:
    client, mesh = await serve("scheduler", limits=Limits(request_timeout_ms=200))
    mesh.held = asyncio.Event()
    async with client.get("/view/v1") as response:
        assert (response.status, (await response.json())["code"]) == (504, "SPKY_TIMEOUT")


async def test_a_service_that_is_gone_is_503_and_health_says_unavailable(scheduler: Served) -> None:
    client, mesh = scheduler
    await mesh.stop()
    async with client.post("/ingest", json=ADA) as response:
        assert (response.status, (await response.json())["code"]) == (503, "SPKY_UNAVAILABLE")
        assert response.headers["Retry-After"] == "1"
    async with client.get("/health") as response:
        assert (response.status, (await response.json())["status"]) == (503, "unavailable")
    async with client.get("/health/ready") as response:
        assert (response.status, (await response.json())["status"]) == (503, "unavailable")
    async with client.get("/health/live") as response:
        assert response.status == 200
    async with client.get("/metrics/prometheus") as response:
        assert (response.status, "spky_upstream_up 0.0" in await response.text()) == (200, True)


async def test_a_request_id_is_echoed_or_made(scheduler: Served) -> None:
    client, mesh = scheduler
    async with client.get("/view/v1", headers={"X-Request-Id": "abc-1.2"}) as response:
        assert (response.headers["X-Request-Id"], mesh.request_ids[-1]) == ("abc-1.2", "abc-1.2")
    async with client.get("/nowhere", headers={"X-Request-Id": "abc-1.2"}) as response:
        assert response.headers["X-Request-Id"] == "abc-1.2"
    for odd in ("", "x" * 500, "a b", "ä"):
        async with client.get("/views", headers={"X-Request-Id": odd}) as response:
            made = response.headers["X-Request-Id"]
            assert made != odd and len(made) == 32


async def test_our_own_bug_is_500_without_its_trace(scheduler: Served, caplog: pytest.LogCaptureFixture) -> None:
    client, mesh = scheduler

    def broken(request: object) -> ingest_pb2.IngestResponse:
        raise RuntimeError("secret detail")

    mesh.answers["GetView"] = broken
    with caplog.at_level(logging.CRITICAL):
        async with client.get("/view/v1") as response:
            text = await response.text()
    assert response.status == 500
    assert "secret detail" not in text and "Traceback" not in text


HOSTILE_PATHS = [
    "/view/%00",
    "/view/%ff%fe",
    "/view/%ed%a0%80",
    "/view/" + "a" * 3000,
    "/view/..%2f..%2fetc%2fpasswd",
    "/view/v1?rows=%00",
    "/view/v1?revision=%ff",
    "/view/v1?auth=%ed%a0%80&rows=1",
    "/view/v1?consistency=" + "x" * 3000,
    "/proxy/../views/%2e%2e",
    "/" + "a/" * 1000,
]


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=lambda path: path[:24])
async def test_i6_hostile_paths_never_are_our_fault(scheduler: Served, path: str) -> None:
    client, _ = scheduler
    url = str(client._base_url).rstrip("/") + path
    async with aiohttp.ClientSession() as raw, raw.get(URL(url, encoded=True)) as response:
        assert response.status < 500, await response.text()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /views HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NONSENSE\r\n\r\n",
    ],
    ids=["header", "line", "two lengths", "negative", "smuggled", "tls", "words"],
)
async def test_i6_bytes_that_are_no_request_are_400(scheduler: Served, head: bytes) -> None:
    client, mesh = scheduler
    assert client._base_url is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
    writer.write(head)
    async with asyncio.timeout(5):
        line = await reader.readline()
    writer.close()
    assert line.split(b" ", 2)[1] == b"400", line
    assert not mesh.asked


async def test_what_was_answered_is_counted_by_route_not_by_path(scheduler: Served) -> None:
    client, _ = scheduler
    for view in ("a", "b"):
        await client.get(f"/view/{view}")
    await client.post("/ingest", json=[ADA, {**ADA, "op": "DELETE"}])
    async with client.get("/metrics/prometheus") as response:
        text = await response.text()
    assert 'spky_http_requests_total{method="GET",route="/view/{id}",status="200"} 2.0' in text
    assert 'spky_ingest_events_total{op="create",outcome="durable",table="person"} 1.0' in text
    assert 'spky_ingest_events_total{op="delete",outcome="durable",table="person"} 1.0' in text
