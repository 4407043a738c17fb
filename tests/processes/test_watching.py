"""`WatchViews` of real SSPs: what is folded is what SurrealDB answers, while records are written from several sides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc import aio
from sp00ky.proto.channel import open_channel
from sp00ky.proto.v1 import common_pb2, views_pb2, views_pb2_grpc

from tests.harness.eventually import eventually
from tests.harness.mesh import SECRET, Mesh, running_mesh
from tests.harness.watcher import Folded, Watcher, seq_in

pytestmark = [
    pytest.mark.processes,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
QUERIES: Mapping[str, str] = {
    "from": "SELECT * FROM account WHERE owner = 'ann'",
    "to": "SELECT * FROM account WHERE owner = 'bob'",
    "rich": "SELECT id, owner, money FROM account ORDER BY money DESC LIMIT 3",
    "sum": "SELECT math::sum(money) AS money, count() AS n FROM account GROUP ALL",
    "again": "SELECT id, money FROM rich",  # re-evaluated: a table that is a query
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path_factory.mktemp("watching"), ssps=2) as running:
        await running.sql(
            "DEFINE TABLE account; DEFINE TABLE rich AS SELECT * FROM account WHERE money > 50;"
            "FOR $n IN 0..10 { CREATE type::record('account', $n) SET owner = IF $n % 2 = 0 { 'ann' } ELSE { 'bob' },"
            " money = 50 };"
        )
        for view, surql in QUERIES.items():
            await running.register(view, surql)
            await running.consistent(view)
        yield running


class Link:
    """One stream to one SSP."""

    def __init__(self, address: str) -> None:
        self.watcher = Watcher()
        self.numbers: dict[str, int] = {}
        self._channel = open_channel(address, SECRET)
        self._call = views_pb2_grpc.ViewServiceStub(self._channel).WatchViews()
        self._task = asyncio.create_task(self._hear())

    async def open(self, view: str) -> Folded:
        number = self.numbers[view] = len(self.numbers) + 1
        folded = self.watcher.views[number] = Folded()
        opened = views_pb2.WatchOpened(watch_id=number, key=common_pb2.ViewKey(id=view), rows=True)
        await self.ask(views_pb2.WatchViewsRequest(opened=opened))
        return folded

    async def ask(self, request: views_pb2.WatchViewsRequest) -> None:
        await self._call.write(request)

    async def ended(self) -> None:
        """Raises AioRpcError if the stream broke."""
        await self._task

    async def _hear(self) -> None:
        async for response in self._call:
            self.watcher.hear(response.SerializeToString())

    async def close(self) -> None:
        self._call.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._channel.close()


async def watch(mesh: Mesh) -> tuple[list[Link], dict[str, Folded]]:
    """Every view, at the SSP where it is."""
    links: dict[str, Link] = {}
    views: dict[str, Folded] = {}
    async with open_channel(mesh.ready["scheduler_grpc"], SECRET) as channel:
        for view in QUERIES:
            located = await views_pb2_grpc.ViewServiceStub(channel).LocateView(
                views_pb2.LocateViewRequest(key=common_pb2.ViewKey(id=view))
            )
            if located.grpc_address not in links:
                links[located.grpc_address] = Link(located.grpc_address)
            views[view] = await links[located.grpc_address].open(view)
    return list(links.values()), views


async def test_what_is_folded_is_what_a_read_answers(mesh: Mesh) -> None:
    links, views = await watch(mesh)
    database = await mesh.database()

    async def pay() -> None:
        for number in range(40):
            source, target = number * 7 % 10, number * 3 % 10
            await database.query(
                "BEGIN; UPDATE type::record('account', $a) SET money -= 1;"
                " UPDATE type::record('account', $b) SET money += 1; COMMIT;",
                {"a": source, "b": target},
            )

    await asyncio.gather(pay(), pay())
    await database.query("UPDATE account:0 SET money = 70; UPDATE account:1 SET money = 31; DELETE account:2")
    for view, folded in views.items():
        answer = await mesh.consistent(view)

        async def reached(folded: Folded = folded, answer: Any = answer) -> bool:
            return folded.settled and folded.seq >= seq_in(answer["revision"])

        await eventually(reached, 20, what=f"{view} to be shown")
        assert folded.result is not None and folded.shown == 1
        assert [json.loads(row) for row in folded.result.rows] == answer["rows"]
        assert [each.id for each in folded.result.members] == [each["id"] for each in answer["members"]]
        assert folded.state.hash == answer["hash"]
    assert all(folded.changed for folded in views.values())
    for link in links:
        assert link.watcher.seq
        await link.close()


async def test_a_stream_that_asks_for_nothing_sensible_is_ended_with_the_reason(mesh: Mesh) -> None:
    link = Link(mesh.ready["ssps"][0]["grpc"])
    await link.ask(views_pb2.WatchViewsRequest())
    with pytest.raises(aio.AioRpcError) as caught:
        await link.ended()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await link.close()
