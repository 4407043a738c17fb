"""Views that clients register in the database: what `_00_query` says, carried out.

    the capture: rows that changed ─────────▶ ┐
    every TTL_CLEANUP_INTERVAL_SECS, and when ├─▶ read the rows ─▶ rows.py decides ─▶ committer ─▶ say why not: _00_view
    the feed was in doubt: all rows ────────▶ ┘

What the feed tells is which rows to look at and no more: they are read anew, so it does not matter how often, how late
or in which order it tells. A row that the database does not show any more is looked for twice before its view ends.

Time to live is the database's own: rows that are overdue by its clock are deleted there, each unless a sign of life
came meanwhile, and their views end like those of any other deleted row. Without the database no such view ends.

Failure: what cannot be read or written is tried again by reading everything; a row that can be no registration is
refused in `_00_view` and stops no other (G7); one that finds no SSP waits, and is tried every second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import NONE, Duration, RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.commit import Committer
from sp00ky.scheduler.coordinator.assignments import View, key_of
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.registering import statements
from sp00ky.scheduler.registering.reading import ROWS_MAX, read_all, read_rows
from sp00ky.scheduler.registering.rows import (
    VIEW_TABLE,
    Command,
    Forget,
    Kept,
    Refuse,
    Register,
    Replace,
    TakeOver,
    Unregister,
    decide,
    decide_absent,
    key_of_row,
    row_id,
)
from sp00ky.scheduler.registering.specs import shape_of

TOLD_MAX: Final = 10_000  # rows to look at; beyond that all are read
RETRY_SECONDS: Final = 1.0
CONFLICT_RETRIES: Final = 8
_FINAL: Final = frozenset({Code.INVALID, Code.TOO_LARGE, Code.UNSUPPORTED_QUERY, Code.CONFLICT, Code.FORBIDDEN})

log = logging.getLogger(__name__)


class Registering:
    """`is_ready`: whether views can be registered now; `per_user_max`: views that one user may hold by rows; `prepare`
    installs the mesh's definitions again, where somebody removed the tables."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        *,
        sweep_secs: int,
        per_user_max: int,
        is_ready: Callable[[], bool],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._database, self._committer = database, committer
        self._sweep_secs, self._per_user_max = sweep_secs, per_user_max
        self._is_ready, self._prepare = is_ready, prepare
        self._told: dict[bytes, int | None] = {}  # packed keys of rows: the registration of one that was deleted
        self._waiting: dict[bytes, None] = {}  # rows to be tried again
        self._said: set[bytes] = set()  # rows of which something was said
        self._of_user: defaultdict[str, set[ViewKey]] = defaultdict(set)
        self._sweep_at = 0.0
        self._wake = asyncio.Event()
        self.lost = ""
        self.registered = self.unregistered = self.refused = self.expired = self.sweeps = self.unreadable = 0

    def metrics(self) -> dict[str, float]:
        return {
            "rows_registered_total": self.registered,
            "rows_unregistered_total": self.unregistered,
            "rows_refused_total": self.refused,
            "rows_expired_total": self.expired,
            "rows_sweeps_total": self.sweeps,
            "rows_unreadable": self.unreadable,
            "rows_waiting": len(self._waiting),
            "rows_told": len(self._told),
            "row_views": sum(map(len, self._of_user.values())),
        }

    # --- told by the capture -----------------------------------------------------------------------------------------

    def told(self, changes: Iterable[tuple[Value, int | None]]) -> None:
        """Rows that changed, by key: made or changed by a client (None), or deleted, with their registration."""
        for key, registration in changes:
            self._told[pack(key)] = registration
        if len(self._told) > TOLD_MAX:
            self._told.clear()
            self.doubt()
        self._wake.set()

    def doubt(self) -> None:
        """The feed may have passed over something: all rows are read."""
        self._sweep_at = 0.0
        self._wake.set()

    # --- for those who come another way ------------------------------------------------------------------------------

    async def maybe_join(self, spec: common_pb2.ViewSpec) -> bool:
        """Hold a view by the row that a client made for it; the spec becomes that of the view. False if there is no
        such row, or it has another query. Raises Fault."""
        view = self._view(key_of(spec.key))
        if view is None or not view.spec.by_row or (view.spec.surql, view.spec.params) != (spec.surql, spec.params):
            return False
        variables: dict[str, Value] = {
            "row": row_id(view.key),
            "client": spec.client_id or NONE,
            "ttl": Duration(spec.ttl_ms * 1_000_000) if spec.ttl_ms else NONE,
        }
        if not (await self._transact(statements.JOIN, variables))[0]:
            return False
        spec.by_row, spec.auth = True, view.spec.auth
        spec.ttl_ms = max(spec.ttl_ms, view.spec.ttl_ms) if spec.ttl_ms and view.spec.ttl_ms else 0
        return True

    async def maybe_leave(self, key: ViewKey, client_id: str) -> bool:
        """Give a view up in its row, if a client made one; whether others hold it still. Raises Fault.

        The row goes before the view: the other way round, it would make the view anew."""
        view = self._view(key)
        if view is None or not view.spec.by_row:
            return False
        variables: dict[str, Value] = {"row": row_id(key), "client": client_id or NONE}
        return bool((await self._database.query(statements.LEAVE, variables))[-1])

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._pause()
            if not self._is_ready():
                await asyncio.sleep(RETRY_SECONDS / 10)
                continue
            try:
                await self.turn()
                self.lost = ""
            except Fault as fault:
                if not self.lost:
                    log.warning("registrations in the database wait for it: %s", fault)
                self._lose(str(fault))
            except Exception as error:
                log.exception("registering rows failed")
                self._lose(repr(error))
            if self.lost:
                await asyncio.sleep(RETRY_SECONDS)

    def _lose(self, reason: str) -> None:
        self.lost = reason
        self._sweep_at = 0.0

    async def _pause(self) -> None:
        if not self._told:
            seconds = max(0.0, self._sweep_at - time.monotonic())
            try:
                async with asyncio.timeout(min(seconds, RETRY_SECONDS) if self._waiting else seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()

    async def turn(self) -> None:
        """Everything that is due now. Raises Fault; what was told then is found by the next reading of all rows."""
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + self._sweep_secs
            await self._restore_tables()
            await self._expire()
            await self._read_all()
            self.sweeps += 1
        if self._committer.coordinator.ready_ssps():
            for key in list(self._waiting)[:ROWS_MAX]:
                self._told.setdefault(key, None)
                del self._waiting[key]
        told, self._told = self._told, {}
        try:
            await self._look_at([(unpack(key), registration) for key, registration in told.items()])
        except BaseException:
            self._told = told | self._told
            raise

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _restore_tables(self) -> None:
        if self._prepare is not None and (await self._database.query(statements.IS_INSTALLED))[0] is not True:
            log.warning("the mesh's tables are gone from the database: they are installed again")
            try:
                await self._prepare()
            except QueryError as error:  # such as of a table that a write has made in its place
                log.error("the mesh's tables cannot be installed: %s; remove what took their place", error)

    async def _expire(self) -> None:
        """Delete the rows whose time is over, by the database's clock."""
        overdue: Sequence[RecordId] = (await self._database.query(statements.OVERDUE, {"rows_max": TOLD_MAX}))[0]
        for row in overdue:
            deleted, _ = await self._database.query_raw(statements.EXPIRE, {"row": row})
            if deleted.ok and deleted.result:  # else somebody writes to it: it lives, or the next sweep finds it
                self.expired += 1
                self._told[pack(row.key)] = 0

    async def _read_all(self) -> None:
        by_row = [view.key for view in self._committer.coordinator.views.values() if view.spec.by_row]
        self._of_user.clear()
        for key in by_row:
            self._of_user[key.auth_id].add(key)
        seen: set[ViewKey | None] = set()
        unreadable = 0
        async for read in read_all(self._database):
            seen.update(key_of_row(row["id"].key) for row in read.rows)
            seen.update(key_of_row(unpack(key)) for key in read.unreadable)
            unreadable += len(read.unreadable)
            await self._carry_out([decide(row, self._kept(key_of_row(row["id"].key))) for row in read.rows])
        self.unreadable = unreadable
        for key in by_row:
            if key not in seen:
                self._told.setdefault(pack(row_id(key).key), None)
        await self._transact(statements.UNSAY_ORPHANS, {})

    async def _look_at(self, told: Sequence[tuple[Value, int | None]]) -> None:
        """Read these rows, and do what they ask for."""
        asked = [(key, registration) for key, registration in told if self._may_matter(key, registration)]
        for begin in range(0, len(asked), ROWS_MAX):
            chunk = asked[begin : begin + ROWS_MAX]
            ids = [RecordId("_00_query", key) for key, _ in chunk]
            read = await read_rows(self._database, ids)
            found = {pack(row["id"].key): row for row in read.rows}
            commands: list[Command | None] = []
            for key, registration in chunk:
                if pack(key) in read.unreadable:
                    continue
                row, kept = found.get(pack(key)), self._kept(key_of_row(key))
                commands.append(decide_absent(key, kept, registration) if row is None else decide(row, kept))
            await self._carry_out(commands)

    def _may_matter(self, key: Value, registration: int | None) -> bool:
        """Not that the mesh itself deleted a row of its own when the view ended."""
        if not registration:
            return True
        kept = self._kept(key_of_row(key))
        return kept is not None and kept.spec.registered_seq == registration

    def _view(self, key: ViewKey | None) -> View | None:
        return self._committer.coordinator.views.get(key) if key is not None else None

    def _kept(self, key: ViewKey | None) -> Kept | None:
        view = self._view(key)
        if view is None:
            return None
        owner = self._committer.coordinator.ssps.get(view.ssp_id)
        return Kept(view.spec, owner is not None and owner.http_only)

    # --- carrying out ------------------------------------------------------------------------------------------------

    async def _carry_out(self, commands: Iterable[Command | None]) -> None:
        """In order as far as one view is concerned; all are queued before the first is waited for."""
        begun: list[tuple[Command, asyncio.Future[Seq] | Fault | None]] = []
        for command in commands:
            match command:
                case None:
                    continue
                case TakeOver(spec) if (view := self._view(key_of(spec.key))) is not None and view.clients:
                    if not await self._hand_over(view):
                        continue
            begun.append((command, self._begin(command)))
        said: dict[bytes, dict[str, Value]] = {}
        unsaid: set[bytes] = set()
        for command, answer in begun:
            self._end(command, await _outcome(answer), said, unsaid)
        await self._say(said, unsaid - said.keys())

    async def _say(self, said: Mapping[bytes, Mapping[str, Value]], unsaid: Iterable[bytes]) -> None:
        gone = [RecordId(VIEW_TABLE, unpack(key)) for key in unsaid if key in self._said]
        if gone:
            await self._transact(statements.UNSAY, {"views": gone})
            self._said.difference_update(unsaid)
        if said:
            self._said.update(said)
            await self._transact(statements.SAY, {"facts": list(said.values())})

    def _begin(self, command: Command) -> asyncio.Future[Seq] | Fault | None:
        try:
            match command:
                case Register(spec) | TakeOver(spec):
                    return self._request(spec)
                case Replace(spec):
                    self._drop(self._committer.abandon(key_of(spec.key)))
                    return self._request(spec)
                case Unregister(key):
                    self._forget(key)
                    return self._committer.abandon(key)
                case Refuse(ends=key) if key is not None:
                    self._forget(key)
                    self._drop(self._committer.abandon(key))
        except Fault as fault:
            return fault
        return None

    @staticmethod
    def _drop(answer: asyncio.Future[Seq]) -> None:
        """Its outcome is that of what was queued after it."""
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _request(self, spec: common_pb2.ViewSpec) -> asyncio.Future[Seq]:
        key = key_of(spec.key)
        held = self._of_user[key.auth_id]
        if key.auth_id and key not in held and len(held) >= self._per_user_max:
            message = f"{key.auth_id} holds {len(held)} views already, the most that rows may hold"
            raise Fault(Code.FORBIDDEN, message, "unregister one, or raise SPKY_ROW_VIEWS_PER_USER_MAX")
        answer = self._committer.request(spec, shape_of(spec))
        held.add(key)
        return answer

    def _forget(self, key: ViewKey) -> None:
        self._of_user[key.auth_id].discard(key)

    def _end(
        self, command: Command, fault: Fault | None, said: dict[bytes, dict[str, Value]], unsaid: set[bytes]
    ) -> None:
        match command:
            case Register(spec) | TakeOver(spec) | Replace(spec):
                key = key_of(spec.key)
                row = row_id(key)
                if fault is None or self._view(key) is not None:  # it may be registered, and wait for its owner
                    self.registered += 1
                    unsaid.add(pack(row.key))
                    return
                self._forget(key)
                auth = row.key[1] if key.auth_id else None
                said[pack(row.key)] = self._refusal(row.key, auth, fault)
            case Unregister():
                if fault is not None and fault.code is not Code.NOT_FOUND:
                    raise fault
                self.unregistered += 1
            case Refuse(row, auth, refusal, ends):
                said[pack(row)] = self._refusal(row, auth, refusal)
                if ends is not None:
                    self._waiting[pack(row)] = None  # to say it again: what its SSP still says comes meanwhile
            case Forget(row):
                unsaid.add(pack(row))

    def _refusal(self, row: Value, auth: Value, fault: Fault) -> dict[str, Value]:
        is_final = fault.code in _FINAL
        if is_final:
            self.refused += 1
        else:
            self._waiting[pack(row)] = None
        said: dict[str, Value] = {
            "id": RecordId(VIEW_TABLE, row),
            "state": "failed" if is_final else "pending",
            "error": f"{fault.message}; {fault.hint}" if fault.hint else fault.message,
            "by": statements.SAID_BY,
        }
        return said | ({"auth": auth} if auth is not None else {})

    async def _hand_over(self, view: View) -> bool:
        """Write those who hold the view by other ways into its row; False if that is no client's any more."""
        variables: dict[str, Value] = {"row": row_id(view.key), "clients": list(view.clients)}
        try:
            return bool((await self._transact(statements.HAND_OVER, variables))[0])
        except QueryError as error:  # such as more subscribers than a row may have: it stops no other row
            log.warning("view %s stays as it was registered: %s", view.key, error)
            return False

    async def _transact(self, surql: str, variables: Mapping[str, Value]) -> list[Value]:
        return await self._database.query(surql, dict(variables), conflict_retries=CONFLICT_RETRIES)


async def _outcome(answer: asyncio.Future[Seq] | Fault | None) -> Fault | None:
    if answer is None or isinstance(answer, Fault):
        return answer
    try:
        await answer
    except Fault as fault:
        return fault
    return None
