"""`python -m tests.harness.serve_http_ssp ID SCHEDULER_URL SECRET`: a small HTTP-only SSP as a process of its own. It
registers until the scheduler takes it, beats, and begins anew when it is told to. `GET /debug/state` shows what it
holds."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from tests.harness.http_ssp import HttpSsp

BEAT_SECONDS = 0.3


async def main(ssp_id: str, scheduler_url: str, secret: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    ssp = HttpSsp(ssp_id, scheduler_url, secret)
    await ssp.start()
    print(json.dumps({"event": "listening", "http": ssp.url}), flush=True)
    ssp.keep_going(BEAT_SECONDS)
    await ended.wait()
    await ssp.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
