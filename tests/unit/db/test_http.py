"""The HTTP routes: /sql with its headers and both encodings, /rpc as POST, /health, /version."""

from __future__ import annotations

import json
from base64 import b64encode

import aiohttp
import pytest
from sp00ky.deploy.db.limits import Limits
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import RecordId


def basic(user, password):
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


ROOT = basic("root", "root")


@pytest.fixture
async def http(database_url):
    base = database_url.replace("ws://", "http://").removesuffix("/rpc")
    async with aiohttp.ClientSession(base) as session:
        yield session


async def test_health_and_version(http):
    async with http.get("/health") as response:
        assert response.status == 200
    async with http.get("/version") as response:
        assert (await response.text()).startswith("surrealdb-3.")


@pytest.mark.parametrize("names", [("Surreal-NS", "Surreal-DB"), ("NS", "DB")])
async def test_sql_with_basic_auth_answers_json(http, notes, names):
    headers = dict(zip(names, (notes, "main"), strict=True))
    text = (
        "CREATE note:1 SET n = 1, big = 9007199254740993; SELECT * FROM note; THROW 'x'; RETURN d'2020-01-01T00:00:00Z'"
    )
    async with http.post("/sql", data=text, headers={**headers, **ROOT}) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        created, selected, thrown, moment = json.loads(await response.read())
    assert created["status"] == selected["status"] == "OK"
    assert selected["result"] == [{"id": "note:1", "n": 1, "big": 9007199254740993}]
    assert thrown["status"] == "ERR"
    assert "x" in thrown["result"]
    assert moment["result"] == "2020-01-01T00:00:00Z"


async def test_sql_answers_cbor_when_asked(http, notes):
    headers = {"Surreal-NS": notes, "Surreal-DB": "main", "Accept": "application/cbor"}
    async with http.post("/sql?who=tobie", data="RETURN note:1; RETURN $who", headers={**headers, **ROOT}) as response:
        record, who = decode(await response.read())
    assert record["result"] == RecordId("note", 1)
    assert who["result"] == "tobie"


async def test_sql_with_a_users_token(http, notes, raw):
    client = await raw()
    await client.call("use", notes, "main")
    token = (await client.call("signup", {"NS": notes, "DB": "main", "AC": "account", "name": "a"}))["result"]
    await client.query("CREATE note:1 SET owner = user:a; CREATE note:2 SET owner = user:b")
    headers = {"Surreal-NS": notes, "Surreal-DB": "main", "Authorization": f"Bearer {token}"}
    async with http.post("/sql", data="SELECT VALUE id FROM note", headers=headers) as response:
        assert json.loads(await response.read())[0]["result"] == ["note:1"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (basic("root", "wrong"), 401),
        (basic("nobody", "root"), 401),
        ({"Authorization": "Bearer abc.def.ghi"}, 401),
        ({"Authorization": "Basic !!!"}, 400),
        ({"Authorization": "Digest x"}, 400),
    ],
)
async def test_sql_refuses_who_is_not_signed_in(http, headers, status):
    for path in ("/sql", "/rpc") if headers else ("/sql",):
        data = "RETURN 1" if path == "/sql" else encode({"id": 1, "method": "query", "params": ["RETURN 1", {}]})
        async with http.post(path, data=data, headers=headers) as response:
            assert response.status == status
            assert json.loads(await response.read())["information"]


async def test_sql_refuses_what_it_cannot_do(http, notes):
    headers = {"Surreal-NS": notes, "Surreal-DB": "main"}
    async with http.post("/sql", data="SELECT * FROM", headers={**headers, **ROOT}) as response:
        assert response.status == 400
        assert "Parse error" in json.loads(await response.read())["information"]
    async with http.post("/sql", data="LIVE SELECT * FROM note", headers={**headers, **ROOT}) as response:
        assert response.status == 400


async def test_rpc_over_http_in_cbor_and_json(http, notes):
    headers = {"Surreal-NS": notes, "Surreal-DB": "main"}
    frame = encode({"id": 7, "method": "query", "params": ["RETURN note:1", {}]})
    cbor = {**headers, "Content-Type": "application/cbor"}
    async with http.post("/rpc", data=frame, headers={**cbor, **ROOT}) as response:
        answer = decode(await response.read())
        assert (answer["id"], answer["result"][0]["result"]) == (7, RecordId("note", 1))
    asked = {"id": 8, "method": "query", "params": ["RETURN $a + 1", {"a": 1}]}
    async with http.post("/rpc", json=asked, headers={**headers, **ROOT}) as response:
        answer = json.loads(await response.read())
        assert (answer["id"], answer["result"][0]["result"]) == (8, 2)
    async with http.post("/rpc", data=b"\xff", headers={**cbor, **ROOT}) as response:
        assert "error" in decode(await response.read())
    async with http.post("/rpc", data=frame, headers={"Content-Type": "application/cbor"}) as response:
        assert "Anonymous access not allowed" in decode(await response.read())["error"]["message"]


async def test_a_plain_get_of_rpc_and_another_subprotocol_are_refused(http):
    async with http.get("/rpc") as response:
        assert response.status == 400
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect("/rpc", protocols=("json",))


async def test_a_body_beyond_the_limit_answers_413(serve):
    url = (await serve(limits=Limits(frame_bytes_max=1000))).replace("ws://", "http://").removesuffix("/rpc")
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/sql", data="RETURN 1; -- " + "x" * 5000, headers=ROOT) as response,
    ):
        assert response.status == 413
