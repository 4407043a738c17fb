"""Live queries, which the embedded engine has not, made from the changefeed.

One `Tail` per namespace and database reads the feed while it has subscriptions. A change is no notification yet: the
record is read again *under the subscriber's own session*, with the fields and the WHERE of its query, and what that
read does not show is not told. For a subscriber who may not see everything the tail keeps the rows it has been shown
(from the first read on), so that a DELETE goes only to who has seen the row, and carries it as it was last seen. A row
that leaves what the subscriber may see is told as DELETE too; one that enters it by an UPDATE, as UPDATE.

A session whose identity changes, expires or ends takes its live queries with it (KILLED), as does a failing re-read.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from sp00ky.deploy.db.engine import Engine, result_of
from sp00ky.deploy.db.feed import OVERLAP_MS, FeedChange, FeedReader
from sp00ky.deploy.db.frames import notification_frame, own_request
from sp00ky.deploy.db.limits import Limits
from sp00ky.deploy.db.statements import LiveSelect
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.cbor import decode
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import escape_ident

log = logging.getLogger(__name__)

POLL_MS: Final = 10
NEAR_OVERLAP_MS: Final = 64  # how far an ordinary poll goes back; commits were seen 3.5 ms late
POLL_MS_MAX: Final = 1_000
READ_TRIES: Final = 7  # failing reads in a row, about 1.3 s
SWEEP_EVERY_S: Final = 1.0  # how often a poll goes back the whole OVERLAP_MS
IDS_PER_READ: Final = 500
DEFINE_TRIES: Final = 5

Notify = Callable[[bytes], None]
Rows = dict[RecordId, bytes]  # packed, as a subscriber was last shown them


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a root user."""

    user: str
    password: str


@dataclass(slots=True)
class Subscription:
    """`seen`: the packed rows shown so far by record, None for one that may see every row. While `held`, frames wait:
    its owner has not been told its id yet."""

    id: UUID
    session: UUID
    table: str
    select: LiveSelect
    vars: dict[str, Value]
    notify: Notify
    seen: Rows | None
    held: list[bytes] | None = field(default_factory=list)

    def tell(self, action: str, record: RecordId | None, result: Value) -> None:
        frame = notification_frame(self.id, action, record, result)
        if self.held is None:
            self.notify(frame)
        else:
            self.held.append(frame)

    def release(self) -> None:
        held, self.held = self.held or [], None
        for frame in held:
            self.notify(frame)


class Tail:
    """The feed of one database and who listens to it. `lock` orders reading the feed and subscribing."""

    def __init__(self, engine: Engine, owner: Credentials, namespace: str, database: str, limits: Limits) -> None:
        self.namespace = namespace
        self.database = database
        self.lock = asyncio.Lock()
        self.subscriptions: dict[UUID, Subscription] = {}
        self.awaited = 0
        self._engine = engine
        self._owner = owner
        self._limits = limits
        self._session: UUID | None = None
        self._use = f"USE NS {escape_ident(namespace)} DB {escape_ident(database)};"
        self._feed = FeedReader(self._as_owner)
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """The lock, for who may subscribe; `awaited` counts them, so that no tail is dropped under them."""
        self.awaited += 1
        try:
            async with self.lock:
                try:
                    yield
                finally:
                    if self._task is None:
                        await self._sign_out()
        finally:
            self.awaited -= 1

    async def ensure_feed(self) -> None:
        """The database has a changefeed with the old rows in it; what else its definition says stays."""
        for attempt in range(DEFINE_TRIES):
            info = await self._as_owner("INFO FOR NS")
            definition = with_changefeed(info["databases"].get(self.database, ""))
            if definition is None:
                return
            try:
                await self._as_owner(definition)
            except Fault as fault:
                if "can be retried" not in fault.message or attempt == DEFINE_TRIES - 1:
                    raise

    async def sweep(self, overlap_ms: int = OVERLAP_MS) -> None:
        """Tell every subscription what was committed since the last sweep. The lock is held by the caller."""
        changes: dict[str, list[FeedChange]] = {}
        for change in await self._feed.read(overlap_ms):
            changes.setdefault(change.record.table, []).append(change)
        for subscription in list(self.subscriptions.values()):
            if subscription.table in changes:
                await self._tell(subscription, changes[subscription.table])

    async def first_rows(self, session: UUID, table: str, select: LiveSelect, variables: dict[str, Value]) -> Rows:
        """What a new subscriber can see already: packed rows by record. Raises Fault TOO_LARGE."""
        rows = await self._read(session, select, variables, escape_ident(table), self._limits.live_rows_max + 1)
        if len(rows) > self._limits.live_rows_max:
            message = f'live query on table "{table}" sees more than {self._limits.live_rows_max} rows'
            raise Fault(Code.TOO_LARGE, message, "narrow it with WHERE, or subscribe as a system user")
        return {record: pack(row) for record, row in rows.items()}

    def add(self, subscription: Subscription) -> None:
        self.subscriptions[subscription.id] = subscription
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"live {self.namespace}/{self.database}")

    def end(self, subscription: Subscription, *, told: bool) -> None:
        if self.subscriptions.pop(subscription.id, None) is not None and told:
            subscription.tell("KILLED", None, None)

    def stop(self) -> None:
        self.subscriptions.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        """Poll while anybody listens. A failing read is tried again, later and later: nothing is lost, the cursor has
        not moved. A feed that cannot be read at all (the database was removed) ends the live queries."""
        swept, failures = 0.0, 0
        while True:
            await asyncio.sleep(min(POLL_MS << failures, POLL_MS_MAX) / 1000)
            async with self.lock:
                if not self.subscriptions:
                    self._task = None
                    await self._sign_out()
                    return
                whole = time.monotonic() - swept >= SWEEP_EVERY_S
                try:
                    await self._poll(whole)
                except Exception as error:  # of whatever kind: the other databases' live queries go on
                    failures += 1
                    log.warning("reading the changefeed of %s/%s failed: %s", self.namespace, self.database, error)
                    if failures == READ_TRIES:
                        self._end_all()
                else:
                    swept, failures = time.monotonic() if whole else swept, 0

    async def _poll(self, whole: bool) -> None:
        if whole:
            await self.ensure_feed()  # a DEFINE DATABASE OVERWRITE without the clause drops the feed
        await self.sweep(OVERLAP_MS if whole else NEAR_OVERLAP_MS)

    def _end_all(self) -> None:
        for subscription in list(self.subscriptions.values()):
            self.end(subscription, told=True)

    async def _tell(self, subscription: Subscription, changes: Sequence[FeedChange]) -> None:
        records = list(dict.fromkeys(change.record for change in changes))
        now: dict[RecordId, Value] = {}
        try:
            for at in range(0, len(records), IDS_PER_READ):
                chosen = {**subscription.vars, "spky_live_ids": records[at : at + IDS_PER_READ]}
                now |= await self._read(subscription.session, subscription.select, chosen, "$spky_live_ids")
        except Exception as error:  # of whatever kind: this live query ends, the others are told
            log.info("live query %s ended: %s", subscription.id, error)
            self.end(subscription, told=True)
            return
        if subscription.seen is None:
            _tell_all(subscription, changes, now)
        else:
            _tell_seen(subscription, subscription.seen, changes, now)
            if len(subscription.seen) > self._limits.live_rows_max:
                self.end(subscription, told=True)

    async def _read(
        self, session: UUID, select: LiveSelect, variables: dict[str, Value], target: str, limit: int = 0
    ) -> dict[RecordId, Value]:
        """What a session is shown of some records, in one transaction."""
        rest = f"FROM {target} {select.condition}" + (f" LIMIT {limit}" if limit else "")
        text = f"{self._use} BEGIN; SELECT VALUE id {rest}; SELECT {select.fields} {rest} {select.fetch}; COMMIT"
        statements = await self._call(session, "query", [text, variables])
        return dict(zip(statements[2]["result"], statements[3]["result"], strict=True))

    async def _as_owner(self, statement: str) -> Value:
        """The result of one statement, as root in this database. The session is the tail's own, and `use` is said once:
        said with every statement it would make a removed database anew."""
        if self._session is None:
            self._session = uuid4()
            try:
                await self._call(self._session, "attach", [])
                await self._call(self._session, "signin", [{"user": self._owner.user, "pass": self._owner.password}])
                await self._call(self._session, "use", [self.namespace, self.database])
            except BaseException:
                await self._sign_out()
                raise
        return (await self._call(self._session, "query", [statement, {}]))[0]["result"]

    async def _sign_out(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await self._call(session, "detach", [])

    async def _call(self, session: UUID, method: str, params: list[Value]) -> Value:
        return result_of(decode(await self._engine.execute(own_request(session, method, params))))


class LiveQueries:
    """All live queries of a server."""

    def __init__(self, engine: Engine, owner: Credentials, limits: Limits) -> None:
        self._engine = engine
        self._owner = owner
        self._limits = limits
        self._tails: dict[tuple[str, str], Tail] = {}

    @asynccontextmanager
    async def still(self, namespace: str, database: str) -> AsyncIterator[Tail]:
        """The tail of a database, everything committed so far told, and not read on meanwhile."""
        for key in [key for key, tail in self._tails.items() if not tail.subscriptions and not tail.awaited]:
            del self._tails[key]  # its cursor is old: a new one begins at the present
        tail = self._tails.get((namespace, database))
        if tail is None:
            tail = Tail(self._engine, self._owner, namespace, database, self._limits)
            self._tails[namespace, database] = tail
        async with tail.held():
            await tail.ensure_feed()
            await tail.sweep()
            yield tail

    def holds(self, live: UUID, sessions: frozenset[UUID]) -> bool:
        found = (tail.subscriptions.get(live) for tail in self._tails.values())
        return any(each is not None and each.session in sessions for each in found)

    def kill(self, live: UUID, sessions: frozenset[UUID], *, told: bool) -> bool:
        """End one live query of these sessions; False when they have no such."""
        return self._end(lambda subscription: subscription.id == live and subscription.session in sessions, told) > 0

    def end_session(self, session: UUID, *, told: bool) -> None:
        self._end(lambda subscription: subscription.session == session, told)

    def count(self, sessions: frozenset[UUID]) -> int:
        tails = self._tails.values()
        return sum(each.session in sessions for tail in tails for each in tail.subscriptions.values())

    def stop(self) -> None:
        for tail in self._tails.values():
            tail.stop()
        self._tails.clear()

    def _end(self, chosen: Callable[[Subscription], bool], told: bool) -> int:
        ended = 0
        for tail in self._tails.values():
            for subscription in [each for each in tail.subscriptions.values() if chosen(each)]:
                tail.end(subscription, told=told)
                ended += 1
        return ended


def with_changefeed(definition: str) -> str | None:
    """A database's definition with `CHANGEFEED … INCLUDE ORIGINAL`; None when it has that already."""
    feed = re.search(r"\bCHANGEFEED \S+( INCLUDE ORIGINAL)?", definition)
    if feed and feed[1]:
        return None
    changed = definition[: feed.end()] + " INCLUDE ORIGINAL" + definition[feed.end() :] if feed else ""
    changed = changed or f"{definition} CHANGEFEED 1d INCLUDE ORIGINAL"
    return changed.replace("DEFINE DATABASE ", "DEFINE DATABASE OVERWRITE ", 1)


def _tell_all(subscription: Subscription, changes: Sequence[FeedChange], now: dict[RecordId, Value]) -> None:
    """Every change, in order; the last of each record with the row as it reads now."""
    last = {change.record: at for at, change in enumerate(changes)}
    for at, change in enumerate(changes):
        row = change.before if change.action == "DELETE" else change.after
        if last[change.record] == at and change.action != "DELETE":
            row = now.get(change.record, row)
        subscription.tell(change.action, change.record, row)


def _tell_seen(
    subscription: Subscription,
    seen: Rows,
    changes: Sequence[FeedChange],
    now: dict[RecordId, Value],
) -> None:
    """One notification at most for each record: from what was seen of it to what can be seen now."""
    created = {change.record for change in changes if change.action == "CREATE"}
    for record in dict.fromkeys(change.record for change in changes):
        before = seen.pop(record, None)
        if record in now:
            seen[record] = pack(now[record])
            subscription.tell("CREATE" if before is None and record in created else "UPDATE", record, now[record])
        elif before is not None:
            subscription.tell("DELETE", record, unpack(before))
