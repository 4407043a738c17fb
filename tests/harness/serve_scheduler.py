"""`python -m tests.harness.serve_scheduler DIRECTORY`: a scheduler on RocksDB, to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.harness.scheduler import Scheduler, open_store


async def serve(directory: Path) -> None:
    """Prints its address, then serves until it is killed or fails."""
    async with Scheduler(open_store("rocksdb", directory)) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.driver.failed.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
