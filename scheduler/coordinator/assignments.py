"""Which views exist, who owns each, and until when.

Invariant: every change of whose a view is goes through `change`, which holds it to the table of `ownership.py` and
keeps the indexes; the view's meta value is committed with the log entry that changed it, so a restart finds the same
table. Owners that were lost before a later one is known to have fenced them are remembered in `fence_ssp_ids`.

Expiry is by the scheduler's monotonic clock, so after a restart every ttl starts anew: a view may live longer than its
ttl, never shorter. A view that a client's row in the database made (`by_row`) lives as long as that row, and who holds
it is in there; of the others, `clients` says who.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.coordinator.events import NO_SEQ, ViewKey
from sp00ky.scheduler.coordinator.ownership import Signal, State, state_after, state_of
from sp00ky.scheduler.datastore.datastore import MetaWrite
from sp00ky.scheduler.errors import SchedulerInvariantError

META_PREFIX = b"view/"
UNASSIGNED = ""
EXPIRIES_SLACK = 64
CLIENTS_MAX = 1_000  # of one view; beyond that who was seen least recently is forgotten
WAITING = frozenset((State.FENCING, State.HANDING_OVER, State.LEAVING))


@dataclass(slots=True)
class View:
    key: ViewKey
    spec: common_pb2.ViewSpec
    shape: str = ""  # views of one shape share a circuit; empty: it shares with none
    ssp_id: str = UNASSIGNED
    assigned_seq: Seq = NO_SEQ
    assigned_at_s: int = 0  # unix seconds
    fence_ssp_ids: tuple[str, ...] = ()  # lost owners that are not known to be fenced
    handing_over_ssp_id: str = ""  # a living former owner that has not been seen to stop
    left_seq: Seq = NO_SEQ  # of its unregistration
    expires_ms: int = 0  # monotonic; 0: never
    clients: dict[str, int] = field(default_factory=dict)  # who registered it: when last, monotonic ms
    refusals: dict[str, str] = field(default_factory=dict)  # SSPs that cannot keep it, and why; not kept over a restart

    @property
    def state(self) -> State:
        return state_of(self.ssp_id, self.fence_ssp_ids, self.handing_over_ssp_id, self.left_seq)

    @property
    def serving_ssp_id(self) -> str:
        """Who answers reads: the former owner until it has handed over, so that there is always somebody."""
        return self.handing_over_ssp_id or self.ssp_id

    @property
    def awaited_seq(self) -> Seq:
        """What is under way is done once those concerned have written up to here."""
        return self.left_seq or self.assigned_seq

    def same_query(self, spec: common_pb2.ViewSpec) -> bool:
        """Of the same user, too: in key and claims."""
        kept = self.spec
        return (kept.surql, kept.params, kept.auth) == (spec.surql, spec.params, spec.auth)

    def clients_at(self, now_ms: int) -> set[str]:
        """Those whose time is not over."""
        ttl_ms = self.spec.ttl_ms
        return {name for name, seen_ms in self.clients.items() if not ttl_ms or seen_ms + ttl_ms > now_ms}

    def meta(self) -> MetaWrite:
        spec = self.spec.SerializeToString(deterministic=True)
        placed = [self.ssp_id, int(self.assigned_seq), self.assigned_at_s, list(self.fence_ssp_ids)]
        fields = [spec, self.shape, *placed, self.handing_over_ssp_id, int(self.left_seq), list(self.clients)]
        return MetaWrite(_meta_name(self.key), pack(fields))

    def no_meta(self) -> MetaWrite:
        return MetaWrite(_meta_name(self.key), None)


def _restored(value: bytes, now_ms: int) -> View:
    spec_bytes, shape, ssp_id, assigned_seq, assigned_at_s, fences, handing_over, left_seq, *clients = unpack(value)
    spec = common_pb2.ViewSpec.FromString(spec_bytes)
    placed = (ssp_id, Seq(assigned_seq), assigned_at_s, tuple(fences), handing_over, Seq(left_seq))
    view = View(key_of(spec.key), spec, shape, *placed)
    if not spec.by_row:  # older stores do not say who else
        view.clients = dict.fromkeys(clients[0] if clients else [spec.client_id], now_ms)
    return view


def _meta_name(key: ViewKey) -> bytes:
    return META_PREFIX + pack([key.id, key.auth_id])


def key_of(key: common_pb2.ViewKey) -> ViewKey:
    return ViewKey(key.id, key.auth_id)


def wire_key(key: ViewKey) -> common_pb2.ViewKey:
    return common_pb2.ViewKey(id=key.id, auth_id=key.auth_id)


class Assignments:
    def __init__(self, metas: Iterable[tuple[bytes, bytes]], now_ms: int) -> None:
        self._views: dict[ViewKey, View] = {}
        self._leaving: dict[ViewKey, View] = {}
        self._owned: defaultdict[str, set[ViewKey]] = defaultdict(set)
        self._handed_over: defaultdict[str, set[ViewKey]] = defaultdict(set)  # by former owner
        self._departing: defaultdict[str, set[ViewKey]] = defaultdict(set)  # leaving views, by SSP concerned
        self._shapes: defaultdict[str, dict[str, int]] = defaultdict(dict)  # by owner
        self._waits: defaultdict[str, list[tuple[Seq, ViewKey]]] = defaultdict(list)  # heaps, by SSP waited for
        self._refused: set[ViewKey] = set()
        self._expiries: list[tuple[int, ViewKey]] = []  # a heap; one live item for each view with a ttl
        for _, value in metas:
            view = _restored(value, now_ms)
            self._index(view)
            if not view.left_seq:
                self._prolong(view, now_ms)

    # --- read side ---------------------------------------------------------------------------------------------------

    @property
    def views(self) -> Mapping[ViewKey, View]:
        """All but those that are leaving."""
        return self._views

    @property
    def leaving(self) -> Mapping[ViewKey, View]:
        return self._leaving

    @property
    def handing_over(self) -> int:
        """Views whose hand-over is under way."""
        return sum(len(keys) for keys in self._handed_over.values())

    def owned_by(self, ssp_id: str) -> list[View]:
        """In key order, so that what follows from it is the same on every run."""
        return [self._views[key] for key in sorted(self._owned.get(ssp_id, ()))]

    def handed_over_by(self, ssp_id: str) -> list[View]:
        return [self._views[key] for key in sorted(self._handed_over.get(ssp_id, ()))]

    def departing_from(self, ssp_id: str) -> list[View]:
        """Leaving views that this SSP has yet to forget; of UNASSIGNED those that nobody will."""
        return [self._leaving[key] for key in sorted(self._departing.get(ssp_id, ()))]

    def count_of(self, ssp_id: str) -> int:
        return len(self._owned.get(ssp_id, ()))

    def shapes_of(self, ssp_id: str) -> Mapping[str, int]:
        """How many views of each shape the SSP owns."""
        return self._shapes.get(ssp_id, {})

    def unassigned(self) -> list[View]:
        return self.owned_by(UNASSIGNED)

    # --- changes -----------------------------------------------------------------------------------------------------

    def add(self, spec: common_pb2.ViewSpec, shape: str, now_ms: int) -> View:
        """A new view, or one that was leaving and stays; its owner is to be told."""
        key = key_of(spec.key)
        view = self._leaving.get(key)
        if view is None:
            view = View(key, spec, shape)
            self._index(view)
        else:
            view.shape = shape
            view.clients.clear()
        view.expires_ms = 0
        self.renew(view, spec, now_ms)
        return view

    def change(
        self,
        view: View,
        signal: Signal,
        *,
        ssp_id: str | None = None,
        fence_ssp_ids: Iterable[str] | None = None,
        handing_over_ssp_id: str | None = None,
        assigned_seq: Seq | None = None,
        left_seq: Seq | None = None,
    ) -> None:
        """Take a signal, and the facts that it brings; what is None stays."""
        expected = state_after(view.state, signal)
        self._unindex(view)
        if ssp_id is not None:
            view.ssp_id = ssp_id
        if fence_ssp_ids is not None:
            view.fence_ssp_ids = tuple(dict.fromkeys(fence_ssp_ids))
        if handing_over_ssp_id is not None:
            view.handing_over_ssp_id = handing_over_ssp_id
        if assigned_seq is not None:
            view.assigned_seq = assigned_seq
        if left_seq is not None:
            view.left_seq = left_seq
        if expected is State.GONE:
            return
        if view.state is not expected:
            raise SchedulerInvariantError(f"{signal!r} makes a view {expected}, and it is {view}")
        self._index(view)

    def _index(self, view: View) -> None:
        key = view.key
        if view.left_seq:
            self._leaving[key] = view
            for ssp_id in {view.ssp_id, view.handing_over_ssp_id or view.ssp_id}:
                self._departing[ssp_id].add(key)
        else:
            self._views[key] = view
            self._owned[view.ssp_id].add(key)
            shapes = self._shapes[view.ssp_id]
            shapes[view.shape] = shapes.get(view.shape, 0) + 1
            if view.handing_over_ssp_id:
                self._handed_over[view.handing_over_ssp_id].add(key)
        self._wait(view)

    def _unindex(self, view: View) -> None:
        key = view.key
        if view.left_seq:
            del self._leaving[key]
            for ssp_id in {view.ssp_id, view.handing_over_ssp_id or view.ssp_id}:
                self._departing[ssp_id].discard(key)
        else:
            del self._views[key]
            self._owned[view.ssp_id].discard(key)
            shapes = self._shapes[view.ssp_id]
            shapes[view.shape] -= 1
            if not shapes[view.shape]:
                del shapes[view.shape]
            self._handed_over[view.handing_over_ssp_id].discard(key)

    # --- what SSPs cannot keep ---------------------------------------------------------------------------------------

    def refuse(self, view: View, ssp_id: str, reason: str) -> None:
        view.refusals[ssp_id] = reason
        self._refused.add(view.key)

    def forgive(self, ssp_id: str) -> None:
        """The SSP is another process now, and may be another program."""
        for key in list(self._refused):
            view = self._views.get(key)
            if view is not None:
                view.refusals.pop(ssp_id, None)
            if view is None or not view.refusals:
                self._refused.discard(key)

    def misplaced(self) -> list[View]:
        """Views whose owner cannot keep them."""
        views = [self._views[key] for key in sorted(self._refused) if key in self._views]
        return [view for view in views if view.ssp_id in view.refusals]

    # --- what is waited for ------------------------------------------------------------------------------------------

    def _wait(self, view: View) -> None:
        if view.state in WAITING:
            for ssp_id in filter(None, {view.ssp_id, view.handing_over_ssp_id}):
                heapq.heappush(self._waits[ssp_id], (view.awaited_seq, view.key))

    def wait_again(self, ssp_id: str) -> None:
        """The SSP has joined anew: what it had written is to be written again."""
        self._waits.pop(ssp_id, None)
        for view in (*self.owned_by(ssp_id), *self.departing_from(ssp_id)):
            self._wait(view)

    def due(self, ssp_id: str, written_seq: Seq) -> list[View]:
        """Views that waited for what this SSP has written now; each is named once."""
        waits = self._waits.get(ssp_id)
        found: dict[ViewKey, View] = {}
        while waits and waits[0][0] <= written_seq:
            seq, key = heapq.heappop(waits)
            view = self._views.get(key) or self._leaving.get(key)
            if view is not None and view.state in WAITING and view.awaited_seq == seq:
                found[key] = view
        return list(found.values())

    # --- ttl ---------------------------------------------------------------------------------------------------------

    def renew(self, view: View, spec: common_pb2.ViewSpec, now_ms: int) -> None:
        """By the client that the spec names."""
        view.spec = spec
        view.clients.pop(spec.client_id, None)
        if spec.by_row:
            view.clients.clear()
        else:
            view.clients[spec.client_id] = now_ms  # the last one
            if len(view.clients) > CLIENTS_MAX:
                del view.clients[next(iter(view.clients))]
        self._prolong(view, now_ms)

    def release(self, view: View, client_id: str, now_ms: int) -> bool:
        """This client holds the view no more; whether somebody else does."""
        view.clients.pop(client_id, None)
        return bool(view.clients_at(now_ms))

    def _prolong(self, view: View, now_ms: int) -> None:
        spec = view.spec
        before, view.expires_ms = view.expires_ms, now_ms + spec.ttl_ms if spec.ttl_ms and not spec.by_row else 0
        # An item that comes up before its view has expired is put back, so only an earlier expiry needs a new one.
        if view.expires_ms and (not before or view.expires_ms < before):
            heapq.heappush(self._expiries, (view.expires_ms, view.key))
            if len(self._expiries) > EXPIRIES_SLACK + 2 * len(self._views):
                self._forget_expiries()

    def _forget_expiries(self) -> None:
        """Views that are gone leave items behind; so do views that were registered again."""
        self._expiries = [(view.expires_ms, key) for key, view in self._views.items() if view.expires_ms]
        heapq.heapify(self._expiries)

    def expired(self, now_ms: int) -> list[View]:
        """Views whose ttl has passed; each is named once."""
        found: dict[ViewKey, View] = {}
        while self._expiries and self._expiries[0][0] <= now_ms:
            _, key = heapq.heappop(self._expiries)
            view = self._views.get(key)
            if view is None or not view.expires_ms:
                continue
            if view.expires_ms <= now_ms:
                found[key] = view
            else:
                heapq.heappush(self._expiries, (view.expires_ms, key))
        return list(found.values())

    # --- for a welcome -----------------------------------------------------------------------------------------------

    def welcome_list(self, ssp_id: str) -> list[replication_pb2.AssignedView]:
        return [
            replication_pb2.AssignedView(
                spec=view.spec,
                fence_ssp_ids=view.fence_ssp_ids,
                assigned_seq=view.assigned_seq,
                handing_over_ssp_id=view.handing_over_ssp_id,
            )
            for view in self.owned_by(ssp_id)
        ]
