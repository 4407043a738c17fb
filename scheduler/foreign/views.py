"""What an SSP that speaks HTTP only is told of views: from the log's commands to `/view/register` and `/unregister`.

It is not told what it cannot keep to. It has no epoch, so those to be fenced are fenced for it, before it registers a
view (`Call.fence_ssp_ids`). It cannot hold a view's edges back, so it is told of a view that is handed over to it when
the former owner has released it, and to unregister one that it hands over at once: the view has no edges then until its
next owner writes them.

A view that was taken from it while it was lost is not unregistered: that would remove its next owner's edges. Pure.

Invariant: `_kept` are the views it has been told to register, `_awaited` those that wait for a release.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.coordinator.assignments import key_of
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.foreign.payload import register_body, unregister_body

REGISTER: Final = "/view/register"
UNREGISTER: Final = "/view/unregister"


class Call(NamedTuple):
    path: str
    key: ViewKey
    body: bytes
    seq: int = 0  # of the assignment; the epoch of fences
    fence_ssp_ids: tuple[str, ...] = ()

    @property
    def registers(self) -> bool:
        return self.path == REGISTER


class HttpViews:
    def __init__(self, ssp_id: str) -> None:
        self._ssp_id = ssp_id
        self._kept: set[ViewKey] = set()
        self._awaited: dict[ViewKey, common_pb2.ViewSpec] = {}
        self._lost_owners: dict[ViewKey, tuple[int, tuple[str, ...]]] = {}  # of a view that it is only to remove
        self._incarnation = 0
        self._owned: Sequence[replication_pb2.AssignedView] = ()  # by its welcome, until it gets there

    def welcome(self, welcome: replication_pb2.Welcome) -> None:
        self._incarnation, self._owned = welcome.incarnation, list(welcome.views)

    def joined(self, at_ms: int) -> list[Call]:
        """It has come to its incarnation: the views that it owns there. Whom to fence is fenced as of the assignment,
        since one that has joined again is above that. `at_ms`: unix milliseconds."""
        owned, self._owned = self._owned, ()
        calls = []
        for view in owned:
            calls += self._assigned(view.spec, view.assigned_seq, at_ms, view.fence_ssp_ids, view.handing_over_ssp_id)
        return calls

    @staticmethod
    def leaving_in(entries: Sequence[common_pb2.Entry]) -> dict[ViewKey, int]:
        """Views that are unregistered in these entries, and where last: until then they need not be registered."""
        return {
            key_of(entry.view_unregistered.key): entry.seq for entry in entries if entry.HasField("view_unregistered")
        }

    def calls_of(self, entry: common_pb2.Entry, leaving: dict[ViewKey, int]) -> list[Call]:
        """What a command comes to. Those up to its incarnation are in its welcome."""
        if entry.seq <= self._incarnation:
            return self.joined(entry.at_ms) if entry.seq == self._incarnation else []
        match entry.WhichOneof("body"):
            case "view_assigned":
                return self._handle_assigned(entry, leaving)
            case "view_released":
                spec = self._awaited.pop(key_of(entry.view_released.key), None)
                mine = spec is not None and entry.view_released.ssp_id == self._ssp_id
                return [self._register(spec, entry.seq, entry.at_ms, ())] if spec is not None and mine else []
            case "view_registered":
                spec = entry.view_registered.spec
                kept = key_of(spec.key) in self._kept
                return [self._register(spec, entry.seq, entry.at_ms, ())] if kept else []
            case "view_unregistered":
                return self._forget(key_of(entry.view_unregistered.key))
            case _:
                return []

    def _handle_assigned(self, entry: common_pb2.Entry, leaving: dict[ViewKey, int]) -> list[Call]:
        assigned = entry.view_assigned
        key = key_of(assigned.spec.key)
        if assigned.ssp_id != self._ssp_id:
            if assigned.handing_over_ssp_id == self._ssp_id:
                return self._forget(key)
            self._kept.discard(key)
            self._awaited.pop(key, None)
            return []
        if leaving.get(key, 0) > entry.seq:
            self._kept.add(key)
            self._lost_owners[key] = entry.seq, tuple(assigned.fence_ssp_ids)
            return []
        return self._assigned(
            assigned.spec, entry.seq, entry.at_ms, assigned.fence_ssp_ids, assigned.handing_over_ssp_id
        )

    def _assigned(
        self, spec: common_pb2.ViewSpec, seq: int, at_ms: int, fences: Collection[str], former: str
    ) -> list[Call]:
        if former:
            self._awaited[key_of(spec.key)] = spec
            return []
        self._awaited.pop(key_of(spec.key), None)
        return [self._register(spec, seq, at_ms, tuple(fences))]

    def _register(self, spec: common_pb2.ViewSpec, seq: int, at_ms: int, fences: tuple[str, ...]) -> Call:
        key = key_of(spec.key)
        self._kept.add(key)
        return Call(REGISTER, key, register_body(spec, at_ms), seq, fences)

    def _forget(self, key: ViewKey) -> list[Call]:
        told = key in self._kept or key in self._awaited
        self._kept.discard(key)
        self._awaited.pop(key, None)
        seq, fences = self._lost_owners.pop(key, (0, ()))
        return [Call(UNREGISTER, key, unregister_body(key.id), seq, fences)] if told else []
