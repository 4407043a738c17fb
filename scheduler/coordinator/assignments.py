"""Which views exist, who owns each, and until when.

Invariant: a view has at most one owner; `owned_by(ssp)` holds exactly the views whose `ssp_id` is that SSP; the view's
meta value is committed with the log entry that changed it, so a restart finds the same table. A view without an owner
waits: owners that it lost before a later one had written are remembered in `fence_ssp_ids`, because the next one must
fence each of them before it writes an edge.

Expiry is by the scheduler's monotonic clock, so after a restart every ttl starts anew: a view may live longer than its
ttl, never shorter.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.coordinator.events import NO_SEQ, ViewKey
from sp00ky.scheduler.datastore.datastore import MetaWrite

META_PREFIX = b"view/"
UNASSIGNED = ""


@dataclass(slots=True)
class View:
    key: ViewKey
    spec: common_pb2.ViewSpec
    ssp_id: str = UNASSIGNED
    assigned_seq: Seq = NO_SEQ
    assigned_at_s: int = 0  # unix seconds
    fence_ssp_ids: tuple[str, ...] = ()  # lost owners; empty once the owner has written under its own epoch
    expires_ms: int = 0  # monotonic; 0: never

    def same_query(self, spec: common_pb2.ViewSpec) -> bool:
        """Of the same user, too: in key and claims."""
        kept = self.spec
        return (kept.surql, kept.params, kept.auth) == (spec.surql, spec.params, spec.auth)

    def meta(self) -> MetaWrite:
        spec = self.spec.SerializeToString(deterministic=True)
        fields = [spec, self.ssp_id, int(self.assigned_seq), self.assigned_at_s, list(self.fence_ssp_ids)]
        return MetaWrite(_meta_name(self.key), pack(fields))

    def no_meta(self) -> MetaWrite:
        return MetaWrite(_meta_name(self.key), None)


def _meta_name(key: ViewKey) -> bytes:
    return META_PREFIX + pack([key.id, key.auth_id])


def key_of(key: common_pb2.ViewKey) -> ViewKey:
    return ViewKey(key.id, key.auth_id)


def wire_key(key: ViewKey) -> common_pb2.ViewKey:
    return common_pb2.ViewKey(id=key.id, auth_id=key.auth_id)


class Assignments:
    def __init__(self, metas: Iterable[tuple[bytes, bytes]], now_ms: int) -> None:
        self._views: dict[ViewKey, View] = {}
        self._owned: defaultdict[str, set[ViewKey]] = defaultdict(set)
        self._unfenced: defaultdict[str, set[ViewKey]] = defaultdict(set)
        self._expiries: list[tuple[int, ViewKey]] = []  # a heap; one live item for each view with a ttl
        for _, value in metas:
            self._restore(value, now_ms)

    def _restore(self, value: bytes, now_ms: int) -> None:
        spec_bytes, ssp_id, assigned_seq, assigned_at_s, fence_ssp_ids = unpack(value)
        spec = common_pb2.ViewSpec.FromString(spec_bytes)
        view = View(key_of(spec.key), spec, UNASSIGNED, NO_SEQ, assigned_at_s, tuple(fence_ssp_ids))
        self._views[view.key] = view
        self._owned[UNASSIGNED].add(view.key)
        if ssp_id:
            self.assign(view, ssp_id, Seq(assigned_seq), assigned_at_s)
        self.renew(view, spec, now_ms)

    @property
    def views(self) -> Mapping[ViewKey, View]:
        return self._views

    def owned_by(self, ssp_id: str) -> list[View]:
        """In key order, so that what follows from it is the same on every run."""
        return [self._views[key] for key in sorted(self._owned[ssp_id])]

    def count_of(self, ssp_id: str) -> int:
        return len(self._owned[ssp_id])

    def unassigned(self) -> list[View]:
        return self.owned_by(UNASSIGNED)

    def add(self, spec: common_pb2.ViewSpec, now_ms: int) -> View:
        view = View(key_of(spec.key), spec)
        self._views[view.key] = view
        self._owned[UNASSIGNED].add(view.key)
        self.renew(view, spec, now_ms)
        return view

    def renew(self, view: View, spec: common_pb2.ViewSpec, now_ms: int) -> None:
        view.spec = spec
        before, view.expires_ms = view.expires_ms, now_ms + spec.ttl_ms if spec.ttl_ms else 0
        # An item that comes up before its view has expired is put back, so only an earlier expiry needs a new one.
        if view.expires_ms and (not before or view.expires_ms < before):
            heapq.heappush(self._expiries, (view.expires_ms, view.key))

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

    def assign(self, view: View, ssp_id: str, seq: Seq, at_s: int) -> None:
        self._owned[view.ssp_id].discard(view.key)
        self._unfenced[view.ssp_id].discard(view.key)
        view.ssp_id, view.assigned_seq, view.assigned_at_s = ssp_id, seq, at_s
        self._owned[ssp_id].add(view.key)
        if view.fence_ssp_ids:
            self._unfenced[ssp_id].add(view.key)

    def orphan(self, view: View) -> None:
        """Its owner is gone."""
        self._owned[view.ssp_id].discard(view.key)
        self._unfenced[view.ssp_id].discard(view.key)
        view.fence_ssp_ids = tuple(dict.fromkeys((*view.fence_ssp_ids, view.ssp_id)))
        view.ssp_id = UNASSIGNED
        self._owned[UNASSIGNED].add(view.key)

    def remove(self, view: View) -> None:
        self._owned[view.ssp_id].discard(view.key)
        self._unfenced[view.ssp_id].discard(view.key)
        del self._views[view.key]

    def fenced_to(self, ssp_id: str, written_seq: Seq) -> list[View]:
        """The owner has written up to `written_seq`: views whose former owner need not be fenced again."""
        waiting = self._unfenced.get(ssp_id)
        if not waiting:
            return []
        done = [self._views[key] for key in sorted(waiting) if self._views[key].assigned_seq <= written_seq]
        for view in done:
            waiting.discard(view.key)
            view.fence_ssp_ids = ()
        return done

    def welcome_list(self, ssp_id: str) -> list[replication_pb2.AssignedView]:
        return [
            replication_pb2.AssignedView(
                spec=view.spec, fence_ssp_ids=view.fence_ssp_ids, assigned_seq=view.assigned_seq
            )
            for view in self.owned_by(ssp_id)
        ]
