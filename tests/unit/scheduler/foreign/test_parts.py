"""The pure parts: which addresses, which payloads, which hashes, which calls."""

from __future__ import annotations

import json
import socket

import pytest
from aiohttp import web
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.kinds import Datetime, RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.foreign.address import GuardedResolver, checked_url
from sp00ky.scheduler.foreign.client import ANSWER_BYTES_MAX, Answer, SspClient, health_of, is_mesh
from sp00ky.scheduler.foreign.hashes import table_hash, table_hashes
from sp00ky.scheduler.foreign.members import Registration
from sp00ky.scheduler.foreign.payload import ingest_body, is_sent, register_body
from sp00ky.scheduler.foreign.views import REGISTER, UNREGISTER, HttpViews

from tests.harness.scheduler import Scheduler, change

# --- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7:8667",
        "https://ssp.example/base/",
        "http://127.0.0.1:1",
        "http://[::1]:2",
        "http://ssp_1-a:1",
        "http://1.a/@",
        "http://a.0xg",
        "http://xn--bcher-kva.de/b%20c",
    ],
)
def test_addresses_at_which_an_ssp_can_be(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://h",
        "file:///etc/passwd",
        "//h",
        "http://",
        "http://:8667",
        "http://h:0",
        "http://h:99999",
        "http://user:secret@h",
        "http://h/?q=1",
        "http://h/#f",
        "http://h\r\nX: y",
        "http://h/a b",
        "http://h\\@i",
        "http://" + "h" * 3000,
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]",
        "http://[::ffff:169.254.169.254]",
        "http://[fd00:ec2::254]",
        "http://0.0.0.0:80",
        "http://[::]:80",
        "http://224.0.0.1",
        "http://255.255.255.255",
        "http://[::1",
        "http://h?",
        "http://@h",
        "http://[::1]h",
        "http://1\uff16\uff19.254.169.254",  # full-width digits
        "http://169\u3002254\u3002169\u3002254",  # ideographic full stops
        "http://b\xfccher.de",
        "http://%31%36%39.254.169.254",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://169.254.43518",
        "http://0251.0376.0251.0376",
        "http://169.254.169.0xfe",
        "http://169.254.0251.254",
        "http://127.1",
        "http://169.254.169.254.",
        "http://localhost.",
        "http://a..b",
        "http://[fe80::1%25eth0]",
        "http://[64:ff9b::a9fe:a9fe]",
    ],
)
def test_addresses_at_which_none_can_be(url: str) -> None:
    with pytest.raises(Fault) as refused:
        checked_url(url)
    assert refused.value.code is Code.INVALID and refused.value.hint


@pytest.mark.parametrize(("answers", "allowed"), [("169.254.169.254", False), ("127.0.0.1", True), ("0.0.0.0", False)])
async def test_a_name_is_judged_by_what_it_resolves_to(
    answers: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*given: object, **named: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers, 80))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = GuardedResolver()
    if allowed:
        assert [each["host"] for each in await resolver.resolve("h", 80)] == [answers]
    else:
        with pytest.raises(OSError, match="no address"):
            await resolver.resolve("h", 80)


@pytest.mark.parametrize(
    "stated",
    [
        {"ssp_id": ""},
        {"ssp_id": "  "},
        {"ssp_id": "a\nb"},
        {"ssp_id": "a" * 200},
        {"version": "v" * 200},
        {"env": {"A": "b" * 20_000}},
        {"url": "h:1"},
    ],
)
def test_registrations_that_say_too_much_or_too_little(stated: dict[str, object]) -> None:
    with pytest.raises(Fault) as refused:
        Registration(**({"ssp_id": "h", "url": "http://h:1"} | stated)).hello()  # type: ignore[arg-type]
    assert refused.value.code is Code.INVALID


# --- requests ------------------------------------------------------------------------------------------------------


async def test_an_answer_is_bounded_never_redirected_and_never_an_exception() -> None:
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Authorization", "")))
        if request.path == "/elsewhere":
            return web.Response(status=307, headers={"Location": "/stolen"})
        return web.Response(body=b"x" * (ANSWER_BYTES_MAX + 1) if request.path == "/huge" else b"[]")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = SspClient(f"http://127.0.0.1:{runner.addresses[0][1]}", "secret", request_seconds=2)
    assert (await client.post("/elsewhere", b"{}")).status == 307
    assert await client.get("/huge") == Answer(200, b"")
    assert await client.get("/small") == Answer(200, b"[]")
    assert asked == [("/elsewhere", "Bearer secret"), ("/huge", ""), ("/small", "")]
    await runner.cleanup()
    gone = await client.get("/health")
    assert (gone.status, gone.taken, gone.refused) == (0, False, False) and gone.reason
    await client.close()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"status":"ready"}', "ready"),
        (200, b'{"status":"ok","more":1}', "ready"),
        (503, b'{"status":"ready"}', "bootstrapping"),
        (503, b'{"status":"bootstrapping"}', "bootstrapping"),
        (503, b'{"status":"failed"}', "failed"),
        (200, b'{"status":"healthy"}', "bootstrapping"),
        (302, b'{"status":"ready"}', ""),
        (404, b'{"status":"ready"}', ""),
        (200, b"<html>", ""),
        (200, b'"ready"', ""),
        (200, b'{"status":["ready"]}', ""),
        (0, b"", ""),
    ],
)
def test_health(status: int, body: bytes, said: str) -> None:
    assert health_of(Answer(status, body)) == said


def test_a_process_of_ours_is_known_by_its_info() -> None:
    assert is_mesh(Answer(200, b'[{"entity":"ssp","grpc_address":"h:1"}]'))
    assert not any(is_mesh(Answer(200, body)) for body in (b'[{"entity":"ssp"}]', b"[]", b"<html>", b"{}", b"[1]", b""))


# --- payloads ------------------------------------------------------------------------------------------------------


def test_payloads_are_as_documented() -> None:
    created = change("note", "a b", text="é", at=Datetime(0), of=RecordId("user", 1))
    entry = common_pb2.Entry(seq=7, txn_last=True, change=created)
    assert json.loads(ingest_body(entry)) == {
        "table": "note",
        "op": "CREATE",
        "id": "note:`a b`",
        "record": {"id": "note:`a b`", "text": "é", "at": "1970-01-01T00:00:00Z", "of": "user:1"},
        "hash": "",
        "seq": 7,
        "txn_last": True,
    }
    deleted = common_pb2.Entry(seq=8, change=change("note", 1, "DELETE"))
    assert json.loads(ingest_body(deleted)) | {"seq": 8} == {
        "table": "note", "op": "DELETE", "id": "note:1", "record": {"id": "note:1"}, "hash": "", "seq": 8,
        "txn_last": False,
    }  # fmt: skip
    assert is_sent(created) and not is_sent(change("_00_schema", "t"))
    spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t", ttl_ms=1, client_id="c")
    assert json.loads(register_body(spec, 1500)) == {
        "id": "v", "surql": "SELECT * FROM t", "clientId": "c", "params": {}, "ttl": "520w",
        "lastActiveAt": "1970-01-01T00:00:01.500000Z", "format": "streaming",
    }  # fmt: skip


def test_golden_hashes() -> None:
    """Those that the documented implementation computes."""
    assert table_hash([]) == "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    row = '{"f":1.0,"id":"user:1","n":1,"name":"a","nested":{"a":"x","b":[1,null,true]},"u":"é"}'
    assert table_hash([("1", row.encode())]) == "b3:ddc23fcaf0bb69c60a17d205a346d9bbc7a48c19679966bb92b192fd8a43d87a"


async def test_a_replica_that_is_too_large_is_not_hashed() -> None:
    async with Scheduler(MemoryDatastore()) as scheduler:
        row = change("user", 1, name="a", n=1, f=1.0, u="é", nested={"b": [1, None, True], "a": "x"})
        at = Seq(await (await scheduler.offer(row, change("t", "b"), change("t", 10), change("t", 9))).seq())
        store = scheduler.driver.store
        hashes = await table_hashes(store, at)
        assert hashes["user"] == "b3:ddc23fcaf0bb69c60a17d205a346d9bbc7a48c19679966bb92b192fd8a43d87a"
        assert hashes["t"] == table_hash([(key, f'{{"id":"t:{key}"}}'.encode()) for key in ("9", "10", "b")])
        assert await table_hashes(store, at, rows_max=3) == {} == await table_hashes(store, at, bytes_max=10)


# --- views ---------------------------------------------------------------------------------------------------------

SPEC = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t")


def assigned(seq: int, ssp_id: str, former: str = "", fences: tuple[str, ...] = ()) -> common_pb2.Entry:
    body = common_pb2.ViewAssigned(spec=SPEC, ssp_id=ssp_id, handing_over_ssp_id=former, fence_ssp_ids=fences)
    return common_pb2.Entry(seq=seq, view_assigned=body)


def released(seq: int, ssp_id: str) -> common_pb2.Entry:
    return common_pb2.Entry(seq=seq, view_released=common_pb2.ViewReleased(key=SPEC.key, ssp_id=ssp_id))


def unregistered(seq: int) -> common_pb2.Entry:
    return common_pb2.Entry(seq=seq, view_unregistered=common_pb2.ViewUnregistered(key=SPEC.key))


def calls(views: HttpViews, *entries: common_pb2.Entry) -> list[tuple[str, tuple[str, ...]]]:
    """What a frame of these comes to: paths, and whom to fence before."""
    leaving = views.leaving_in(entries)
    return [(call.path, call.fence_ssp_ids) for entry in entries for call in views.calls_of(entry, leaving)]


def joined(*owned: replication_pb2.AssignedView, incarnation: int = 10) -> HttpViews:
    views = HttpViews("me")
    views.welcome(replication_pb2.Welcome(incarnation=incarnation, views=owned))
    return views


def test_a_view_is_registered_where_it_is_placed_once_its_former_owners_are_fenced() -> None:
    views = joined()
    assert calls(views, assigned(11, "other"), assigned(12, "me", fences=("lost",))) == [(REGISTER, ("lost",))]
    assert calls(views, unregistered(13)) == [(UNREGISTER, ())]
    assert calls(views, unregistered(14)) == []


def test_a_view_that_is_handed_over_to_it_is_registered_when_it_is_released() -> None:
    views = joined()
    assert calls(views, assigned(11, "me", former="other")) == []
    assert calls(views, released(12, "me")) == [(REGISTER, ())]
    assert calls(views, assigned(13, "other", former="me")) == [(UNREGISTER, ())]


def test_a_view_that_was_taken_from_it_is_not_unregistered_for_its_edges_are_anothers() -> None:
    views = joined()
    assert calls(views, assigned(11, "me")) == [(REGISTER, ())]
    assert calls(views, assigned(12, "other", fences=("me",)), unregistered(13)) == []


def test_a_view_that_it_is_only_to_remove_is_not_registered_first() -> None:
    assert calls(joined(), assigned(11, "me", fences=("lost",)), unregistered(12)) == [(UNREGISTER, ("lost",))]


def test_commands_up_to_its_incarnation_are_in_its_welcome() -> None:
    mine = replication_pb2.AssignedView(spec=SPEC, fence_ssp_ids=["lost"], assigned_seq=8)
    assert [(call.seq, call.fence_ssp_ids) for call in joined(mine).joined(0)] == [(8, ("lost",))]
    views = joined(mine)
    entries = assigned(8, "me"), unregistered(9), common_pb2.Entry(seq=10), assigned(11, "other", former="me")
    assert calls(views, *entries) == [(REGISTER, ("lost",)), (UNREGISTER, ())]
    held = joined(replication_pb2.AssignedView(spec=SPEC, handing_over_ssp_id="other"))
    assert held.joined(0) == [] and calls(held, released(11, "me")) == [(REGISTER, ())]


def test_params_are_sent_as_json() -> None:
    spec = common_pb2.ViewSpec(key=SPEC.key, params=pack({"who": RecordId("user", 1)}))
    assert json.loads(register_body(spec, 0))["params"] == {"who": "user:1"}
