"""Whose a view is, as the log says it: registered, assigned, released, unregistered.

    (none) ──assigned to us──────────────────▶ writes ──handed over to another──▶ ceased ──released──▶ (none)
       └────assigned, another hands it over──▶ held ──released──▶ writes              └─assigned back──▶ writes

A view that is held is kept and served, and its edges are the former owner's; one that has ceased is kept and served,
and its edges are the new owner's. So there is always somebody who answers, and never two who write.

Commands up to the incarnation are in the welcome's list of views already: an SSP that loads at an older revision meets
them again in its replay, and passes them over.
"""

from __future__ import annotations

from collections.abc import Iterable

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.ssp.engine.emission import Emission
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.keeping import Keeping
from sp00ky.ssp.engine.ready import ViewDropped
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.views.registry import Registry, View, key_of


class Ownership:
    def __init__(self, ssp_id: str, registry: Registry, keeping: Keeping, emission: Emission) -> None:
        self._ssp_id = ssp_id
        self._registry, self._keeping, self._emission = registry, keeping, emission
        self._since = 0  # our incarnation
        self._arriving: set[ViewKey] = set()  # handed over to us, and perhaps without a result so far

    def begin(self, welcome: replication_pb2.Welcome, owned_before: Iterable[ViewKey]) -> None:
        """Own what the welcome lists, and nothing else. What was owned before has been forgotten."""
        self._since = welcome.incarnation
        self._arriving.clear()
        for assigned in welcome.views:
            key = key_of(assigned.spec.key)
            view = self._registry.views[key] = View(key, assigned.spec, assigned.assigned_seq)
            self._hold(view, assigned.handing_over_ssp_id)
            self._emission.fence(assigned.fence_ssp_ids, assigned.assigned_seq)
        for key in owned_before:
            if key not in self._registry.views:
                self._emission.drop(ViewDropped(key, unregistered=False))

    def arrived_seq(self, applied_seq: int) -> int:
        """Every view handed over to us up to here has a first result, or has failed: readers may come."""
        for key in list(self._arriving):
            view = self._registry.views.get(key)
            if view is None or view.state is not State.PENDING:
                self._arriving.discard(key)
        waited = (self._registry.views[key].assigned_seq - 1 for key in self._arriving)
        return min(waited, default=applied_seq)

    def take(self, entry: common_pb2.Entry) -> None:
        """A command about a view; others are none of ours."""
        if entry.seq <= self._since:
            return
        match entry.WhichOneof("body"):
            case "view_registered":
                self._registered(entry.view_registered.spec)
            case "view_assigned":
                self._assigned(entry.view_assigned, entry.seq)
            case "view_released":
                self._released(entry.view_released)
            case "view_unregistered":
                self._keeping.drop(key_of(entry.view_unregistered.key), unregistered=True)
            case _:
                pass  # an SSP joined, or a command of a newer scheduler

    def _registered(self, spec: common_pb2.ViewSpec) -> None:
        view = self._registry.views.get(key_of(spec.key))
        if view is not None:
            same = view.same_query(spec)
            view.spec = spec
            if not same:
                self._keeping.plan(view)

    def _assigned(self, assigned: common_pb2.ViewAssigned, seq: int) -> None:
        key = key_of(assigned.spec.key)
        view = self._registry.views.get(key)
        if assigned.ssp_id != self._ssp_id:
            if assigned.handing_over_ssp_id == self._ssp_id and view is not None:
                self._cease(view)
            else:
                self._keeping.drop(key, unregistered=False)
            return
        self._emission.fence(assigned.fence_ssp_ids, seq)
        if view is None:
            view = self._registry.views[key] = View(key, assigned.spec)
        view.assigned_seq = seq
        self._hold(view, assigned.handing_over_ssp_id)
        if view.plan is None:
            self._keeping.plan(view)
        else:
            self._show(view)

    def _hold(self, view: View, handing_over_ssp_id: str) -> None:
        view.held, view.ceased = handing_over_ssp_id not in ("", self._ssp_id), False
        if view.held:
            self._arriving.add(view.key)

    def _cease(self, view: View) -> None:
        if not view.ceased:
            view.held, view.ceased = False, True
            self._emission.cease(view.key)

    def _released(self, released: common_pb2.ViewReleased) -> None:
        view = self._registry.views.get(key_of(released.key))
        if view is None:
            return
        if view.ceased:
            self._keeping.drop(view.key, unregistered=False)
        elif view.held and view.assigned_seq == released.assigned_seq:
            view.held = False
            self._show(view)

    def _show(self, view: View) -> None:
        """What its edges should be, to a writer that has not been told."""
        if view.holder is not None and view.state in (State.LIVE, State.LAGGING):
            self._keeping.emit_hydrated(view)
        elif view.state is State.FAILED:
            self._keeping.maybe_withdraw(view)
