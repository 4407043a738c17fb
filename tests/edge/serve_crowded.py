"""`python -m tests.edge.serve_crowded`: a gateway whose process may open few files, and opens all when told.

Prints its URL. `exhaust` on stdin opens files until there are none left, `release` closes them; each is answered `ok`.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from typing import IO

from tests.edge.served import before_fake_mesh

DESCRIPTORS = 64


async def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    opened: list[IO[str]] = []
    async with before_fake_mesh("scheduler") as url:
        print(url, flush=True)
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "release":
                while opened:
                    opened.pop().close()
            else:
                try:
                    while True:
                        opened.append(open("/dev/null"))  # noqa: ASYNC230, SIM115
                except OSError:
                    pass
            print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
