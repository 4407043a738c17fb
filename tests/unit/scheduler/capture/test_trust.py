"""A clock that went back over changes that nobody had taken: new ones lie below them, and are not lost."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping

import pytest
from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database, StatementResult
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value
from sp00ky.scheduler.capture.progress import PROGRESS_META, Progress, progress_of

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.unit.scheduler.capture.test_capture import assert_equal, capturing

SHOW = re.compile(r"SHOW CHANGES FOR DATABASE SINCE (\d+) LIMIT (\d+)")
AHEAD = 10_000 << 16


class SteppedDatabase(Database):
    """`ahead`: stamps of the feed that are shown ten seconds later than they are, as if the clock had gone back since.
    `links`: how often the capture has begun a connection."""

    ahead: frozenset[int] = frozenset()
    links = 0

    async def rpc(self, method: str, params: list[Value]) -> Value:
        self.links += method == "let"
        return await super().rpc(method, params)

    async def query_raw(self, surql: str, vars: Mapping[str, Value] | None = None) -> list[StatementResult]:
        asked = SHOW.search(surql)
        if asked is None:
            return await super().query_raw(surql, vars)
        since, limit = int(asked[1]), int(asked[2])
        results = await super().query_raw(surql.replace(asked[0], "SHOW CHANGES FOR DATABASE SINCE 0 LIMIT 1000"), vars)
        place = 1 if surql.startswith("BEGIN") else 0
        rows = [dict(row, versionstamp=self._shown(row["versionstamp"])) for row in results[place].result]
        shown = sorted((row for row in rows if row["versionstamp"] >= since), key=lambda row: row["versionstamp"])
        results[place] = StatementResult(True, shown[:limit])
        return results

    def _shown(self, stamp: int) -> int:
        return stamp + AHEAD if stamp in self.ahead else stamp

    async def cut(self) -> None:
        await self._drop()


@pytest.fixture
async def stepped() -> AsyncIterator[SteppedDatabase]:
    server = DatabaseServer(path=None, user="root", password="root")
    url = await server.start("127.0.0.1:0")
    database = SteppedDatabase(url, user="root", password="root", namespace="test", database="main")
    yield database
    await database.close()
    await server.stop()


async def test_a_clock_that_went_back_over_what_no_store_has_taken_is_noticed(stepped: SteppedDatabase) -> None:
    """Read, and refused by the store: neither the progress nor the cursor has these stamps."""
    await stepped.query("CREATE a:0; CREATE b:0")
    sink = ReplicaSink()
    async with capturing(stepped, sink) as capture:
        sink.refuse["a"] = Fault(Code.DISK_FULL, "no space left")
        known = await _stamps(stepped)
        await stepped.query("CREATE a:1 SET n = 1; UPDATE a:1 SET n = 2")
        await eventually(lambda: "no space" in capture.lost)
        stepped.ahead = await _stamps(stepped) - known
        links = stepped.links
        await stepped.cut()
        await stepped.query("CREATE b:1; UPDATE a:1 SET n = 3")  # stamps below those of a:1
        await eventually(lambda: stepped.links > links + 1)
        del sink.refuse["a"]
        await eventually(lambda: not capture.lost and capture.state == "ready" and sink.store.count("a") == 2, 10)
        await capture.barrier()
        await assert_equal(stepped, sink)
        await eventually(lambda: _progress(sink).cloned, 10)  # what was on its way then has been compared, too
        epoch = _progress(sink).source_epoch
        assert epoch > 1
        links = stepped.links
        await stepped.cut()
        await stepped.query("CREATE b:2")
        await eventually(lambda: stepped.links > links and not capture.lost and sink.store.count("b") == 3)
        await capture.barrier()
        await assert_equal(stepped, sink)
        assert _progress(sink).source_epoch == epoch  # what is ahead of the clock is known now


async def _stamps(database: Database) -> frozenset[int]:
    rows = (await database.query("SHOW CHANGES FOR DATABASE SINCE 0 LIMIT 1000"))[0]
    return frozenset(row["versionstamp"] for row in rows)


def _progress(sink: ReplicaSink) -> Progress:
    progress = progress_of(sink.store.meta(PROGRESS_META))
    assert progress is not None
    return progress
