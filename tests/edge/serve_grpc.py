"""`python -m tests.edge.serve_grpc`: a scheduler and an SSP that follows nobody; prints their gRPC addresses as JSON.

In a process of their own, so that what is thrown at them costs nobody else's memory. Ends with its stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys

from sp00ky.proto.database import Database
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.driver import SchedulerDriver
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.driver import SspDriver

NOBODY = "127.0.0.1:1"


async def serve() -> None:
    own = {"grpc_addr": "127.0.0.1:0", "grpc_message_bytes_max": 1024 * 1024}
    scheduler = SchedulerDriver(SchedulerSettings.model_validate(own), MemoryDatastore(), None)
    database = Database(f"ws://{NOBODY}/rpc", user="", password="", namespace="n", database="d")
    ssp = SspDriver(SspSettings.model_validate({"ssp_id": "s", **own}), database, scheduler_address=NOBODY)
    print(json.dumps({"scheduler": await scheduler.start(), "ssp": await ssp.listen()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await ssp.stop()
    await scheduler.stop()


if __name__ == "__main__":
    asyncio.run(serve())
