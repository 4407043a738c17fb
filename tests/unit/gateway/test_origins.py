"""Web pages: those of listed origins may read, those of others may not, and cannot write either."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from sp00ky.gateway.endpoints import ENDPOINTS
from sp00ky.gateway.origins import Origins
from sp00ky.proto.faults import Fault

from tests.harness.served_gateway import Serve

PAGE = "https://app.example.org"
OTHER = "https://evil.example.org"
ADA = {"table": "person", "op": "CREATE", "id": "person:ada", "record": {"name": "Ada"}}


async def test_a_listed_page_may_ask_and_read(serve: Serve) -> None:
    client, _ = await serve("scheduler", "s", cors_origins=f"https://x.example.org, {PAGE}/")
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with client.options("/ingest", headers=asked) as response:
        assert response.status == 204, "asked without a bearer, as browsers do"
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        methods = set(response.headers["Access-Control-Allow-Methods"].split(", "))
        assert methods == {row.method for row in ENDPOINTS}, "every method of the table"
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    async with client.post("/ingest", json=ADA, headers={"Origin": PAGE, "Authorization": "Bearer s"}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
        assert response.headers["Vary"] == "Origin"
        assert "Spky-Revision" in response.headers["Access-Control-Expose-Headers"]
    async with client.get("/views", headers={"Origin": PAGE}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (401, PAGE), "errors are read too"


@pytest.mark.parametrize("listed", ["", PAGE])
async def test_another_page_may_neither_read_nor_write(serve: Serve, listed: str) -> None:
    client, mesh = await serve("scheduler", cors_origins=listed)
    asked = {"Origin": OTHER, "Access-Control-Request-Method": "POST"}
    async with client.options("/ingest", headers=asked) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    async with client.get("/views", headers={"Origin": OTHER}) as response:
        assert response.status == 200
        assert "Access-Control-Allow-Origin" not in response.headers
    asked_before = len(mesh.asked)
    for origin in (OTHER, "null", ""):
        async with client.post("/ingest", json=ADA, headers={"Origin": origin}) as response:
            assert response.status == 403, origin
    async with client.get("/views", headers={"Origin": OTHER, "Upgrade": "websocket"}) as response:
        assert response.status == 403
    assert len(mesh.asked) == asked_before


async def test_a_page_of_the_server_itself_is_no_stranger(serve: Serve) -> None:
    client, _ = await serve("scheduler")
    own = str(client._base_url).rstrip("/")
    async with client.post("/ingest", json=ADA, headers={"Origin": own}) as response:
        assert response.status == 200


async def test_every_page_may_where_that_is_stated(serve: Serve) -> None:
    client, _ = await serve("scheduler", cors_origins="*")
    async with client.get("/views", headers={"Origin": OTHER}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == OTHER


async def test_options_of_no_page_is_not_a_method(serve: Serve) -> None:
    client, _ = await serve("scheduler")
    async with client.options("/views") as response:
        assert response.status == 405


async def statuses(serve: Serve, host: str, secret: str = "", **stated: str) -> tuple[int, int, int]:
    """Of a read, a write without a page, and a write by a page of this host's origin, all sent to this host."""
    client, _ = await serve("scheduler", secret, **stated)
    named = f"{host}:{client._base_url.port}"  # type: ignore[union-attr]
    said = {"Host": named} | ({"Authorization": f"Bearer {secret}"} if secret else {})
    async with client.get("/views", headers=said) as read, client.post("/ingest", json=ADA, headers=said) as write:
        page = said | {"Origin": f"http://{named}"}
        async with client.post("/ingest", json=ADA, headers=page) as paged:
            return read.status, write.status, paged.status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.7"])
async def test_a_host_that_nobody_else_can_have_is_the_servers_own(serve: Serve, host: str) -> None:
    assert await statuses(serve, host) == (200, 200, 200)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1."])
async def test_a_name_that_is_pointed_at_the_server_is_anothers(serve: Serve, host: str) -> None:
    """DNS rebinding: to the browser the page is the server's own, and its reads carry no Origin."""
    assert await statuses(serve, host) == (403, 403, 403)


async def test_a_name_of_the_local_network_is_answered_and_its_pages_change_nothing(serve: Serve) -> None:
    assert await statuses(serve, "scheduler") == (200, 200, 403)


async def test_a_listed_name_is_known(serve: Serve) -> None:
    assert await statuses(serve, "mesh.example.org", cors_origins="http://mesh.example.org") == (200, 200, 200)


async def test_where_a_bearer_is_asked_for_any_name_will_do(serve: Serve) -> None:
    """The page of a stranger has none."""
    assert await statuses(serve, "mesh.example.org", "s") == (200, 200, 200)


def test_the_host_that_is_listened_on_is_known() -> None:
    request = make_mocked_request("POST", "/ingest", {"Host": "box.lan:9667", "Origin": "http://box.lan:9667"})
    Origins("", "Box.lan").require_known(request)
    with pytest.raises(Fault, match="host is not known"):
        Origins("", "0.0.0.0").require_known(request)
