"""Read-only SurrealQL on the replica, at one retained revision.

A query is parsed and evaluated in a thread, so that a long one holds neither the commit loop nor a heartbeat; what it
reads is fetched on the event loop's thread, since the store has one owner. Everything is read at one revision: an
answer is the database's state after one change, however many changes arrive while it is computed (G11).

What the evaluator does not know is refused by name, never guessed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from grpc import aio
from sp00ky.proto.channel import MESSAGE_BYTES_MAX
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.surrealql.ast import Expr, Select
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.lexer import tokenize
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.surrealql.tokens import Token, TokenKind
from sp00ky.proto.v1 import common_pb2, proxy_pb2, proxy_pb2_grpc
from sp00ky.proto.values.json import encode_json, from_json
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.order import sort_key
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import escape_ident
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import Indexed, NotPlain, Scope
from sp00ky.proto.whole.select import run_select
from sp00ky.scheduler.changes import RESERVED_PREFIX
from sp00ky.scheduler.datastore.datastore import Datastore, Row
from sp00ky.scheduler.errors import queries_overloaded
from sp00ky.scheduler.rpc.revisions import exact_seq, reached_seq

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

QUERIES_WAITING_MAX = 64
QUERY_SECONDS_MAX = 30.0
READ_SECONDS_MAX = 5.0  # of one read by the event loop; it answers at once unless it has ended
QUERY_CHARS_MAX = 64 * 1024  # as of a view; parsing takes time in proportion to it
PAGE_ROWS = 1_000
_STATES_REVISION = frozenset({common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT})
T = TypeVar("T")


class ReplicaSource:
    """The replica at one revision, as the evaluator sees it; used from a thread, reads on the loop's."""

    def __init__(self, store: Datastore, at: Seq, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._store, self._at, self._loop, self._deadline = store, at, loop, deadline

    def rows(self, table: str) -> Iterator[tuple[RecordId, dict[str, Value]]]:
        found = [(RecordId(table, unpack(row.key)), row.packed) for row in self._pages(table)]
        for record_id, packed in sorted(found, key=lambda item: sort_key(item[0])):
            yield record_id, unpack(packed)

    def get(self, record: RecordId) -> dict[str, Value] | None:
        key = pack(record.key)
        row = self._on_loop(lambda: self._store.get(record.table, key, self._at))
        return unpack(row.packed) if row is not None else None

    def tables(self) -> Sequence[str]:
        return self._on_loop(lambda: self._store.tables(self._at))

    def _pages(self, table: str) -> Iterator[Row]:
        after = b""
        while page := self._page(table, after):
            yield from page
            after = page[-1].key

    def _page(self, table: str, after: bytes) -> Sequence[Row]:
        return self._on_loop(lambda: self._store.scan(table, self._at, after, PAGE_ROWS))

    def _on_loop(self, read: Callable[[], T]) -> T:
        if time.monotonic() > self._deadline:
            raise Fault(Code.TIMEOUT, f"query ran longer than {QUERY_SECONDS_MAX:g} s", "read less of the table")

        async def run() -> T:
            return read()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(READ_SECONDS_MAX)


def first_statement(query: str) -> Select | Expr:
    """The tree of the statement that is answered. Raises Fault INVALID with the position of what is not read-only, in
    any statement; TOO_LARGE. Each character is read a fixed number of times, however many statements there are."""
    require_short(query)
    answered: Select | Expr | None = None
    start = 0
    try:
        for start, end, first in _split(query):
            parsed = _statement(query[start:end], first.keyword == "RETURN", first.start - start)
            answered = parsed if answered is None else answered
    except ParseError as error:
        line = error.line + query.count("\n", 0, start)
        column = error.column + (start - query.rfind("\n", 0, start) - 1 if error.line == 1 else 0)
        message = f"query cannot be run here: {error.message} at line {line}, column {column}"
        position = {"line": str(line), "column": str(column)}
        raise Fault(Code.INVALID, message, error.hint or "only SELECT and RETURN are served", position) from error
    if answered is None:
        raise Fault(Code.INVALID, "query is empty", "send a SELECT")
    return answered


def asks_for_tables(query: str) -> bool:
    """The one INFO that is served: an SSP that speaks HTTP only begins with it."""
    words = query[:64].upper().replace(";", " ").split()
    return len(query) < 64 and words in (["INFO", "FOR", "DB"], ["INFO", "FOR", "DATABASE"])


def _tables_at(store: Datastore, at: Seq) -> Value:
    """As SurrealDB answers INFO FOR DB, as far as the replica knows."""
    names = [name for name in store.tables(at) if not name.startswith(RESERVED_PREFIX)]
    return {"tables": {name: f"DEFINE TABLE {escape_ident(name)} TYPE ANY SCHEMALESS" for name in names}}


def require_short(query: str) -> None:
    if len(query) > QUERY_CHARS_MAX:
        raise Fault(Code.TOO_LARGE, f"query is longer than {QUERY_CHARS_MAX} characters")


def _split(query: str) -> list[tuple[int, int, Token]]:
    """Where each statement begins and ends, and its first token; nothing of what is empty."""
    spans, start, depth = [], 0, 0
    first: Token | None = None
    for token in tokenize(query):
        if token.kind is TokenKind.END or (token.text == ";" and depth == 0):
            if first is not None:
                spans.append((start, token.start, first))
            start, first = token.end, None
            continue
        first = first or token
        if token.text in {"(", "[", "{"}:
            depth += 1
        elif token.text in {")", "]", "}"}:
            depth -= 1
    return spans


def _statement(text: str, returns: bool, begin: int) -> Select | Expr:
    """`begin`: where the first word is in the text."""
    if not returns:
        return parse_select(text)
    behind = begin + len("RETURN")
    return parse_expr(text[:begin] + " " * len("RETURN") + text[behind:])


class ProxyServicer(proxy_pb2_grpc.ProxyServiceServicer):
    def __init__(self, driver: SchedulerDriver) -> None:
        self._driver = driver
        self._running = asyncio.Semaphore(1)  # evaluation holds the interpreter: two at once are no faster
        self._waiting = 0

    async def Query(
        self, request: proxy_pb2.QueryRequest, context: aio.ServicerContext[object, object]
    ) -> proxy_pb2.QueryResponse:
        require_short(request.query)
        params = _params(request)
        at = await self._revision(request.revision, request.consistency)
        if request.shared_pin and not request.revision:
            at = self._driver.coordinator.http_load_seq or at
        self._driver.require_readable(at)
        if self._waiting >= QUERIES_WAITING_MAX:
            raise queries_overloaded(self._waiting, QUERIES_WAITING_MAX)
        self._waiting += 1
        try:
            with self._driver.store.holding(at):
                if asks_for_tables(request.query):
                    packed = pack(_tables_at(self._driver.store, at))
                else:
                    packed = await self._run(request.query, params, at)
        finally:
            self._waiting -= 1
        if len(packed) > MESSAGE_BYTES_MAX - 1024:
            raise Fault(Code.TOO_LARGE, f"result has {len(packed)} bytes", "add a LIMIT")
        revision = self._driver.token(at)
        if request.json:
            return proxy_pb2.QueryResponse(result_json=encode_json(unpack(packed)).decode(), revision=revision)
        return proxy_pb2.QueryResponse(result=packed, revision=revision)

    async def _revision(self, token: str, consistency: common_pb2.Consistency) -> Seq:
        """What to read at. A store has all of its head at once, so what is as fresh as a revision is the head."""
        if consistency in _STATES_REVISION and not token:
            raise Fault(Code.INVALID, "consistency needs a revision", "pass a token that a write returned")
        if consistency == common_pb2.CONSISTENCY_FULLY_CONSISTENT:
            await self._driver.barrier()
            return self._driver.coordinator.durable_seq
        if consistency == common_pb2.CONSISTENCY_MINIMIZE_LATENCY:
            return self._driver.coordinator.durable_seq
        if consistency == common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH:
            reached_seq(self._driver.store, token)
            return self._driver.coordinator.durable_seq
        return exact_seq(self._driver.store, token) if token else self._driver.coordinator.durable_seq

    async def _run(self, query: str, params: Mapping[str, Value], at: Seq) -> bytes:
        """In a daemon thread: a query that cannot be interrupted must not keep the process from ending."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        async with self._running:
            source = ReplicaSource(self._driver.store, at, loop, time.monotonic() + QUERY_SECONDS_MAX)

            def work() -> None:
                try:
                    packed = _evaluated(first_statement(query), Scope(params, Indexed(source)))
                except Exception as error:
                    _tell(loop, answer, error)
                else:
                    _tell(loop, answer, packed)

            Thread(target=work, name="proxy query", daemon=True).start()
            return await answer


def _tell(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[bytes], outcome: bytes | Exception) -> None:
    """Settle the answer from another thread; nobody may be waiting any more."""

    def settle() -> None:
        if answer.done():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(settle)


def _evaluated(statement: Select | Expr, scope: Scope) -> bytes:
    try:
        if isinstance(statement, Select):
            return pack(run_select(statement, scope))
        return pack(evaluate(statement, NONE, scope))
    except NotPlain as unknown:
        raise Fault(
            Code.INVALID, f"query uses {unknown.name}, which is not evaluated on the replica", "send it to SurrealDB"
        ) from unknown
    except (ValueError, RecursionError) as error:
        raise Fault(Code.INVALID, f"query cannot be evaluated: {error}") from error


def _params(request: proxy_pb2.QueryRequest) -> Mapping[str, Value]:
    if not request.vars and not request.vars_json:
        return {}
    try:
        params = unpack(request.vars) if request.vars else from_json(request.vars_json)
    except ValueError as error:
        raise Fault(Code.INVALID, f"vars cannot be read: {error}") from error
    if not isinstance(params, dict):
        raise Fault(Code.INVALID, "vars are not an object")
    return params
