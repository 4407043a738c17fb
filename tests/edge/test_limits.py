"""What one caller can do to the others: nothing. Bodies, heads, readers, connections, rates, each at its limit."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from contextlib import AsyncExitStack

import aiohttp
import orjson
import psutil
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.inflation import MEMBERS_MAX, Inflated, inflate
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.gateway.unreadable import Unreadable
from sp00ky.proto.faults import Fault
from sp00ky.proto.settings import load
from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.pack import pack

from tests.edge.raw import Raw, connected
from tests.harness.eventually import eventually
from tests.harness.fake_mesh import view_response
from tests.harness.served_gateway import Serve, Served
from tests.unit.gateway.tokens import SHARED, token

ADA = {"table": "person", "op": "CREATE", "id": "person:ada", "record": {"name": "Ada"}}
VIEW = {"id": "v", "surql": "SELECT * FROM person"}
JSON = {"Content-Type": "application/json"}
MIB = 2**20


async def count(client: aiohttp.ClientSession, sample: str) -> float:
    """A figure of the server's own metrics; 0 if it has never counted."""
    async with client.get("/metrics/prometheus") as response:
        lines = (await response.text()).splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample)), 0.0)


def shed(kind: str, reason: str) -> str:
    return f'spky_admission_rejected_total{{class="{kind}",reason="{reason}"}}'


async def alive(client: aiohttp.ClientSession) -> bool:
    async with client.get("/health/live", timeout=aiohttp.ClientTimeout(5)) as response:
        return response.status == 200


HOSTILE = {
    "malformed": (b'{"table":', 400),
    "duplicate keys": (b'{"table":"a","table":"b"}', 400),
    "huge number": (b'{"table":"a","op":"CREATE","id":"a:1","record":{"n":1e400}}', 400),
    "NaN": (b'{"table":"a","op":"CREATE","id":"a:1","record":{"n":NaN}}', 400),
    "lone surrogate": (b'{"table":"a","op":"CREATE","id":"a:1","record":{"n":"\\ud800"}}', 400),
    "byte order mark": (b'\xef\xbb\xbf{"table":"a"}', 400),
    "depth": (b"[" * 10_000 + b"]" * 10_000, 400),
    "latin-1": (b'{"table":"\xe4"}', 400),
    "empty": (b"", 400),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("path", ["/ingest", "/view/register", "/proxy/query"])
async def test_i1_a_hostile_body_is_400_with_a_code(scheduler: Served, kind: str, path: str) -> None:
    client, mesh = scheduler
    body, status = HOSTILE[kind]
    async with client.post(path, data=body, headers=JSON) as response:
        assert (response.status, (await response.json())["code"]) == (status, "SPKY_INVALID")
    assert not mesh.asked


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {}, {"Content-Type": "multipart/form-data"}, JSON | {"Content-Encoding": "zip"}],
)
async def test_i1_a_body_that_is_not_said_to_be_json_is_415(scheduler: Served, headers: dict[str, str]) -> None:
    client, _ = scheduler
    async with client.post("/view/register", data=orjson.dumps(VIEW), headers=headers) as response:
        assert response.status == 415


async def test_i1_a_body_of_another_shape_is_422_where_it_is_documented(serve: Serve) -> None:
    for api, path, status in (("scheduler", "/view/register", 422), ("ssp", "/view/register", 400),
                              ("ssp", "/view/unregister", 422), ("scheduler", "/ingest", 400)):  # fmt: skip
        client, _ = await serve(api)
        async with client.post(path, json={"id": 5}) as response:
            assert (response.status, (await response.json())["code"]) == (status, "SPKY_INVALID"), (api, path)


async def test_i4_an_endless_body_is_cut_at_the_limit(serve: Serve) -> None:
    client, mesh = await serve("scheduler", limits=Limits(body_bytes_max=64 * 1024, head_timeout_ms=300))
    head = b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    async with connected(client) as raw:
        raw.say(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):  # 1.6 MB of one string that never ends
            raw.say(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert await raw.status() == 413
        assert await raw.closed()
    async with connected(client) as raw:
        raw.say(head + b"Content-Length: 99999999999\r\n\r\n")
        assert await raw.status() == 413
    assert not mesh.asked and await alive(client)


async def test_i4_a_body_that_stops_is_408(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(request_timeout_ms=200, head_timeout_ms=300))
    async with connected(client) as raw:
        raw.say(b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        assert await raw.status() == 408
        assert await raw.closed()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_i4_a_bomb_is_not_unpacked_beyond_the_limit(serve: Serve, encoding: str) -> None:
    client, mesh = await serve("scheduler", limits=Limits(body_bytes_max=MIB, head_timeout_ms=300))
    bomb = (gzip.compress if encoding == "gzip" else zlib.compress)(b" " * (64 * MIB))
    assert len(bomb) < MIB
    before = psutil.Process().memory_info().rss
    async with client.post("/ingest", data=bomb, headers=JSON | {"Content-Encoding": encoding}) as response:
        assert response.status == 413
    assert psutil.Process().memory_info().rss - before < 32 * MIB
    assert not mesh.asked


async def test_i4_a_body_that_is_not_asked_for_is_neither_unpacked_nor_read(serve: Serve) -> None:
    client, _ = await serve("scheduler", secret="a secret of the tests", limits=Limits(head_timeout_ms=300))
    bomb = gzip.compress(b" " * (256 * MIB), 1)
    head = b"%b HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    for asked, status in ((b"GET /health/live", 200), (b"GET /health", 200), (b"POST /ingest", 401), (b"GET /x", 404)):
        before = psutil.Process().memory_info().rss
        async with connected(client) as raw:
            raw.say(head % (asked, len(bomb)) + bomb)
            assert await raw.status() == status
            assert await raw.closed() or status == 401
        assert psutil.Process().memory_info().rss - before < 32 * MIB, asked
    async with connected(client) as raw:
        raw.say(b"GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        assert await raw.status() == 200, "it is not waited for"
        assert b"Connection: close" in await raw.reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare"])
def test_i4_what_was_packed_is_unpacked_up_to_the_limit(encoding: str) -> None:
    window = {"gzip": 31, "deflate": 15, "bare": -15}[encoding]
    packing = zlib.compressobj(wbits=window)
    packed = packing.compress(b"x" * 1000) + packing.flush()
    named = "gzip" if encoding == "gzip" else "deflate"
    assert inflate(packed, named, 1000) == b"x" * 1000
    with pytest.raises(Inflated):
        inflate(packed, named, 999)
    for broken in (packed[:-1], b"", b"\xff" + packed):
        with pytest.raises(ValueError):
            inflate(broken, named, 1000)
    assert inflate(gzip.compress(b"a") * 3, "gzip", 3) == b"aaa"
    for most, refusal in ((2, Inflated), (1000, ValueError)):
        with pytest.raises(refusal):
            inflate(gzip.compress(b"a") * (MEMBERS_MAX + 1), "gzip", most)


async def drip(raw: Raw) -> None:
    """A byte of a header at a time, until the server has had enough."""
    raw.say(b"GET /views HTTP/1.1\r\nHost: a\r\nX: ")
    while not raw.reader.at_eof():
        raw.say(b"x")
        try:
            async with asyncio.timeout(0.02):
                await raw.reader.read(100)
        except TimeoutError:
            continue
        except ConnectionError:
            return


async def test_i5_a_head_that_drips_in_is_cut_and_others_are_served(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(head_timeout_ms=400))
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        slow = [await stack.enter_async_context(connected(client)) for _ in range(50)]
        dripping = [asyncio.create_task(drip(raw)) for raw in slow]
        assert await alive(client)
        await asyncio.gather(*dripping)
    assert await count(client, shed("connection", "head")) == 50


async def test_i5_a_head_may_be_late_in_a_later_request_no_more_than_in_the_first(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(head_timeout_ms=300))
    whole = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    async with connected(client) as raw:
        raw.say(whole)
        assert await raw.status() == 200
        raw.say(whole[:10])
        async with asyncio.timeout(10):
            rest = await raw.reader.read(-1)
        assert b"HTTP/1.1 408" in rest
    async with connected(client) as silent:
        assert await silent.closed(), "and a connection that never says anything is closed as well"


async def test_i5_a_reader_that_does_not_read_is_cut(serve: Serve) -> None:
    client, mesh = await serve("scheduler", limits=Limits(write_timeout_ms=300))
    large = view_response()
    large.rows = pack("x" * (24 * MIB))
    mesh.answers["GetView"] = large
    assert client._base_url is not None and client._base_url.port is not None
    with socket.socket() as mute:
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        mute.connect(("127.0.0.1", client._base_url.port))
        mute.sendall(b"GET /view/v1?rows=1 HTTP/1.1\r\nHost: a\r\n\r\n")

        async def cut() -> bool:
            return await count(client, shed("connection", "write")) == 1

        await eventually(cut, 10)
    async with client.get("/view/v1?rows=1") as response:
        assert len(await response.read()) > 24 * MIB, "one who reads gets all of it"


async def test_i5_one_address_cannot_take_every_connection(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(connections_per_address_max=20))
    assert await alive(client)  # holds one
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(client)) for _ in range(19)]
        for _ in range(5):
            async with connected(client) as raw:
                assert await raw.status() == 429
                assert b"Retry-After: 1" in await raw.reader.read(-1)
        async with connected(client, "127.0.0.2") as other:
            other.say(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await other.status() == 200
        idle[0].writer.close()

        async def admitted() -> bool:
            async with connected(client) as raw:
                raw.say(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
                return await raw.status() == 200

        await eventually(admitted, 5)
    assert await count(client, shed("connection", "address")) >= 5
    assert await count(client, "spky_http_connections") >= 1


async def test_i5_all_of_them_together_are_bounded(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(connections_max=10))
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(connected(client))
        async with connected(client) as raw:
            assert await raw.status() == 503


SMUGGLED = {
    "two lengths": b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    "length and chunks": b"POST /ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "odd chunks": b"POST /ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "negative length": b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "plus length": b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345",
    "folded header": b"GET /views HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "space in name": b"GET /views HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
    "nul in value": b"GET /views HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "header of 40 kB": b"GET /views HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
    "1,000 headers": b"GET /views HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "line of 20 kB": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "words": b"NONSENSE\r\n\r\n",
    "http/9": b"GET /views HTTP/9.9\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLED)
async def test_i6_what_could_be_read_in_two_ways_is_not_read(scheduler: Served, kind: str) -> None:
    client, mesh = scheduler
    async with connected(client) as raw:
        raw.say(SMUGGLED[kind])
        assert await raw.status() == 400
        assert await raw.closed(), "nothing after it is taken for a request"
    assert not mesh.asked


TOLD = "a secret of the tests"
TELLTALE = {
    "version": f"GET /view/v/events?access_token={TOLD.replace(' ', '+')} HTTP/9.9\r\nHost: a\r\n\r\n",
    "target": f"GET /view/v?access_token={TOLD} HTTP/1.1\r\nHost: a\r\n\r\n",
    "header": f"GET /views HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOLD}\x01\r\n\r\n",
    "name": f"GET /views HTTP/1.1\r\nHost: a\r\nAuthorization Bearer {TOLD}\r\n\r\n",
    "method": f"{TOLD} / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("kind", TELLTALE)
async def test_i6_a_request_that_cannot_be_read_is_not_repeated(
    serve: Serve, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, mesh = await serve("scheduler", secret=TOLD)
    with caplog.at_level("DEBUG"):
        for _ in range(5):
            async with connected(client) as raw:
                raw.say(TELLTALE[kind].encode())
                assert await raw.status() == 400
                body = await asyncio.wait_for(raw.reader.read(-1), 10)
                assert b'"code":"SPKY_INVALID"' in body and b"secret" not in body
    assert not mesh.asked
    assert await count(client, shed("connection", "unreadable")) == 5
    assert "secret" not in caplog.text and "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_i6_what_cannot_be_read_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    times = [10.0, 10.0, 10.1, 10.9, 11.0, 11.0, 11.5]  # looked at once more for each line
    unreadable = Unreadable("gateway", Telemetry(), lambda: times.pop(0))
    with caplog.at_level("INFO"):
        for _ in range(5):
            assert unreadable.answer(ValueError(TOLD), "127.0.0.1").status == 400
    assert [record.getMessage()[:22] for record in caplog.records] == [
        "1 unreadable requests,",
        "3 unreadable requests,",
    ]
    assert TOLD not in caplog.text


@pytest.mark.parametrize(
    "target",
    ["http://other.example/views", "//views", "/../views", "/%2e%2e/views", "/view/..%2f..%2fviews", "*", "views"],
)
async def test_i6_a_target_means_itself_and_nothing_else(scheduler: Served, target: str) -> None:
    client, mesh = scheduler
    async with connected(client) as raw:
        raw.say(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        status = await raw.status()
    assert status < 500
    listed = [request for request in mesh.asked if isinstance(request, views_pb2.ListViewsRequest)]
    assert not listed or target.startswith("http://"), "an absolute target is its path"


async def test_i6_what_a_caller_writes_cannot_break_a_log_line(
    scheduler: Served, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = scheduler
    with caplog.at_level("DEBUG", logger="sp00ky.gateway"):
        async with connected(client) as raw:
            raw.say(b"GET /view/a%0d%0aroot%20logged%20in HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\x0bb\r\n\r\n")
            assert await raw.status() in {200, 400}
    assert all("\n" not in record.getMessage() and "\x0b" not in record.getMessage() for record in caplog.records)


def test_i9_a_setting_that_is_misspelt_refuses_the_start() -> None:
    for name in ("SPKY_GATEWAY_BODY_BYTE_MAX", "SPKY_CLIENT_SECRETS", "SPKY_JWT_JWKS"):
        with pytest.raises(Fault, match=f"unknown setting {name}") as caught:
            load(GatewaySettings, env={name: "1"})
        assert caught.value.hint.startswith(f"did you mean {name[:10]}")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/view/register", VIEW),
        ("/query/register", {"query_id": "v", "view_plan": VIEW["surql"]}),
        ("/view/unregister", {"id": "v"}),
        ("/view/explain", {"surql": VIEW["surql"]}),
    ],
)
async def test_i9_fields_that_are_not_asked_for_reach_nothing(
    scheduler: Served, path: str, body: dict[str, str]
) -> None:
    """One that is overlooked may be the `auth` without which a view sees everything."""
    client, mesh = scheduler
    extra = {"auth_id": "user:1", "roles": ["admin"], "ssp_id": "mine", "key": {"auth_id": "user:1"}, "epoch": 9}
    for name, value in extra.items():
        async with client.post(path, json={**body, name: value}) as response:
            assert (response.status, (await response.json())["message"]) == (400, f'there is no field "{name}"')
    for name, hint in (("Auth", "did you mean auth?"), ("user", "the fields are: "), ("x" * 9000, "the fields are: ")):
        async with client.post(path, json={**body, name: "user:1"}) as response:
            answer = await response.json()
            assert (response.status, answer["hint"].startswith(hint), len(answer["message"]) < 99) == (400, True, True)
    assert not mesh.asked
    async with client.post(path, json=body) as response:
        assert response.status == 200


@pytest.mark.parametrize("address", ["/view/v", "/view/v/why", "/debug/view/v", "/view/v/events", "/view/v/ws"])
async def test_i9_parameters_that_are_not_asked_for_are_refused(scheduler: Served, address: str) -> None:
    client, mesh = scheduler
    for name, hint in (("Auth", "did you mean auth?"), ("user", "the parameters are: ")):
        async with client.get(address, params={name: "user:1", "auth": "user:1"}) as response:
            answer = await response.json()
            assert (response.status, answer["message"]) == (400, f'there is no parameter "{name}"')
            assert answer["hint"].startswith(hint)
    assert not mesh.asked


async def test_l6_under_load_new_work_is_shed_first_and_health_last(serve: Serve) -> None:
    client, mesh = await serve("scheduler", limits=Limits(requests_inflight_max=10))
    mesh.held = asyncio.Event()
    registering = [asyncio.create_task(client.post("/view/register", json=VIEW)) for _ in range(8)]
    await eventually(lambda: sum(task.done() for task in registering) == 3, 5)
    reading = [asyncio.create_task(client.get("/view/v1")) for _ in range(8)]
    await eventually(lambda: sum(task.done() for task in reading) == 4, 5)
    healthy = asyncio.create_task(client.get("/health"))
    await eventually(lambda: len(mesh.asked) == 10, 5)
    assert await alive(client)
    mesh.held.set()
    answers = [(await task).status for task in (*registering, *reading)]
    assert [answers[:8].count(429), answers[8:].count(429), (await healthy).status] == [3, 4, 200]
    late = [(await task).headers["Retry-After"] for task in registering if (await task).status == 429]
    assert late == ["1"] * 3
    assert await count(client, shed("new", "inflight")) == 3
    assert await count(client, shed("read", "inflight")) == 4


async def test_l6_one_who_asks_too_often_is_told_when_to_ask_again(serve: Serve) -> None:
    client, _ = await serve("scheduler", limits=Limits(rate_new=1, rate_read=500), jwt_secret=SHARED)
    ada, bob = ({"Authorization": f"Bearer {token(ID=user)}"} for user in ("user:ada", "user:bob"))
    answers = await asyncio.gather(*(client.post("/view/register", json=VIEW, headers=ada) for _ in range(30)))
    told = [(response.status, response.headers.get("Retry-After")) for response in answers]
    assert {(200, None), (429, "1")} == set(told)
    assert told.count((200, None)) >= 2, "a burst of two seconds' worth"
    async with client.get("/view/v", headers=ada) as response:
        assert response.status == 200, "reads have a rate of their own"
    async with client.post("/view/register", json=VIEW, headers=bob) as response:
        assert response.status == 200, "and so has every user"
    assert await count(client, shed("new", "rate")) >= 1
