"""L8: an SSP that fills its memory up takes nothing new, gives views away, and lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.harness.eventually import eventually
from tests.harness.parts import Parts

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]
LIMIT = 1.3  # of what an SSP takes that holds nothing: there is room at first, and little of it
VIEWS = 12
TEXT = "x" * 50_000
RECORDS_MAX = 10_000
BATCH = 20  # a megabyte in one body is where aiohttp warns


@pytest_asyncio.fixture
async def parts(tmp_path: Path, db_ws: str) -> AsyncIterator[Parts]:
    parts = Parts(tmp_path, db_ws)
    try:
        parts.add_scheduler()
        parts.add_ssp("tight")
        await parts.start("scheduler", "tight")
        await parts.all_ready("tight")
        empty = psutil.Process(parts.parts["tight"].running.child.pid).memory_info().rss
        await parts.kill("tight")
        parts.add_ssp("tight", SPKY_SSP_MEMORY_BYTES_MAX=str(int(LIMIT * empty)))
        await parts.start("tight")
        await eventually(lambda: limited(parts), 20, what="the limit to be known", every_s=0.02)
        yield parts
    finally:
        await parts.close()


async def limited(parts: Parts) -> bool:
    return await parts.is_ready("tight") and bool((await parts.ssps())["tight"]["memory_limit"])


async def registered(parts: Parts, name: str, number: int) -> tuple[int, dict[str, Any], str]:
    body = {"id": name, "surql": "SELECT id, n FROM blob WHERE n = $n", "params": {"n": number}, "clientId": "test"}
    async with parts.http.post(f"{parts.url}/view/register", json=body) as response:
        return response.status, await response.json(), response.headers.get("Retry-After", "")


async def counted(parts: Parts, metric: str) -> float:
    return float((await parts.get("/metrics"))["metrics"][metric])


class Filling:
    """Records that a view has in memory. `count`: how many there are."""

    def __init__(self, parts: Parts) -> None:
        self.count = 0
        self._parts = parts

    async def more(self) -> None:
        changes = [
            {"table": "blob", "op": "CREATE", "id": f"blob:{each}", "record": {"n": each % VIEWS, "text": TEXT}}
            for each in range(self.count, self.count + BATCH)
        ]
        async with self._parts.http.post(f"{self._parts.url}/ingest", json=changes) as response:
            assert response.status == 200, await response.text()
        self.count += BATCH
        assert self.count < RECORDS_MAX, "its memory does not grow"

    async def until(self, condition: Callable[[], Awaitable[float]]) -> None:
        async def reached() -> bool:
            await self.more()
            return bool(await condition())

        await eventually(reached, 30, what="its memory to be short", every_s=0.3)  # so often an SSP looks at it


async def test_l8_an_ssp_short_of_memory_takes_nothing_new_refuses_and_sheds(parts: Parts) -> None:
    for number in range(VIEWS):
        assert (await registered(parts, f"v{number}", number))[0] == 200
    past = {"consistency": "at_exact_snapshot", "revision": (await parts.consistent("v0"))["revision"]}
    filling = Filling(parts)
    await filling.until(lambda: counted(parts, "ssps_without_room"))
    status, body, wait = await registered(parts, "late", 0)
    assert (status, body["code"], wait) == (429, "SPKY_OVERLOADED", "5")
    assert 'no ssp has memory for view "late"' in body["message"] and "SPKY_SSP_MEMORY_BYTES_MAX" in body["hint"]
    assert (await registered(parts, "v0", 0))[0] == 200, "what is registered is renewed"
    assert await counted(parts, "refused_for_memory") == 1

    async def refused() -> bool:
        status, body = await parts.view("v0", **past)
        assert status == 200 or (status, body["code"]) == (429, "SPKY_OVERLOADED"), body
        return status == 429

    await filling.until(refused)
    assert (await parts.view("v0"))[0] == 200, "it is read as it is"
    assert not await counted(parts, "views_shed"), "to whom?"

    parts.add_ssp("roomy")
    await parts.start("roomy")
    await eventually(lambda: parts.is_ready("tight", "roomy"), 30, what="both to be ready")
    status, body, _ = await registered(parts, "late", 0)
    assert (status, body["ssp_id"]) == (200, "roomy")

    async def relieved() -> bool:
        tight = (await parts.ssps())["tight"]
        return "tight" not in (await parts.owners()).values() or tight["memory_usage"] < 0.95 * tight["memory_limit"]

    await eventually(relieved, 30, what="views to move until the memory is enough", every_s=0.05)
    assert await counted(parts, "views_shed")
    for number in range(VIEWS):
        view = await parts.consistent(f"v{number}")
        expected = {f"blob:{each}" for each in range(filling.count) if each % VIEWS == number}
        assert {row["id"] for row in view["rows"]} == expected
    assert parts.parts["tight"].alive
