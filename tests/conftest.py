"""Fixtures every ring shares: a real SurrealDB behind a URL, and databases in it that no other test touches.

`SURREAL_URL` (with `SURREAL_USER`, `SURREAL_PASS`) points the tests at a server of one's own; without it the embedded
engine is served in this process, in memory, from an event loop in a thread of its own so that one server lasts the run
while every test has its own loop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))  # `tests.harness`; last, so that it shadows nothing

from sp00ky.deploy.db.server import DatabaseServer
from sp00ky.proto.database import Database

from tests.conformance.account import Account

DB_USER = os.environ.get("SURREAL_USER", "root")
DB_PASS = os.environ.get("SURREAL_PASS", "root")

FreshDatabase = Callable[..., Awaitable[Database]]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Account(config))


PARSING = ("tidy", "conformance", "properties")  # these parse Python, or have hypothesis do it


@pytest.fixture(autouse=True, scope="module")
def _garbage_of_others_is_gone(request: pytest.FixtureRequest) -> None:
    """CPython 3.11 has one count of depth for all that parses: what is logged of an abandoned task, with a traceback,
    by a collection in the middle of `ast.parse` makes that fail ("AST constructor recursion depth mismatch")."""
    if set(request.path.parts) & set(PARSING):
        gc.collect()


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest) -> str:
    """The WebSocket address of a SurrealDB; root user `DB_USER`, `DB_PASS`."""
    given = os.environ.get("SURREAL_URL")
    return given if given else str(request.getfixturevalue("embedded_url"))


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """The WebSocket address of the embedded engine, whatever `SURREAL_URL` says."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="database server", daemon=True)
    thread.start()
    server = DatabaseServer(path=None, user=DB_USER, password=DB_PASS)
    try:
        yield asyncio.run_coroutine_threadsafe(server.start("127.0.0.1:0"), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
async def fresh_database(database_url: str) -> AsyncIterator[FreshDatabase]:
    """A factory of connected `Database`s: each call a namespace of its own, unless one is named."""
    opened: list[Database] = []

    async def fresh(namespace: str = "", database: str = "main", **options: object) -> Database:
        client = Database(
            database_url,
            user=DB_USER,
            password=DB_PASS,
            namespace=namespace or f"test_{uuid4().hex}",
            database=database,
            **options,  # type: ignore[arg-type]
        )
        opened.append(client)
        await client.connect()
        return client

    yield fresh
    for client in opened:
        await client.close()


@pytest.fixture
async def database(fresh_database: FreshDatabase) -> Database:
    """A connected `Database` with a namespace of its own."""
    return await fresh_database()
