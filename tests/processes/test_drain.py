"""Views move between living processes: none is unread for a moment, and what is stored is right at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sp00ky.proto.database import Database

from tests.harness.eventually import eventually
from tests.harness.parts import Parts, database_process, running_parts
from tests.processes.workload import View, assert_all_equal, assert_edges_equal

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
BINS = 8
VIEWS = [
    *(View(f"bin-{number}", "SELECT * FROM item WHERE bin = $bin", {"bin": number}) for number in range(BINS)),
    View("top", "SELECT * FROM item ORDER BY n DESC, id LIMIT 5", ordered=True),
    View("groups", "SELECT bin, count() AS c FROM item GROUP BY bin"),
]


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    with database_process() as address:
        async with running_parts(tmp_path, address) as parts:
            yield parts


async def drain(parts: Parts, name: str, undo: int = 0) -> int:
    """Views it has left."""
    async with parts.http.post(f"{parts.url}/admin/ssp/{name}/drain?undo={undo}") as response:
        assert response.status == 200, await response.text()
        return int((await response.json())["views"])


class Traffic:
    """Reads of every view and writes to its table, until it is told to end."""

    def __init__(self, parts: Parts, database: Database) -> None:
        self.reads, self.wrong, self._done = 0, list[Any](), asyncio.Event()
        self._parts, self._database = parts, database
        self._tasks = [asyncio.create_task(work()) for work in (self._read, self._read, self._write)]

    async def _read(self) -> None:
        while not self._done.is_set():
            for view in VIEWS:
                status, answer = await self._parts.view(view.id, rows="1")
                self.reads += 1
                if status != 200 or answer["state"] != "live" or not answer["rows"]:
                    self.wrong.append(answer)

    async def _write(self) -> None:
        start = 1_000
        while not self._done.is_set():
            rows = [{"id": number, "bin": number % BINS, "n": number % 97} for number in range(start, start + 24)]
            await self._database.query(
                "BEGIN; INSERT INTO item $rows RETURN NONE; DELETE item WHERE id.id() = $old RETURN NONE; COMMIT",
                {"rows": rows, "old": start - 500},
                conflict_retries=20,
            )
            start += 24

    async def end(self) -> None:
        self._done.set()
        await asyncio.gather(*self._tasks)


async def begun(parts: Parts) -> Database:
    database = await parts.database()
    rows = [{"id": number, "bin": number % BINS, "n": number} for number in range(400)]
    await database.query("DEFINE TABLE item; INSERT INTO item $rows RETURN NONE", {"rows": rows})
    for view in VIEWS:
        await parts.register(view.id, view.surql, view.params)
        await parts.consistent(view.id)
    assert set((await parts.owners()).values()) == {"one", "two"}
    return database


async def owned_by(parts: Parts, *names: str) -> bool:
    return set((await parts.owners()).values()) == set(names)


async def test_no_read_is_without_its_result_while_views_move_away_and_back(parts: Parts) -> None:
    database = await begun(parts)
    traffic = Traffic(parts, database)

    async def drained() -> bool:
        return not await drain(parts, "one")

    try:
        while traffic.reads < 10 * len(VIEWS):
            await eventually(drained, 30.0, what="the drain to end", every_s=0.02)
            assert await owned_by(parts, "two")
            await drain(parts, "one", undo=1)
            await eventually(lambda: owned_by(parts, "one", "two"), 20.0, what="views to move back", every_s=0.02)
    finally:
        await traffic.end()
    assert traffic.wrong == []
    await assert_edges_equal(parts, database, await assert_all_equal(parts, VIEWS))


@pytest.mark.parametrize(
    "lost", ["two", *(pytest.param(name, marks=pytest.mark.long) for name in ("one", "scheduler"))]
)
async def test_whoever_is_killed_while_views_are_handed_over_they_are_right_at_the_end(parts: Parts, lost: str) -> None:
    database = await begun(parts)
    left = await drain(parts, "one")
    assert left, "it has only begun"
    await parts.kill(lost)
    rows = [{"id": number, "bin": number % BINS, "n": number} for number in range(400, 500)]
    await database.query("INSERT INTO item $rows RETURN NONE", {"rows": rows})
    await parts.start(lost)
    await parts.all_ready("one", "two")
    await assert_edges_equal(parts, database, await assert_all_equal(parts, VIEWS))
