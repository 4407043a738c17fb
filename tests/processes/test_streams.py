"""Streams of a real mesh: whatever is killed, a reader who folds what he is told has it, and views move together."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.harness.event_source import EventSource
from tests.harness.eventually import eventually
from tests.harness.folding_reader import FoldingReader
from tests.harness.mesh import Mesh, running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
QUERIES: Mapping[str, str] = {
    "ann": "SELECT id, money FROM account WHERE owner = 'ann'",
    "bob": "SELECT id, money FROM account WHERE owner = 'bob'",
    "top": "SELECT id, owner, money FROM account ORDER BY money DESC, id LIMIT 4",
    "sum": "SELECT owner, math::sum(money) AS money FROM account GROUP BY owner",
}
ACCOUNTS = 8
TOTAL = ACCOUNTS * 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path_factory.mktemp("streams"), ssps=2) as running:
        await running.sql(
            f"DEFINE TABLE account; FOR $n IN 0..{ACCOUNTS} {{ CREATE type::record('account', $n) SET money = 100,"
            " owner = IF $n % 2 = 0 { 'ann' } ELSE { 'bob' } };"
        )
        for view, surql in QUERIES.items():
            await running.register(view, surql)
            await running.consistent(view)
        yield running


class Follower:
    """A reader who comes back for ever, now and then of his own accord."""

    def __init__(self, mesh: Mesh, views: tuple[str, ...], seed: int) -> None:
        self.views, self.mesh = views, mesh
        self.folded = FoldingReader(several=len(views) > 1)
        self.connects = 0
        self.moves = 0
        self.broken = ""
        self._random = random.Random(seed)

    async def run(self) -> None:
        also = "".join(f"&also={view}" for view in self.views[1:])
        while True:
            try:
                async with EventSource(
                    self.mesh.http, f"{self.mesh.url}/view/{self.views[0]}/events?rows=1{also}", self.folded
                ) as source:
                    self.connects += 1
                    for _ in range(self._random.randrange(1, 12)):
                        await source.next("up-to-date" if self.folded.several else "", within=60)
                        self._judge()
                    for _ in range(self._random.randrange(3)):  # and breaks off in the middle of a move
                        await source.next(within=60)
            except (aiohttp.ClientError, EOFError, TimeoutError, ConnectionError):
                pass
            except AssertionError as error:
                if "SPKY_" not in str(error):  # else: it is not there yet, and said so
                    self.broken = str(error)
                    raise
            await asyncio.wait_for(asyncio.shield(asyncio.create_task(_tick())), 5)

    def _judge(self) -> None:
        if set(self.views) >= {"ann", "bob"} and {"ann", "bob"} <= set(self.folded.views):
            self.moves += 1
            money = sum(row["money"] for view in ("ann", "bob") for row in self.rows(view))
            assert money == TOTAL, f"{money} in all: the views are of two revisions"

    def rows(self, view: str) -> list[Any]:
        return list(self.folded.views[view].result.rows)

    async def settled(self) -> bool:
        assert not self.broken, self.broken
        for view in self.views:
            true = await self.mesh.consistent(view)
            held = self.folded.views.get(view)
            if held is None or held.hash != true["hash"]:
                return False
            assert _sorted(self.rows(view)) == _sorted(true["rows"])
            assert {(each.id, each.version) for each in held.result.members} == {
                (each["id"], each["version"]) for each in true["members"]
            }
        return True


async def _tick() -> None:
    gone = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, gone.set)
    await gone.wait()


def _sorted(rows: list[Any]) -> list[str]:
    return sorted(map(repr, rows))


class Transfers:
    """Money goes to and fro between the two owners, one transaction each."""

    def __init__(self, mesh: Mesh, seed: int) -> None:
        self.mesh, self.count = mesh, 0
        self._random = random.Random(seed)

    async def run(self) -> None:
        database = await self.mesh.database()
        while True:
            giver, taker = self._random.sample(range(ACCOUNTS), 2)
            await database.query(
                f"BEGIN; UPDATE account:{giver} SET money -= 1; UPDATE account:{taker} SET money += 1; COMMIT;"
            )
            self.count += 1


async def _play(mesh: Mesh, victims: list[str], seed: int) -> None:
    followers = [Follower(mesh, ("top",), seed), Follower(mesh, ("ann", "bob"), seed + 1)]
    followers += [Follower(mesh, ("sum", "ann", "bob", "top"), seed + 2)]
    transfers = Transfers(mesh, seed)
    tasks = [asyncio.create_task(each.run()) for each in followers]
    writing = asyncio.create_task(transfers.run())
    try:
        for victim in victims:
            begun = transfers.count
            await eventually(lambda begun=begun: transfers.count > begun + 60, 30.0)  # type: ignore[misc]
            pid = mesh.pid_of(victim)
            mesh.kill(victim)
            await eventually(lambda victim=victim, pid=pid: mesh.pid_of(victim) != pid, 30.0)  # type: ignore[misc]
        begun = transfers.count
        await eventually(lambda: transfers.count > begun + 100, 30.0)
        writing.cancel()
        for each in followers:
            await eventually(each.settled, 60.0, what=f"{each.views} to be what they are", every_s=0.1)
        assert followers[1].moves > 3
        assert "must-refetch" not in {kind for each in followers for kind in each.folded.seen}
    finally:
        for task in (*tasks, writing):
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        wrong = [each for each in done if isinstance(each, Exception)]
        assert not wrong, wrong


async def test_views_of_two_ssps_move_together_while_all_is_well(mesh: Mesh) -> None:
    await _play(mesh, [], 1)


@pytest.mark.parametrize("victim", ["ssp", "scheduler", "gateway"])
async def test_whatever_is_killed_a_reader_has_the_view(mesh: Mesh, victim: str) -> None:
    views = await mesh.get("/views")
    owner = next(view["ssp_id"] for view in views if view["id"] == "ann")
    await _play(mesh, [owner if victim == "ssp" else victim], 2)


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_all_are_killed_again_and_again(mesh: Mesh) -> None:
    chosen = random.Random(int(os.environ.get("SEED", "7")))
    names = ["scheduler", "gateway", *(str(ssp["id"]) for ssp in await mesh.get("/ssps"))]
    await _play(mesh, [chosen.choice(names) for _ in range(25)], 3)
