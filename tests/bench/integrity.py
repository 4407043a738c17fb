"""What integrity costs: `python -m tests.bench.integrity [--rows N] [--seconds S]`. Prints one JSON line a figure.

* verify: a table of N rows in SurrealDB and in the replica, with 0, 1, 10 and 100 cells of it tampered with: bytes read
  from SurrealDB, nodes compared, seconds; every tampered cell must be found.
* trees: 10,000 changes a second to a scheduler's store of N and of 10 N rows: what the folds take of a core, how many
  records and leaves a second that are, and how far the trees are behind.
* text: a record's digest, by the fast text and by the plain one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
from typing import Any

from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database
from sp00ky.proto.merkle import digest_of_text, packed_digest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import raw_text
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.datastore.datastore import RowWrite
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.integrity.audit import Audit
from sp00ky.scheduler.integrity.trees import TableTrees

from tests.harness.eventually import eventually
from tests.harness.replica_sink import ReplicaSink
from tests.harness.stores import Writer

CHANGES_A_SECOND = 10_000
BATCH = 100


def say(what: str, **figures: Any) -> None:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"bench": what, **rounded}), flush=True)


def record(key: int, n: int) -> dict[str, Any]:
    return {
        "id": RecordId("a", key),
        "n": n,
        "text": "some text of a post",
        "author": RecordId("user", key % 100),
        "on": True,
    }


async def verify(rows: int) -> None:
    server = DatabaseServer(path=None, user="root", password="root")
    url = await server.start("127.0.0.1:0")
    database = Database(url, user="root", password="root", namespace="bench", database="main")
    await database.connect()
    await database.query("DEFINE DATABASE OVERWRITE main CHANGEFEED 1h INCLUDE ORIGINAL")
    for begin in range(0, rows, 500):
        await database.query(
            "FOR $row IN $rows { CREATE $row.id CONTENT $row RETURN NONE }",
            {"rows": [record(key, key) for key in range(begin, min(rows, begin + 500))]},
        )
    sink, draw = ReplicaSink(), random.Random(1)
    capture = Capture(database, sink)
    running = asyncio.create_task(capture.run())
    await eventually(lambda: capture.state == "ready", 120)
    audit = Audit(database, capture, sink.store, TableTrees(sink.store), 0)
    for count in (0, 1, 10, 100):
        keys = draw.sample(range(rows), count)
        await database.query(
            "OPTION IMPORT; FOR $n IN $keys { UPDATE type::record('a', $n) SET n = -1 }", {"keys": keys}
        )
        began = time.monotonic()
        (found,) = await audit.check(["a"], repair=True)
        steps = max(count, 1) * math.log2(rows)
        say(
            "verify", rows=rows, tampered=count, found=found.differing, repaired=found.repaired, nodes=found.nodes,
            bytes=found.read_bytes, bytes_per_difference_and_log2_n=found.read_bytes / steps,
            seconds=time.monotonic() - began,
        )  # fmt: skip
        assert {each.record.key for each in found.named} == set(keys), "a tampered cell was not found"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await database.close()
    await server.stop()


async def trees(rows: int, seconds: float) -> None:
    store, draw = MemoryDatastore(), random.Random(2)
    writer = Writer(store)
    for begin in range(0, rows, 1000):
        writer.write(*(("a", pack(key), pack(record(key, 0))) for key in range(begin, min(rows, begin + 1000))))
    await store.sync()
    kept = TableTrees(store)
    began = time.monotonic()
    kept.trees["a"] = await kept.built("a", 1.0)
    say("build", rows=rows, seconds=time.monotonic() - began, nodes=kept.trees["a"].tree.nodes)
    running = asyncio.create_task(kept.run())
    marking = made = 0.0
    began = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        if made > (now - began) * CHANGES_A_SECOND:
            await asyncio.sleep(0.001)
            continue
        writes = [("a", pack(key), pack(record(key, int(made)))) for key in draw.choices(range(rows), k=BATCH)]
        seq = writer.write(*writes)
        await store.sync()
        marks = [RowWrite(table, key, packed, seq, (0, 0)) for table, key, packed in writes]
        begun = time.perf_counter()
        kept.mark(marks)
        marking += time.perf_counter() - begun
        made += BATCH
        await asyncio.sleep(0)
    spent, counters = time.monotonic() - began, kept.counters
    say(
        "trees", rows=rows, changes_per_second=made / spent, folded_records_per_second=counters.records / spent,
        dirty_leaves_per_second=counters.leaves / spent, core_percent=100 * counters.seconds / spent,
        microseconds_per_folded_record=1e6 * counters.seconds / max(1, counters.records),
        marking_core_percent=100 * marking / spent, folds=counters.folds, records_waiting=kept.marks,
    )  # fmt: skip
    began = time.monotonic()
    await kept.settled()
    say("settled", rows=rows, seconds=time.monotonic() - began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def text() -> None:
    packed = pack(record(7, 7))
    for name, digest in (("fast", packed_digest), ("plain", lambda each: digest_of_text(raw_text(unpack(each))))):
        began = time.perf_counter()
        for _ in range(20_000):
            digest(packed)
        say("text", writer=name, bytes=len(packed), microseconds=(time.perf_counter() - began) / 20_000 * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    text()
    asyncio.run(verify(asked.rows))
    for rows in (asked.rows, 10 * asked.rows):
        asyncio.run(trees(rows, asked.seconds))


if __name__ == "__main__":
    main()
