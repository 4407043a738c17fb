"""Collects the next Ready, so that carrying it out in the driver's order (drops, hydrations, deltas) is right.

Invariant: in one Ready a view is not hydrated before it is dropped, and no delta names a view that was dropped or
hydrated after the delta was made; a view that ceased and was then hydrated or dropped has not ceased.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import LoadPage, Ready, RunQuery, ViewDelta, ViewDropped, ViewHydrated


class Emission:
    """One Ready in the making."""

    def __init__(self) -> None:
        self._ready = Ready()
        self._hydrated: dict[ViewKey, ViewHydrated] = {}
        self._dropped: dict[ViewKey, ViewDropped] = {}
        self._named: set[ViewKey] = set()  # by a delta
        self._ceased: dict[ViewKey, None] = {}

    def load(self, page: LoadPage) -> None:
        self._ready.loads.append(page)

    def become_loaded(self) -> None:
        self._ready.loaded = True

    def run(self, query: RunQuery) -> None:
        self._ready.queries.append(query)

    def count_frame(self) -> None:
        self._ready.frames += 1

    def delta(self, delta: ViewDelta) -> None:
        if delta.views:
            self._ready.deltas.append(delta)
            self._named.update(delta.views)

    def hydrate(self, hydrated: ViewHydrated) -> None:
        self._recant(hydrated.key)
        self._hydrated[hydrated.key] = hydrated

    def drop(self, dropped: ViewDropped) -> None:
        self._recant(dropped.key)
        self._dropped[dropped.key] = dropped

    def turn(self, key: ViewKey) -> None:
        self._ready.turned[key] = None

    def cease(self, key: ViewKey) -> None:
        self._ceased[key] = None

    def fence(self, former: Iterable[str], epoch: int) -> None:
        for ssp_id in former:
            self._ready.fences[ssp_id] = max(epoch, self._ready.fences.get(ssp_id, 0))

    def _recant(self, key: ViewKey) -> None:
        """Take back what was said of the view: it starts over, or ends."""
        self._hydrated.pop(key, None)
        self._ceased.pop(key, None)
        if key in self._named:
            self._named.discard(key)
            deltas = [
                msgspec.structs.replace(each, views=tuple(view for view in each.views if view != key))
                for each in self._ready.deltas
            ]
            self._ready.deltas = [each for each in deltas if each.views]

    def forget(self) -> None:
        """The stream begins anew: requests to the old one and deltas of dropped state are void."""
        self._ready = Ready()
        self._hydrated, self._ceased = {}, {}
        self._named = set()

    def drain(self, applied_seq: int) -> Ready:
        ready, self._ready = self._ready, Ready()
        ready.hydrated += self._hydrated.values()
        ready.dropped += self._dropped.values()
        ready.ceased += self._ceased
        ready.applied_seq = applied_seq
        self._hydrated, self._dropped, self._ceased, self._named = {}, {}, {}, set()
        return ready
