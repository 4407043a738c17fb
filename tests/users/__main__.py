"""`python -m tests.users --minutes N --seed S`: histories of two users until the time is up, or one fails.

Prints one JSON line a history; a failure names its seed and mode, and `--seed S --histories 1` draws it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database

from tests.users.play import play


async def history(seed: int, steps: int) -> dict[str, int]:
    """On an engine of its own; seeds take turns with the modes."""
    server = DatabaseServer(path=None, user="root", password="root")
    url = await server.start("127.0.0.1:0")
    connections = [Database(url, user="root", password="root", namespace="t", database="t") for _ in range(2)]
    try:
        for connection in connections:
            await connection.connect()
        return await play(*connections, url, seed=seed, steps=steps, dedicated=seed % 2 == 0)
    finally:
        for connection in connections:
            await connection.close()
        await server.stop()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.users")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--histories", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=400)
    asked = parser.parse_args()
    end = time.monotonic() + asked.minutes * 60
    for seed in range(asked.seed, asked.seed + asked.histories):
        if time.monotonic() >= end:
            break
        try:
            print(json.dumps(await history(seed, asked.steps)), flush=True)
        except BaseException:
            print(f"seed {seed} failed; again: python -m tests.users --seed {seed} --histories 1 --steps {asked.steps}")
            raise


if __name__ == "__main__":
    asyncio.run(main())
