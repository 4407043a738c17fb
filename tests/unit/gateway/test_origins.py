"""Web pages: those of listed origins may read, those of others may not, and cannot write either."""

from __future__ import annotations

import pytest

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
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
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
