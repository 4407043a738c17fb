"""The RPC methods as a client sees them: which the engine answers, which the server does itself, which are refused.

`PASSED` is a list of what is let through, so that a spelling nobody thought of is refused and no request of a client
can reach the engine's own `attach`, `detach` or `sessions`, whose answers name the owner's session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from sp00ky.deploy.db.engine import Engine, result_of
from sp00ky.deploy.db.frames import (
    INVALID_PARAMS,
    METHOD_NOT_ALLOWED,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
    FrameError,
    Request,
    engine_request,
    kinds_of,
    own_request,
    result_frame,
)
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.live import LiveQueries, Notify, Subscription
from sp00ky.deploy.db.sessions import Sessions
from sp00ky.deploy.db.statements import (
    LiveSelect,
    Statement,
    kill_target,
    live_select,
    mentions_live,
    plain_name,
    split,
)
from sp00ky.proto.values.cbor import CborError, decode
from sp00ky.proto.values.kinds import NONE, Table, Value

IDENTITY = frozenset({"signin", "signup", "authenticate", "refresh", "revoke", "invalidate", "reset"})
DATA = frozenset({"select", "insert", "create", "upsert", "update", "merge", "patch", "delete", "relate", "run"})
PASSED = IDENTITY | DATA | {"ping", "info", "version", "use", "let", "set", "unset", "query", "insert_relation"}
TRANSACTIONS = frozenset({"begin", "commit", "cancel"})
REFUSED = TRANSACTIONS | {"export", "import", "graphql"}
OWN = frozenset({"attach", "detach", "sessions", "live", "kill"})


class Methods:
    """The methods for one connection. `answered` is called when an answer has been sent."""

    def __init__(self, engine: Engine, sessions: Sessions, lives: LiveQueries, limits: Limits, notify: Notify) -> None:
        self._engine = engine
        self._sessions = sessions
        self._lives = lives
        self._limits = limits
        self._notify = notify
        self._held: list[Subscription] = []

    async def answer(self, request: Request) -> bytes:
        """The answer's frame; raises FrameError, Fault or EngineRefused."""
        method = request.method.lower()
        if method == "attach":
            await self._sessions.attach(request)
            return result_frame(request.id, NONE)
        if method == "detach":
            self._lives.end_session(await self._sessions.detach(request), told=True)
            return result_frame(request.id, NONE)
        if method == "sessions":
            return result_frame(request.id, self._sessions.names())
        session = self._sessions.engine_id(request)
        if method == "live":
            return await self._live(request, session)
        if method == "kill":
            return self._kill(request)
        _check_passed(method, request)
        text = _query_text(request) if method == "query" else ""
        if mentions_live(text):
            return await self._query(request, session, split(text))
        reply = await self._engine.execute(engine_request(request, session))
        if method in IDENTITY and not decode(reply).get("error"):
            self._lives.end_session(session, told=True)
        return reply

    def answered(self) -> None:
        """The client knows the ids of its new live queries now."""
        held, self._held = self._held, []
        for subscription in held:
            subscription.release()

    def close(self) -> None:
        for session in self._sessions.engine_ids():
            self._lives.end_session(session, told=False)

    async def _live(self, request: Request, session: UUID) -> bytes:
        params = _kinds(request)
        target = params[0] if isinstance(params, list) and params else None
        name = target.name if isinstance(target, Table) else target
        if not isinstance(name, str):
            raise FrameError(INVALID_PARAMS, "Expected (what:table)", request.id)
        select = LiveSelect("*", name, diff=len(params) > 1 and params[1] is True)
        live = uuid4()
        reply = await self._open(request, session, [(live, select, name)], f"u'{live}'", {})
        return _reply(request, {**reply, "result": live} if "result" in reply else reply)

    def _kill(self, request: Request) -> bytes:
        params = _kinds(request)
        target = _uuid(params[0]) if isinstance(params, list) and params else None
        if target is None or not self._lives.kill(target, self._sessions.engine_ids(), told=True):
            message = f"Can not execute KILL statement using id '{target}'"
            raise FrameError(SERVER_ERROR, message, request.id, "NotFound")
        return result_frame(request.id, NONE)

    async def _query(self, request: Request, session: UUID, statements: list[Statement]) -> bytes:
        """A batch with LIVE or KILL among its statements: the engine is given stand-ins that answer what they should,
        and what they stand for is done when their statement succeeded."""
        variables = _variables(request)
        lives: list[tuple[UUID, LiveSelect, str]] = []
        kills: list[tuple[int, UUID]] = []
        texts: list[str] = []
        for index, statement in enumerate(statements):
            if statement.keyword == "KILL":
                texts.append(self._stand_in_for_kill(index, statement, variables, kills))
            elif statement.keyword == "LIVE":
                select = live_select(statement)
                if select is None:
                    raise FrameError(INVALID_PARAMS, f"Parse error: not a LIVE SELECT: {statement.text}", request.id)
                live = uuid4()
                lives.append((live, select, _table_of(select, variables, request)))
                texts.append(f"u'{live}'")  # an expression: RETURN would end a transaction
            else:
                texts.append(statement.text)
        if lives and any(statement.keyword in ("USE", "LET") for statement in statements):
            message = "LIVE SELECT is emulated here, and not in one request with USE or LET: pass variables instead"
            raise FrameError(METHOD_NOT_ALLOWED, message, request.id, "NotAllowed")
        if not lives and not kills and all(text == each.text for text, each in zip(texts, statements, strict=True)):
            return await self._engine.execute(engine_request(request, session))
        reply = await self._open(request, session, lives, ";\n".join(texts), variables)
        results = reply.get("result") or []
        for index, killed in kills:
            if len(results) == len(statements) and results[index]["status"] == "OK":
                self._lives.kill(killed, self._sessions.engine_ids(), told=True)
        return _reply(request, reply)

    def _stand_in_for_kill(
        self, index: int, statement: Statement, variables: dict[str, Value], kills: list[tuple[int, UUID]]
    ) -> str:
        named = kill_target(statement) or ""
        value = variables.get(named[1:]) if named.startswith("$") else named.removeprefix("u").strip("'\"")
        live = _uuid(value)
        if live is None or not self._lives.holds(live, self._sessions.engine_ids()):
            return "THROW \"Can not execute KILL statement using id '" + str(live or "") + "'\""
        kills.append((index, live))
        return "NONE"

    async def _open(
        self,
        request: Request,
        session: UUID,
        lives: list[tuple[UUID, LiveSelect, str]],
        text: str,
        variables: dict[str, Value],
    ) -> dict[str, Value]:
        """Run the text and open the live queries whose statements succeeded; the decoded reply."""
        for _, select, _ in lives:
            if select.diff:
                message = "LIVE SELECT DIFF is not emulated by this server"
                raise FrameError(METHOD_NOT_ALLOWED, message, request.id, "NotAllowed")
        held = self._lives.count(self._sessions.engine_ids())
        if held + len(lives) > self._limits.lives_max:
            most = f"a connection holds at most {self._limits.lives_max} live queries"
            message = most if self._limits.lives_max else "a live query needs a WebSocket"
            raise FrameError(METHOD_NOT_ALLOWED, message, request.id, "NotAllowed")
        run = own_request(session, "query", [text, variables])
        where = decode(await self._engine.execute(own_request(session, "query", [_WHERE_AM_I, {}]))) if lives else {}
        if not lives or where.get("error"):
            return dict(decode(await self._engine.execute(run)))
        namespace, database, unrestricted = result_of(where)[0]["result"]
        if not isinstance(namespace, str) or not isinstance(database, str):
            raise FrameError(INVALID_PARAMS, "Specify a namespace and a database to use", request.id)
        async with self._lives.still(namespace, database) as tail:
            reply = dict(decode(await self._engine.execute(run)))
            opened: list[Subscription] = []
            answered = {each["result"] for each in reply.get("result") or [] if isinstance(each["result"], UUID)}
            for live, select, table in lives:
                if live in answered:
                    sees_all = unrestricted and not select.condition
                    seen = None if sees_all else await tail.first_rows(session, table, select, variables)
                    opened.append(Subscription(live, session, table, select, variables, self._notify, seen))
            for subscription in opened:
                tail.add(subscription)
            self._held += opened
        return reply


_ONE_QUERY = "the embedded engine has no transactions of several requests; send BEGIN; …; COMMIT in one query"
_WHERE_AM_I = "RETURN [session::ns(), session::db(), $session.ac == NONE AND $session.rd == NONE]"


def _check_passed(method: str, request: Request) -> None:
    if method in REFUSED:
        hint = f": {_ONE_QUERY}" if method in TRANSACTIONS else ""
        raise FrameError(METHOD_NOT_ALLOWED, f"Method not allowed: {method}{hint}", request.id, "NotAllowed")
    if method not in PASSED:
        raise FrameError(METHOD_NOT_FOUND, f"Method not found: {method}", request.id, "NotFound")


def _query_text(request: Request) -> str:
    params: Any = request.params
    return params[0] if isinstance(params, list | tuple) and params and isinstance(params[0], str) else ""


def _kinds(request: Request) -> Value:
    try:
        return kinds_of(request.params)
    except CborError as error:
        raise FrameError(INVALID_PARAMS, str(error), request.id) from error


def _variables(request: Request) -> dict[str, Value]:
    params = _kinds(request)
    return dict(params[1]) if len(params) > 1 and isinstance(params[1], Mapping) else {}


def _table_of(select: LiveSelect, variables: dict[str, Value], request: Request) -> str:
    name: Value = plain_name(select.target)
    if select.target.startswith("$"):
        name = variables.get(select.target[1:])
        name = name.name if isinstance(name, Table) else name
    if not isinstance(name, str):
        message = f"LIVE SELECT is emulated here, and of a table by its name only, not of {select.target}"
        raise FrameError(METHOD_NOT_ALLOWED, message, request.id, "NotAllowed")
    return name


def _uuid(value: Value) -> UUID | None:
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        return None


def _reply(request: Request, reply: dict[str, Value]) -> bytes:
    """A reply to a request of the server's own, as the reply to the client's."""
    if "error" in reply:
        error = reply["error"]
        raise FrameError(error.get("code", SERVER_ERROR), error.get("message", ""), request.id, error.get("kind", ""))
    return result_frame(request.id, reply.get("result"))
