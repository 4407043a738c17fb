"""`python -m tests.capture --minutes N --seed S`: histories against real engines until the time is up, or one fails.

A failure prints the seed; `--seed S --histories 1` draws the same plan again (the engine's threads are its own).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.capture.engine import ConcurrentServer
from tests.capture.history import History, Outcome, Plan


def plan_of(seed: int, in_memory: bool) -> Plan:
    chance = random.Random(seed)
    return Plan(
        seed=seed,
        writers=chance.choice((1, 4, 8)),
        rounds=chance.choice((5, 30)),
        wide=chance.choice((0, 0, 0, 40, 1200)),
        has_conflicts=not in_memory,
        kills=chance.choice((0, 1, 3, 6)),
        stall_seconds=chance.choice((0.0, 0.02, 0.3)),
        drops_feed=chance.random() < 0.15,
        feed_first=chance.random() < 0.7,
        rows_before=chance.choice((10, 300, 3000)),
    )


async def play(plan: Plan, *, in_memory: bool) -> Outcome:
    """One history on an engine of its own."""
    with tempfile.TemporaryDirectory(prefix="capture") as folder:
        server = ConcurrentServer(None if in_memory else Path(folder) / "data")
        url = await server.start("127.0.0.1:0")
        try:
            return await History(url, plan).run()
        finally:
            await server.stop()


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.capture")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--histories", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    end = time.monotonic() + asked.minutes * 60
    total, histories = Outcome(), 0
    for seed in range(asked.seed, asked.seed + asked.histories):
        if time.monotonic() >= end:
            break
        try:
            in_memory = seed % 2 == 0
            outcome = await play(plan_of(seed, in_memory), in_memory=in_memory)
        except BaseException:
            print(f"seed {seed} failed: {plan_of(seed, seed % 2 == 0)}", flush=True)
            raise
        histories += 1
        for name in ("checked", "holds", "repairs", "split", "drifted"):
            setattr(total, name, getattr(total, name) + getattr(outcome, name))
        total.near_ms = max(total.near_ms, outcome.near_ms)
    print(f"{histories} histories from seed {asked.seed}: {total}", flush=True)
    return 0


if __name__ == "__main__":
    code = asyncio.run(main())
    sys.stdout.flush()
    os._exit(code)  # the engine's threads may outlive it
