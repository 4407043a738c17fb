"""`spky demo`: start a mesh, load the flights through SurrealDB, hold views, replay changes, verify every view."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from sp00ky.deploy.demo.board import Board
from sp00ky.deploy.demo.changes import Happening, draw
from sp00ky.deploy.demo.dataset import SCHEMA, Record, batches, make_records
from sp00ky.deploy.demo.following import Following
from sp00ky.deploy.demo.queries import QUERIES
from sp00ky.deploy.demo.verify import Source, differences
from sp00ky.deploy.environment import MODELS
from sp00ky.deploy.remote import fault_of_response
from sp00ky.gateway.client import Mesh as Client
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.misspelt import PREFIXES
from sp00ky.proto.settings import environment_names
from surrealdb import AsyncSurreal

NAMESPACE = DATABASE = "sp00ky"
USER = PASSWORD = "root"
SSPS = 2
ROWS_PER_INSERT = 500
WRITERS = 6
BOARD_SECONDS = 0.2
START_SECONDS = 60.0
STOP_SECONDS = 12.0
EXIT_TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Mesh:
    """A running `serve all` and where it answers."""

    process: asyncio.subprocess.Process
    facts: dict[str, Any]
    log_file: Path

    @property
    def gateway(self) -> str:
        return str(self.facts["gateway"])

    @property
    def source(self) -> Source:
        http = str(self.facts["db"]).replace("ws://", "http://", 1).removesuffix("/rpc")
        return Source(http, USER, PASSWORD, NAMESPACE, DATABASE)


def run_demo(*, keep: bool, changes: int, seed: int) -> int:
    """The exit code: 0 if every view equals a fresh query."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        return asyncio.run(_demo(console, keep, changes, seed))
    except asyncio.CancelledError:
        return EXIT_TERMINATED


async def _demo(console: Console, keep: bool, changes: int, seed: int) -> int:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    directory = Path(tempfile.mkdtemp(prefix="spky-demo-"))
    began = time.monotonic()
    mesh = await start_mesh(directory, keep)
    console.print(
        f"the mesh runs: {SSPS} SSPs, a scheduler, a gateway and SurrealDB ({time.monotonic() - began:.1f} s)"
    )
    wrong = True
    try:
        timeout = aiohttp.ClientTimeout(total=60.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            wrong = await _main_job(console, mesh, session, changes, seed)
    finally:
        if keep:
            console.print(f"the mesh is left running: gateway {mesh.gateway}, database {mesh.facts['db']}")
            console.print(f"stop it with: kill {mesh.process.pid}; its files are in {directory}")
        else:
            wrong = await stop_mesh(console, mesh) or wrong
            remove_tree(directory)
    console.print(f"{'failed' if wrong else 'done'} in {time.monotonic() - began:.1f} s")
    return 1 if wrong else 0


async def _main_job(console: Console, mesh: Mesh, session: aiohttp.ClientSession, changes: int, seed: int) -> bool:
    records = make_records()
    database = AsyncSurreal(str(mesh.facts["db"]))
    await database.connect()
    try:
        await database.signin({"username": USER, "password": PASSWORD})
        await database.use(NAMESPACE, DATABASE)
        started = time.monotonic()
        await load(database, records)
        total = sum(map(len, records.values()))
        console.print(f"{total:,} records are in SurrealDB ({time.monotonic() - started:.1f} s)")
        async with Client(mesh.gateway) as client:
            await register(client)
            console.print(f"{len(QUERIES)} views are registered and watched; replaying {changes:,} changes")
            async with Following(client, [query.id for query in QUERIES]) as following:
                await replay(console, mesh, session, database, list(draw(records, changes, seed)))
                return await verify(console, mesh, session, following)
    finally:
        await database.close()


async def start_mesh(directory: Path, keep: bool) -> Mesh:
    """Real processes, on free ports, in a directory of their own, whatever this shell's settings. Unless it is to be
    kept, the mesh ends when this process does, however that ends. Raises Fault."""
    known = environment_names(MODELS.values())
    env = {name: value for name, value in os.environ.items() if name not in known and not name.startswith(PREFIXES)}
    arguments = [
        "serve",
        "all",
        "--ssps",
        str(SSPS),
        "--ports",
        "auto",
        "--json",
        "--data-dir",
        str(directory / "data"),
    ]
    arguments += [] if keep else ["--supervised"]
    log_file = directory / "mesh.log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "sp00ky.deploy.cli", *arguments),
            stdin=asyncio.subprocess.DEVNULL if keep else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=directory,
            env=env,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    except TimeoutError:
        line = b""
    except BaseException:
        process.terminate()
        raise
    if not line:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        tail = log_file.read_text(errors="replace").strip().splitlines()[-1:]
        raise Fault(Code.UNAVAILABLE, f"the mesh did not start: {' '.join(tail)[:400]}", f"see {log_file}")
    return Mesh(process, json.loads(line), log_file)


async def stop_mesh(console: Console, mesh: Mesh) -> bool:
    """Drain; True if it did not end well."""
    if mesh.process.returncode is None:
        mesh.process.send_signal(signal.SIGTERM)
    try:
        code = await asyncio.wait_for(mesh.process.wait(), STOP_SECONDS)
    except TimeoutError:
        mesh.process.kill()
        console.print("the mesh did not drain in time")
        return True
    if code != 0:
        console.print(f"the mesh ended with {code}")
    return code != 0


def remove_tree(directory: Path) -> None:
    import shutil

    shutil.rmtree(directory, ignore_errors=True)


async def load(database: Any, records: dict[str, list[Record]]) -> None:
    """As an application would: in batches, through the official SDK."""
    await database.query(SCHEMA)
    for table, rows in records.items():
        for batch in batches(rows, ROWS_PER_INSERT):
            await database.query(f"INSERT INTO {table} $rows RETURN NONE", {"rows": list(batch)})


async def register(client: Client) -> None:
    for query in QUERIES:
        await client.register(query.id, query.surql, query.params, client_id="demo", ttl="1h")


async def replay(
    console: Console,
    mesh: Mesh,
    session: aiohttp.ClientSession,
    database: Any,
    happenings: Sequence[Happening],
) -> None:
    """Several writers share the history; the board follows until all of it is written."""
    left: Iterator[Happening] = iter(happenings)
    done = 0

    async def write() -> None:
        nonlocal done
        for happening in left:
            await database.query(happening.surql, happening.variables)
            done += 1

    writers = asyncio.gather(*(write() for _ in range(WRITERS)))
    with Board(console, [query.id for query in QUERIES], len(happenings)) as board:
        try:
            while not writers.done():
                await asyncio.wait({writers}, timeout=BOARD_SECONDS)
                board.show(await get(session, mesh.gateway, "/views"), await head_seq(session, mesh.gateway), done)
            await writers
        finally:
            writers.cancel()


async def get(session: aiohttp.ClientSession, gateway: str, path: str) -> Any:
    async with session.get(gateway + path) as response:
        text = await response.read()
        if response.status != 200:
            raise fault_of_response(gateway + path, response.status, text)
        return json.loads(text)


async def head_seq(session: aiohttp.ClientSession, gateway: str) -> int:
    return int((await get(session, gateway, "/health/snapshot"))["latest_seq"])


async def verify(console: Console, mesh: Mesh, session: aiohttp.ClientSession, following: Following) -> bool:
    """Compare every view, and what its watcher has, with a fresh query; True if one is wrong."""
    wrong = 0
    summary = {view["id"]: view for view in await get(session, mesh.gateway, "/views")}
    for query in QUERIES:
        started = time.monotonic()
        try:
            rows, lines = await differences(session, mesh.gateway, mesh.source, query, following)
        except Fault as fault:
            rows, lines = 0, [str(fault)]
        took = (time.monotonic() - started) * 1000
        mode = summary.get(query.id, {}).get("mode")
        verdict = "[red]differs[/red]" if lines else "[green]equal[/green]"
        console.print(f"  {query.id:<12} {verdict}  {rows:>5} rows  {mode or '?':<12} {took:>6.0f} ms  {query.about}")
        for line in lines:
            console.print(f"    {line}", markup=False)
        wrong += bool(lines)
    console.print(f"their watchers were told of {following.deltas:,} changes")
    console.print(f"{len(QUERIES) - wrong} of {len(QUERIES)} views equal the same query run fresh on SurrealDB")
    return wrong > 0
