"""An `Engine` with everything it talks to played by the test: a log, pages at any revision, readers of its deltas.

`Driven.members` integrates hydrations and deltas; a test that compares it with `engine.view(...).members` shows that
what was emitted is exactly what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.engine.engine import Engine, EngineOptions
from sp00ky.ssp.engine.events import EntriesReceived, PageReceived, Ticked, ViewKey, WelcomeReceived
from sp00ky.ssp.engine.ready import LoadPage, MemberChange, Ready, RunQuery, ViewDelta, ViewDropped, ViewHydrated

SSP = "ssp-1"
Place: TypeAlias = tuple[RecordId, str, RecordId]


def spec(
    view: str,
    surql: str,
    params: Mapping[str, Value] | None = None,
    client: str = "",
    auth: Mapping[str, Value] | None = None,
) -> common_pb2.ViewSpec:
    key = common_pb2.ViewKey(id=view)
    packed, user = (pack(dict(each)) if each else b"" for each in (params, auth))
    return common_pb2.ViewSpec(key=key, surql=surql, params=packed, client_id=client, auth=user)


@dataclass
class Log:
    """The scheduler's side: entries with seqs, and the rows of every table at every revision."""

    entries: list[common_pb2.Entry] = field(default_factory=list)
    specs: dict[str, common_pb2.ViewSpec] = field(default_factory=dict)

    @property
    def head(self) -> int:
        return len(self.entries)

    def append(self, entry: common_pb2.Entry, *, txn_last: bool = True) -> common_pb2.Entry:
        entry.seq = self.head + 1
        entry.txn_last = txn_last
        self.entries.append(entry)
        return entry

    def change(
        self, table: str, key: Value, record: Mapping[str, Value] | None, *, txn_last: bool = True
    ) -> common_pb2.Entry:
        change = common_pb2.Change(table=table, key=pack(key), op=common_pb2.OP_UPDATE)
        if record is None:
            change.op = common_pb2.OP_DELETE
        else:
            change.packed = pack({"id": RecordId(table, key), **record})
        return self.append(common_pb2.Entry(change=change), txn_last=txn_last)

    def garbage(self, table: str, key: Value) -> common_pb2.Entry:
        change = common_pb2.Change(table=table, key=pack(key), op=common_pb2.OP_UPDATE, packed=b"\xc1")
        return self.append(common_pb2.Entry(change=change))

    def schema(self, table: str, **facts: Value) -> common_pb2.Entry:
        known = {"computed": False, "derived": False, **facts}
        return self.change("_00_schema", table, {"name": table, **known})

    def register(
        self,
        view: str,
        surql: str,
        params: Mapping[str, Value] | None = None,
        *,
        ssp: str = SSP,
        client: str = "",
        auth: Mapping[str, Value] | None = None,
    ) -> list[common_pb2.Entry]:
        self.specs[view] = spec(view, surql, params, client, auth)
        registered = common_pb2.ViewRegistered(spec=self.specs[view])
        first = self.append(common_pb2.Entry(view_registered=registered), txn_last=False)
        return [first, self.assign(view, ssp)]

    def assign(self, view: str, ssp: str, from_ssp: str = "") -> common_pb2.Entry:
        assigned = common_pb2.ViewAssigned(
            spec=self.specs[view], ssp_id=ssp, fence_ssp_ids=[from_ssp] if from_ssp else []
        )
        return self.append(common_pb2.Entry(view_assigned=assigned))

    def unregister(self, view: str) -> common_pb2.Entry:
        gone = common_pb2.ViewUnregistered(key=common_pb2.ViewKey(id=view))
        return self.append(common_pb2.Entry(view_unregistered=gone))

    def rows(self, table: str, at_seq: int) -> list[replication_pb2.Row]:
        """The table at a revision, in the order of packed keys."""
        rows: dict[bytes, replication_pb2.Row] = {}
        for entry in self.entries[:at_seq]:
            if entry.HasField("change") and entry.change.table == table:
                change = entry.change
                rows.pop(change.key, None)
                if change.op != common_pb2.OP_DELETE:
                    rows[change.key] = replication_pb2.Row(key=change.key, packed=change.packed, seq=entry.seq)
        return [rows[key] for key in sorted(rows)]


class Driven:
    """`serving` False: pages are kept back in `asked` until `serve` is called."""

    def __init__(self, log: Log | None = None, *, options: EngineOptions | None = None, page_rows: int = 3) -> None:
        self.log = log or Log()
        self.engine = Engine(ssp_id=SSP, options=options)
        self.serving = True
        self.asked: list[LoadPage] = []
        self.members: dict[ViewKey, dict[RecordId, int]] = {}
        self.children: dict[ViewKey, dict[Place, int]] = {}
        self.hydrated: list[ViewHydrated] = []
        self.deltas: list[ViewDelta] = []
        self.dropped: list[ViewDropped] = []
        self.queries: list[RunQuery] = []
        self.loaded = 0
        self.readies: list[Ready] = []
        self._page_rows = page_rows

    def step(self, event: object) -> Ready:
        """One event, carried out as the driver would: drops, hydrations, deltas."""
        self.engine.step(event)  # type: ignore[arg-type]
        ready = self.engine.ready()
        self.readies.append(ready)
        for dropped in ready.dropped:
            self.members.pop(dropped.key, None)
            self.children.pop(dropped.key, None)
        for hydrated in ready.hydrated:
            self.members[hydrated.key], self.children[hydrated.key] = apart(hydrated.members)
        for delta in ready.deltas:
            self._integrate(delta)
        self.dropped += ready.dropped
        self.hydrated += ready.hydrated
        self.deltas += ready.deltas
        self.queries += ready.queries
        self.loaded += ready.loaded
        self.asked += ready.loads
        if self.serving:
            self.serve()
        return ready

    def _integrate(self, delta: ViewDelta) -> None:
        for key in delta.views:
            for member in delta.added:
                held, place = self._held(key, member)
                assert place not in held, f"{key.id}: {place} was added twice"
                held[place] = member.version
            for member in delta.updated:
                held, place = self._held(key, member)
                assert held[place] <= member.version, f"{key.id}: {place} was updated to an old version"
                held[place] = member.version
            for member in delta.removed:
                held, place = self._held(key, member)
                del held[place]

    def _held(self, key: ViewKey, member: MemberChange) -> tuple[dict[Any, int], object]:
        if member.parent is None:
            return self.members[key], member.id
        return self.children[key], place_of(member)

    def serve(self, pages: int = 1 << 30) -> None:
        """Answer page requests that wait, and those that follow."""
        while self.asked and pages:
            pages -= 1
            load = self.asked.pop(0)
            rows = [row for row in self.log.rows(load.table, load.at_seq) if row.key > load.after_key]
            page, rest = rows[: self._page_rows], rows[self._page_rows :]
            self.step(PageReceived(load.load_id, load.table, page, page[-1].key if rest else b""))

    def welcome(
        self, views: Iterable[tuple[common_pb2.ViewSpec, int]] = (), *, at: int | None = None, resume: bool = False
    ) -> Ready:
        welcome = replication_pb2.Welcome(at_seq=self.log.head if at is None else at, resume=resume)
        for each, assigned_seq in views:
            self.log.specs[each.key.id] = each
            welcome.views.add(spec=each, assigned_seq=assigned_seq)
        return self.step(WelcomeReceived(welcome))

    def catch_up(self) -> Ready:
        """Everything in the log after what was applied, as one frame."""
        return self.step(EntriesReceived(self.log.entries[self.engine.applied_seq :]))

    def tick(self) -> Ready:
        return self.step(Ticked(0))

    def current(self, view: str) -> dict[RecordId, int]:
        """Membership as a reader sees it, without children."""
        reading = self.engine.view(ViewKey(view))
        assert reading is not None
        return apart(reading.members)[0]

    def current_children(self, view: str) -> dict[Place, int]:
        reading = self.engine.view(ViewKey(view))
        assert reading is not None
        return apart(reading.members)[1]


def place_of(member: MemberChange) -> Place:
    """Where a child stands: its parent, the field, itself."""
    assert member.parent is not None, "a member of the outermost FROM stands nowhere"
    return member.parent, member.parent_rel, member.id


def apart(members: Iterable[MemberChange]) -> tuple[dict[RecordId, int], dict[Place, int]]:
    """Versions of the outermost members, and of the children."""
    listed = list(members)
    outermost = {member.id: member.version for member in listed if member.parent is None}
    return outermost, {place_of(member): member.version for member in listed if member.parent is not None}
