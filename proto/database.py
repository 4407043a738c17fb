"""The one way any process of ours speaks to SurrealDB: its RPC protocol over one WebSocket, in CBOR.

Requests are pipelined and matched by id. The invariant: a call ends exactly once, with its own answer, a `QueryError`
of the database, or a `Fault` (UNAVAILABLE when the socket went, TIMEOUT when the answer did not come). A call that was
in flight when the socket went is never sent again, since it may have been carried out; the next call opens a new
socket, once. Nothing is retried but what the caller asked for: a "Transaction conflict … can be retried", and that only
where repeating is safe, which is one statement or one transaction.

An embedded engine is reached the same way, through `sp00ky.deploy.db`, so that a real server is the same client code.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.measures import Distribution
from sp00ky.proto.values.cbor import CborError, decode, encode
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.text import escape_ident

FRAME_BYTES_MAX = 256 * 1024 * 1024
ROWS_PER_INSERT = 500  # one INSERT's cost on an engine in memory grows with the square of its rows
DECODED_AT_ONCE_BYTES_MAX = 1024 * 1024  # more is decoded beside the event loop, which goes on with other work
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
BACKOFF_FIRST_S = 0.002
BACKOFF_MAX_S = 0.25
_SCHEMES = {"": "ws", "ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_FOLLOWED = ("The query was not executed due to a", "Cannot COMMIT", "The query was not executed because")
_CODE_OF_KIND = {"NotAllowed": Code.FORBIDDEN, "NotFound": Code.NOT_FOUND, "AlreadyExists": Code.CONFLICT}


class QueryError(Fault):
    """A statement failed. `message`: the database's own, of the statement that caused it; `kind`: the database's word
    ('Thrown', 'AlreadyExists', …); `index`: which statement, -1 when the whole request was refused."""

    def __init__(self, message: str, kind: str, index: int) -> None:
        super().__init__(_CODE_OF_KIND.get(kind, Code.INVALID), message)
        self.kind = kind
        self.index = index

    @property
    def retryable(self) -> bool:
        """A write conflict, which SurrealDB says may be tried again."""
        return _is_conflict(self.message)


@dataclass(frozen=True, slots=True)
class StatementResult:
    """One statement's outcome; `error` and `kind` are empty when `ok`."""

    ok: bool
    result: Value
    error: str = ""
    kind: str = ""


def normalise_url(text: str) -> str:
    """`localhost:8000`, `http://h:1` → `ws://…/rpc`; raises Fault INVALID for what is no such address."""
    trimmed = text.strip()
    parts = urlsplit(trimmed if "://" in trimmed else f"//{trimmed}")
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not parts.hostname or parts.query or parts.fragment:
        hint = "write ws://host:port/rpc; an embedded database is served by `spky serve db`"
        raise Fault(Code.INVALID, f'database address "{text}" is not a WebSocket address', hint)
    path = parts.path.rstrip("/")
    return f"{scheme}://{parts.netloc}{path if path.endswith('/rpc') else path + '/rpc'}"


def cause_of(results: list[StatementResult]) -> QueryError | None:
    """The failure of a batch that explains the others: in a transaction the statements around it fail by its fault."""
    failures = [(index, result) for index, result in enumerate(results) if not result.ok]
    if not failures:
        return None
    causes = [(index, result) for index, result in failures if not result.error.startswith(_FOLLOWED)]
    index, result = (causes or failures)[0]
    return QueryError(result.error, result.kind, index)


def _is_conflict(message: str) -> bool:
    return "can be retried" in message


def _has_expired(error: QueryError) -> bool:
    """Whether the request was refused as a whole because its session is too old."""
    return error.index == -1 and "session has expired" in error.message


def _may_repeat(surql: str, results: list[StatementResult]) -> bool:
    """Nothing of this request can have been committed, so that all of it may be sent again."""
    return len(results) == 1 or surql.lstrip()[:5].upper() == "BEGIN"


def _statement_result(raw: Mapping[str, Value]) -> StatementResult:
    if raw.get("status") == "OK":
        return StatementResult(True, raw.get("result"))
    return StatementResult(False, None, str(raw.get("result", "")), str(raw.get("kind") or ""))


def _rpc_error(error: object) -> QueryError:
    if not isinstance(error, Mapping):
        return QueryError(str(error), "", -1)
    return QueryError(str(error.get("message", "")), str(error.get("kind") or ""), -1)


class Database:
    """A connection to one database, signed in as a root user; safe for many tasks of one event loop. To use a database
    makes it, and its namespace; with an empty `namespace` it is one to the server, which uses and makes none.

    `on_notification` gets every live-query notification ({id, action, record, result}); it must not block.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: str,
        namespace: str,
        database: str,
        request_timeout_s: float = 30.0,
        on_notification: Callable[[Mapping[str, Value]], None] | None = None,
    ) -> None:
        self.url = normalise_url(url)
        self.namespace = namespace
        self.database = database
        self._user = user
        self._password = password
        self._timeout_s = request_timeout_s
        self.on_notification = on_notification
        self._ids = count(1)
        self._pending: dict[int, asyncio.Future[Mapping[str, Value]]] = {}
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._signed_in = 0  # how often so far
        self._heard_at = 0.0  # of the event loop's clock: when the last answer came
        self.conflicts = 0  # how often a conflict was tried again
        self.request_seconds: dict[tuple[str, str], Distribution] = {}  # by method, and outcome: ok, error, lost

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._socket.closed

    async def connect(self) -> None:
        """Open, sign in and use; no effect when connected. Raises Fault UNAVAILABLE, UNAUTHENTICATED or TIMEOUT."""
        async with self._opening:
            if self.connected:
                return
            if self._closed:
                raise Fault(Code.UNAVAILABLE, f"connection to database {self.url} was closed")
            await self._drop()
            socket = await self._open()
            try:
                await self._sign_in(socket)
            except BaseException:
                await self._drop()
                raise

    async def query(
        self, surql: str, vars: Mapping[str, Value] | None = None, *, conflict_retries: int = 0
    ) -> list[Value]:
        """One result per statement, NONE for BEGIN and COMMIT. Raises QueryError with the real cause, or Fault.

        `conflict_retries`: how often a write conflict is tried again; ignored for several statements outside one
        transaction, of which some may have been committed."""
        for attempt in range(conflict_retries + 1):
            results = await self.query_raw(surql, vars)
            failure = cause_of(results)
            if failure is None:
                return [result.result for result in results]
            conflict = any(not result.ok and _is_conflict(result.error) for result in results)
            if not conflict or attempt == conflict_retries or not _may_repeat(surql, results):
                raise failure
            self.conflicts += 1
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2**attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def query_raw(self, surql: str, vars: Mapping[str, Value] | None = None) -> list[StatementResult]:
        """Every statement's outcome. Raises QueryError (index -1) when the request as a whole is refused, or Fault."""
        answer = await self.rpc("query", [surql, dict(vars or {})])
        return [_statement_result(raw) for raw in answer]

    async def insert(self, table: str, rows: Sequence[Mapping[str, Value]], *, relation: bool = False) -> None:
        """Insert any number of rows (edges with `in` and `out` when `relation`), in statements of ROWS_PER_INSERT, each
        a transaction of its own; records that exist already are an error. Raises QueryError or Fault."""
        keyword = "INSERT RELATION INTO" if relation else "INSERT INTO"
        text = f"{keyword} {escape_ident(table)} $rows RETURN NONE"
        for at in range(0, len(rows), ROWS_PER_INSERT):
            await self.query(text, {"rows": [dict(row) for row in rows[at : at + ROWS_PER_INSERT]]}, conflict_retries=5)

    async def rpc(self, method: str, params: list[Value]) -> Value:
        """The result of one RPC call; connects if the socket is gone. Raises QueryError (index -1) or Fault."""
        if not self.connected:
            await self.connect()
        socket, signed_in = self._socket, self._signed_in
        if socket is None:
            raise self._lost()
        try:
            return await self._call(socket, method, params)
        except QueryError as error:
            if not _has_expired(error):
                raise
        await self._sign_in_again(socket, signed_in)
        return await self._call(socket, method, params)  # nothing of it was carried out

    async def close(self) -> None:
        """Close for good; calls in flight fail with UNAVAILABLE."""
        self._closed = True
        await self._drop()
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        timeout_s = min(CONNECT_TIMEOUT_S, self._timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                socket = await self._http.ws_connect(
                    self.url,
                    protocols=("cbor",),
                    max_msg_size=FRAME_BYTES_MAX,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                    heartbeat=max(60.0, 2 * self._timeout_s),
                )
        except TimeoutError:
            raise Fault(Code.UNAVAILABLE, f"database {self.url} did not answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            hint = "is it running, and is SPKY_DB_WS right?"
            place = urlsplit(self.url).netloc
            refused = isinstance(getattr(error, "os_error", error), ConnectionRefusedError)
            why = f"nothing listens at {place}" if refused else str(error)
            raise Fault(Code.UNAVAILABLE, f"database {self.url} cannot be reached: {why}", hint) from error
        self._socket = socket
        self._reader = asyncio.create_task(self._read(socket), name=f"database {self.url}")
        return socket

    async def _sign_in_again(self, socket: aiohttp.ClientWebSocketResponse, signed_in: int) -> None:
        """The session has expired, as `DURATION FOR SESSION` of our user says: once for all calls that were refused."""
        async with self._opening:
            if self._signed_in == signed_in:
                await self._sign_in(socket)

    async def _sign_in(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            await self._call(socket, "signin", [{"user": self._user, "pass": self._password}])
        except QueryError as error:
            message = f'database {self.url} refused user "{self._user}": {error.message}'
            raise Fault(Code.UNAUTHENTICATED, message, "check SPKY_DB_USER and SPKY_DB_PASS") from error
        if self.namespace:
            await self._call(socket, "use", [self.namespace, self.database])
        self._signed_in += 1

    async def _call(self, socket: aiohttp.ClientWebSocketResponse, method: str, params: list[Value]) -> Value:
        try:
            request_id = next(self._ids)
            frame = encode({"id": request_id, "method": method, "params": params})
        except CborError as error:
            raise Fault(Code.INVALID, f"{method} on database {self.url} has a bad parameter: {error}") from error
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Mapping[str, Value]] = loop.create_future()
        self._pending[request_id] = answer
        sent_at, outcome = loop.time(), "lost"
        try:
            async with asyncio.timeout(self._timeout_s):
                await socket.send_bytes(frame)
                response = await answer
            outcome = "error" if response.get("error") else "ok"
        except TimeoutError:
            if self._heard_at < sent_at:
                await self._abandon(socket)
            message = f"{method} on database {self.url} was not answered within {self._timeout_s:g} s"
            raise Fault(Code.TIMEOUT, message) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost() from error
        finally:
            self._pending.pop(request_id, None)
            self.request_seconds.setdefault((method, outcome), Distribution()).observe(loop.time() - sent_at)
        if response.get("error"):  # neither NULL nor NONE
            raise _rpc_error(response["error"])
        return response.get("result")

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Hand each answer to its caller until the socket ends; then fail who is left, whatever ended it."""
        try:
            async for message in socket:
                self._heard_at = asyncio.get_running_loop().time()
                if message.type is aiohttp.WSMsgType.BINARY:
                    is_large = len(message.data) > DECODED_AT_ONCE_BYTES_MAX
                    self._route(await asyncio.to_thread(decode, message.data) if is_large else decode(message.data))
        except CborError:
            await socket.close()  # no answer after this one can be trusted to be matched
        finally:
            if self._socket is socket:
                self._socket = None
                self._fail_pending()

    def _route(self, response: Any) -> None:
        answer = self._pending.get(response.get("id"))
        if answer is not None:
            if not answer.done():
                answer.set_result(response)
        elif self.on_notification is not None and isinstance(response.get("result"), Mapping):
            self.on_notification(response["result"])

    def _fail_pending(self) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(self._lost())

    def _lost(self) -> Fault:
        hint = "what was in flight may or may not have been carried out"
        return Fault(Code.UNAVAILABLE, f"connection to database {self.url} was lost", hint)

    async def _abandon(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Not a word for a whole timeout: the other end may be gone without one. The next call opens a new socket."""
        if self._socket is socket:
            self._socket = None
            self._fail_pending()
        await socket.close()

    async def _drop(self) -> None:
        socket, reader = self._socket, self._reader
        self._socket = self._reader = None
        self._fail_pending()
        if socket is not None:
            await socket.close()
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])
