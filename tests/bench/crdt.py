"""How many updates of one collaborative field are merged and durable a second, and what a cached document costs.

`python -m tests.bench.crdt [--editors 128] [--updates 8000] [--at front]`: SurrealDB embedded on disk, in a process of
its own, one SSP's collaboration in this one; editors who each wait for their answer before they go on, and never hear
of each other. At the `front` all insert at one place, which is the most that a merge can cost; at the `end` each goes
on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time

import psutil
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.crdt.declared import Kind
from sp00ky.ssp.crdt.document import Document
from sp00ky.ssp.crdt.service import Address, Collaboration

from tests.harness.editors import FIELD, Editor
from tests.harness.processes import spawn

SCHEMA = "DEFINE FIELD content ON thread TYPE string DEFAULT '' COMMENT '@crdt text'; CREATE thread:1"
THREAD = Address("thread", "thread:1", FIELD)
DOCUMENTS = 2_000


async def applied(ssp: Collaboration, editors: list[Editor], each: int, at: int | None) -> dict[str, float]:
    """Updates made before the clock starts, sent by every editor one after the other."""
    for editor in editors:
        for _ in range(each):
            editor.type("a", at)
    waits: list[float] = []

    async def send(editor: Editor) -> None:
        for update in editor.told:
            begun = time.perf_counter()
            await ssp.apply(THREAD, update, editor.peer, "")
            waits.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(send(editor) for editor in editors))
    seconds = time.perf_counter() - begun
    waits.sort()
    figures = ssp.metrics()
    return {
        "updates": len(waits),
        "updates_per_s": round(len(waits) / seconds),
        "transactions": figures["crdt_writes_total"],
        "p50_ms": round(waits[len(waits) // 2] * 1000, 1),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 1),
    }


def memory(chars: int) -> dict[str, float]:
    """Bytes of a document of so many characters, typed one by one, as it is cached."""
    editor = Editor(1)
    for _ in range(chars):
        editor.type("a")
    state = editor.snapshot()
    gc.collect()
    before = psutil.Process().memory_info().rss
    held = [Document(FIELD, Kind.TEXT, 1_000_000, state) for _ in range(DOCUMENTS)]
    for document in held:
        document.value()
    after = psutil.Process().memory_info().rss
    return {"chars": chars, "state_bytes": len(state), "bytes_per_document": round((after - before) / len(held))}


async def measured(editors: int, updates: int, at: int | None) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        child = spawn(["serve", "db", "--path", folder, "--listen", "127.0.0.1:0"])
        try:
            url = str(child.wait_json_line(lambda line: line.get("event") == "listening")["ws"])
            database = Database(url, user="root", password="root", namespace="bench", database="main")
            await database.connect()
            await install(database)
            await database.query(SCHEMA)
            ssp = Collaboration(SspSettings(), database, lambda: True)
            people = [Editor(peer) for peer in range(1, editors + 1)]
            figures = await applied(ssp, people, updates // editors, at)
            [[text]] = await database.query("SELECT VALUE content FROM thread:1")
            assert len(text) == figures["updates"], "nothing is lost"
            await ssp.stop()
            await database.close()
        finally:
            child.close()
    return {"one_field": figures, "memory": [memory(chars) for chars in (10, 1_000, 10_000)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--editors", type=int, default=128)
    parser.add_argument("--updates", type=int, default=8_000)
    parser.add_argument("--at", choices=("front", "end"), default="front")
    asked = parser.parse_args()
    at = 0 if asked.at == "front" else None
    print(json.dumps(asyncio.run(measured(asked.editors, asked.updates, at)), indent=1))


if __name__ == "__main__":
    main()
