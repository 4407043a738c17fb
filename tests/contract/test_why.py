"""Why a record is in a view, or is not, from HTTP to a real engine and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.channel import Server
from sp00ky.proto.revision import StoreId
from sp00ky.proto.v1 import views_pb2, views_pb2_grpc
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.freshness import Freshness
from sp00ky.ssp.rpc.views import ViewServicer

from tests.harness.driven_engine import Driven

STORE = StoreId("01234567")


@dataclass
class Reads:
    engine: Engine
    freshness: Freshness
    ssp_id: str = "ssp-1"
    store_id: StoreId = STORE

    def token(self, seq: int) -> str:
        return f"v1.seq{seq}"

    def quarantine_of(self, key: ViewKey) -> str:
        return ""


def driven() -> Driven:
    """People with bosses, one of whom is gone, and four views."""
    driven = Driven()
    driven.log.schema("sum", computed=True)
    driven.welcome()
    for key, age, boss in ((1, 30, 2), (2, 60, 2), (3, 25, 9), (4, 40, 2)):
        driven.log.change("person", key, {"age": age, "boss": RecordId("person", boss)})
    driven.log.register("v", "SELECT * FROM person WHERE boss.age > $n", {"n": 50})
    driven.log.register("oldest", "SELECT * FROM person ORDER BY age DESC LIMIT 2")
    driven.log.register("bosses", "SELECT * FROM person WHERE age < 30 OR id = person:1 FETCH boss")
    driven.log.register("run", "SELECT * FROM sum")
    driven.catch_up()
    return driven


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """The SSP's API before the SSP's service."""
    engine = driven().engine
    server = Server("127.0.0.1:0")
    name = views_pb2.DESCRIPTOR.services_by_name["ViewService"].full_name
    server.add(views_pb2_grpc.add_ViewServiceServicer_to_server, ViewServicer(Reads(engine, Freshness(engine))), name)
    gateway = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "ssp", await server.start())
    async with aiohttp.ClientSession(await gateway.start()) as session:
        yield session
    await gateway.stop()
    await server.stop(0)


async def ask(client: aiohttp.ClientSession, view: str, record: str) -> dict[str, Any]:
    async with client.get(f"/view/{view}/why", params={"record": record}) as response:
        assert response.status == 200, await response.text()
        body: dict[str, Any] = await response.json()
        return body


async def test_a_member_fulfils_its_conditions(client: aiohttp.ClientSession) -> None:
    body = await ask(client, "v", "person:4")
    assert body == {
        "id": "v",
        "revision": "v1.seq13",
        "ssp_id": "ssp-1",
        "record": "person:4",
        "in_view": True,
        "position": 3,
        "decider": "conditions",
        "sentence": "person:4 is in the view, row 3 of 3: the condition holds",
        "terms": [
            {
                "text": "boss.age > $n",
                "origin": "where",
                "holds": True,
                "values": [
                    {"text": "boss.age", "value": "60", "through": ["person:2 is there"]},
                    {"text": "$n", "value": "50"},
                ],
            }
        ],
    }


async def test_the_link_that_leads_nowhere_is_named(client: aiohttp.ClientSession) -> None:
    body = await ask(client, "v", "person:⟨3⟩")
    assert (body["decider"], body["sentence"]) == (
        "missing",
        "person:`3` is not in the view: there is no record person:`3`",
    )
    body = await ask(client, "v", "person:3")
    assert (body["in_view"], body["decider"], "position" in body) == (False, "term", False)
    assert body["sentence"] == (
        "person:3 is not in the view: `boss.age > $n` is not true: boss.age is NONE, $n is 50; person:9 is not there"
    )


async def test_the_window_has_an_edge(client: aiohttp.ClientSession) -> None:
    body = await ask(client, "oldest", "person:1")
    assert body["window"] == {
        "rank": 3,
        "passing": 4,
        "start": 0,
        "limit": 2,
        "boundary": "person:4",
        "order": [{"text": "age DESC", "value": "30", "boundary": "40"}],
    }
    assert body["sentence"].endswith(
        "it is row 3 of 4, and LIMIT 2 leaves it out; the window ends before it, at person:4"
    )


async def test_what_is_fetched_stands_below(client: aiohttp.ClientSession) -> None:
    body = await ask(client, "bosses", "person:2")
    assert (body["in_view"], body["decider"], body["below"]) == (
        *(True, "nested"),
        [{"id": "person:2", "version": 3, "parent": "person:1", "parent_rel": "boss"}],
    )


@pytest.mark.parametrize(
    ("view", "record", "status", "words"),
    [
        ("nope", "person:1", 404, 'view "nope"'),
        ("v", "person", 400, "no record id"),
        ("v", "person:1..3", 400, "a range of records"),
        ("v", "person:[" + "[" * 2000, 400, "record"),
        ("v", "x" * 5000, 400, "5000 characters"),
        ("run", "person:1", 503, "no result yet"),
    ],
)
async def test_wrong_questions_have_clear_answers(
    client: aiohttp.ClientSession, view: str, record: str, status: int, words: str
) -> None:
    async with client.get(f"/view/{view}/why", params={"record": record}) as response:
        body = await response.json()
        assert (response.status, words in body["message"]) == (status, True), body
