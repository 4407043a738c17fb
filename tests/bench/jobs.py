"""`python -m tests.bench.jobs [--jobs N] [--concurrency N]`: jobs a second through HTTP on loopback, and claim latency.

One SSP's runner, the embedded SurrealDB in a process of its own, a backend that answers at once in this process. First
a backlog (jobs a second), then jobs one by one into an idle table, woken as by the stream (p50 and p99 of claim).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.jobs.jobs import Jobs
from sp00ky.ssp.jobs.outbox import Outbox

from tests.harness.eventually import eventually
from tests.harness.job_backend import job_backend
from tests.harness.processes import spawn

SINGLES = 200


async def measure(url: str, jobs: int, concurrency: int) -> None:
    own, mine = (Database(url, user="root", password="root", namespace="bench", database="bench") for _ in range(2))
    await own.connect()
    await mine.connect()
    await install(own)
    await own.query("DEFINE TABLE job SCHEMALESS")
    async with job_backend() as served:
        backend = Backend(name="bench", table="job", base_url=served.url, concurrency=concurrency)
        assert await Outbox(own, backend, "bench").prepare()
        await own.insert("job", [{"id": n, "path": "/x", "payload": {"n": n}} for n in range(jobs)])
        running = Jobs(mine, [backend], "bench")
        begun = time.perf_counter()
        running.start()
        key = 'jobs_succeeded_total{table="job"}'
        await eventually(lambda: running.metrics()[key] == jobs, 600.0, what="every job")
        seconds = time.perf_counter() - begun
        print(f"{jobs} jobs, {concurrency} at a time: {jobs / seconds:,.0f} jobs/s, {len(served.calls)} calls")
        waits = []
        for n in range(SINGLES):
            started = time.perf_counter()
            before = len(served.calls)
            await own.query("CREATE $id SET path = '/x'", {"id": RecordId("job", f"s{n}")})
            created = time.perf_counter()
            running.runners["job"].wake()
            await eventually(lambda before=before: len(served.calls) > before, 10.0, what="the call", every_s=0.0005)
            waits.append((time.perf_counter() - created) * 1000)
            await asyncio.sleep(max(0.0, 0.02 - (time.perf_counter() - started)))
        waits.sort()
        print(f"woken until called: p50 {waits[len(waits) // 2]:.1f} ms, p99 {waits[int(len(waits) * 0.99)]:.1f} ms")
        await running.stop()
    await own.close()
    await mine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--concurrency", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        child = spawn(["serve", "db", "--listen", "127.0.0.1:0"], {"SPKY_DATA_DIR": folder})
        try:
            url = str(child.wait_json_line(lambda line: line.get("event") == "listening")["ws"])
            asyncio.run(measure(url, arguments.jobs, arguments.concurrency))
        finally:
            child.stop(10.0)
            child.close()


if __name__ == "__main__":
    main()
