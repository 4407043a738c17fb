"""The embedded SurrealDB engine behind one async call, in the two forms that hold.

* `MemoryEngine`: `mem://` on the asynchronous engine, which runs on its own threads with the GIL free.
* `DurableEngine`: `surrealkv://…?sync=every` on the *synchronous* engine, every call on one worker thread. The
  asynchronous one hangs for good after about 2 GB of writes on surrealkv (its flushes run on a runtime that its
  constructor throws away), so that it is never used there. The synchronous one holds the GIL during a call and runs
  one call at a time: calls are carried out in the order in which they were made, which is also fair to connections that
  each wait for their answer. An answer means that the commit was synced to disk.

Invariant: `execute` is given requests that name a session. A request without one runs as root owner, so only
`call_as_owner` leaves it out, and no bytes of a client ever get there.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import Value
from surrealdb_embedded import AsyncEmbeddedDB, SyncEmbeddedDB

CLOSE_GRACE_S = 0.05  # without it the process may abort: the engine's threads outlive close() a little
T = TypeVar("T")


class EngineRefused(ValueError):
    """The engine could not read the request, or could not write its answer in CBOR (a regex)."""


class Engine(Protocol):
    async def open(self) -> None: ...

    async def execute(self, request: bytes) -> bytes:
        """The answer to one CBOR request; raises EngineRefused."""
        ...

    async def close(self) -> None: ...


class MemoryEngine:
    """Every handle is a datastore of its own; nothing survives `close`."""

    def __init__(self) -> None:
        self._handle: Any = None

    async def open(self) -> None:
        self._handle = AsyncEmbeddedDB("mem://")
        await self._handle.connect()

    async def execute(self, request: bytes) -> bytes:
        with _refusals():
            answer: bytes = await self._handle.execute(request)
        return answer

    async def close(self) -> None:
        if self._handle is not None:
            await self._handle.close()
            await asyncio.sleep(CLOSE_GRACE_S)
            self._handle = None


class DurableEngine:
    """A directory, locked while open; one fsync per commit."""

    def __init__(self, path: Path) -> None:
        if "?" in str(path):
            raise Fault(
                Code.INVALID, f'database directory "{path}" has a question mark', "the engine cuts a path there"
            )
        self._path = path
        self._handle: Any = None
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Fault(Code.INVALID, f'database directory "{self._path}" cannot be made: {error}') from error
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="surrealkv")
        try:
            self._handle = await self._on_thread(self._open_handle)
        except Exception as error:
            self._thread.shutdown()
            raise self._open_fault(error) from error

    async def execute(self, request: bytes) -> bytes:
        with _refusals():
            return await self._on_thread(functools.partial(self._handle.execute, request))

    async def close(self) -> None:
        if self._thread is not None and self._handle is not None:
            await self._on_thread(self._handle.close)
            self._handle = None
            self._thread.shutdown()
            await asyncio.sleep(CLOSE_GRACE_S)

    def _open_handle(self) -> Any:
        handle = SyncEmbeddedDB(f"surrealkv://{self._path.resolve()}?sync=every")
        handle.connect()
        return handle

    def _open_fault(self, error: Exception) -> Fault:
        if "already locked" in str(error):
            hint = "stop the other `spky serve db`, or give this one a directory of its own"
            return Fault(Code.UNAVAILABLE, f'database directory "{self._path}" is in use by another process', hint)
        return Fault(Code.UNAVAILABLE, f'database directory "{self._path}" cannot be opened: {error}')

    async def _on_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


@contextmanager
def _refusals() -> Iterator[None]:
    """A request that the engine cannot read, or panics over, fails alone. A panic is no `Exception` in Python."""
    try:
        yield
    except ValueError as error:
        raise EngineRefused(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise EngineRefused(f"the engine panicked: {error}") from error


async def call_as_owner(engine: Engine, method: str, params: list[Value]) -> Value:
    """The result of a request of the server's own, as root owner; raises Fault INTERNAL with the engine's words."""
    response = decode(await engine.execute(encode({"id": 0, "method": method, "params": params})))
    return result_of(response)


def result_of(response: Value) -> Value:
    """`result` of a decoded answer, statements checked; raises Fault INTERNAL with the engine's words."""
    error = response.get("error")
    if error:
        raise Fault(Code.INTERNAL, f"database engine: {error.get('message')}")
    result = response.get("result")
    for statement in result if isinstance(result, list) else ():
        if isinstance(statement, dict) and statement.get("status") == "ERR":
            raise Fault(Code.INTERNAL, f"database engine: {statement.get('result')}")
    return result
