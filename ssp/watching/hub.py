"""Who watches which view, and what each is shown when: the state at a cut, of all views alike.

    engine steps ─▶ take(ready): what is touched ─▶ show(seq): look at it ─▶ a change to each watcher ─▶ progress

A *cut* is a place in the log at which every SSP shows what it has (`Entry.cut`), so that somebody who watches views on
several can put their states at one revision together; where the log falls idle between two, its end is shown too. What
is looked at only now and then (a large result) or has no exact result yet (a query that is being run) is *held back*:
its watches are named `unsettled` in the progress, and follow at a later cut.

A peer that does not read has a bounded outbox. What does not fit is void: its watches are shown whole, one by one, once
it has read what was there. So nobody's slowness costs anything but his own.

Invariant: what a watch was shown, folded, is the view's result at `seq`, or at the seq since which it is held back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.memory import Memory
from sp00ky.proto.pressure import Pressure
from sp00ky.proto.v1 import views_pb2
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import Ready
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.watching.exhibit import Exhibit, withdrawn

OUTBOX_BYTES_MAX: Final = 8 * 1024 * 1024  # waiting for one peer
WATCHES_MAX: Final = 100_000  # of one SSP
LARGE: Final = 2_000  # members or rows: such a result is looked at only at coarse cuts
COARSE_MS: Final = 250  # of the log's own clock, so that it is the same cut everywhere

Response = views_pb2.WatchViewsResponse


@dataclass(eq=False, slots=True)
class Watch:
    peer: Peer
    watch_id: int
    at_least_seq: int
    shown: bool = False  # what follows is changes


@dataclass(eq=False, slots=True)
class Watched:
    """A view that is watched, with rows or without."""

    key: ViewKey
    exhibit: Exhibit
    watches: dict[Watch, None] = field(default_factory=dict)
    touched: bool = True
    held_at: int | None = None  # held back: exact at this seq, which is not the hub's


class Peer:
    """The other end of one stream. `whole` makes the message that shows a view; `wake` says that there is something to
    take."""

    def __init__(self, whole: Callable[[Watched], views_pb2.ResultShown], wake: Callable[[], None]) -> None:
        self.watches: dict[int, tuple[Watched, Watch]] = {}
        self.overflows = 0
        self._whole = whole
        self._wake = wake
        self._outbox: deque[tuple[bytes, int | None]] = deque()  # messages; of one that ends a watch its number
        self._size = 0
        self._progress = False  # the last of the outbox is one
        self._owed: dict[Watch, Watched] = {}  # to be shown whole, once the outbox is empty
        self._ended: dict[int, bytes] = {}  # not taken yet: they are said whatever is dropped

    def change(self, watched: Watched, watch: Watch, response: Response) -> None:
        """A change of what was shown; what is too much is dropped, and all is shown anew."""
        data = response.SerializeToString()
        if self._outbox and self._size + len(data) > OUTBOX_BYTES_MAX:
            self._overflow()
        else:
            self._put(data)

    def show(self, watched: Watched, watch: Watch) -> None:
        """The whole, now or when there is room for it."""
        if self._size > OUTBOX_BYTES_MAX // 2:
            self._owed[watch] = watched
        else:
            self._put(self._shown(watched, watch))

    @property
    def waiting_bytes(self) -> int:
        return self._size

    def owes(self, watch: Watch) -> bool:
        return watch in self._owed

    def end(self, watch: Watch, reason: str) -> None:
        self.forget(watch)
        self.refuse(watch.watch_id, reason)

    def refuse(self, watch_id: int, reason: str) -> None:
        """In its place among the messages: what is told after it does not speak of the watch."""
        ended = views_pb2.WatchEnded(watch_id=watch_id, reason=reason)
        self._ended[watch_id] = Response(ended=ended).SerializeToString()
        self._put(self._ended[watch_id], watch_id)

    def forget(self, watch: Watch) -> None:
        self.watches.pop(watch.watch_id, None)
        self._owed.pop(watch, None)

    def progress(self, revision: str) -> None:
        """One that is not taken before the next is overtaken by it."""
        if self._progress:
            self._size -= len(self._outbox.pop()[0])
        unsettled = [
            watch_id
            for watch_id, (watched, watch) in self.watches.items()
            if watched.held_at is not None or not watch.shown
        ]
        self._put(
            Response(progress=views_pb2.WatchProgress(revision=revision, unsettled=unsettled)).SerializeToString()
        )
        self._progress = True

    def take(self) -> bytes | None:
        """The next message; None if there is none."""
        if self._outbox:
            data, ended = self._outbox.popleft()
            self._size -= len(data)
            self._progress = self._progress and bool(self._outbox)
            if ended is not None:
                self._ended.pop(ended, None)
            return data
        if self._owed:
            watch = next(iter(self._owed))
            return self._shown(self._owed.pop(watch), watch)
        return None

    def _shown(self, watched: Watched, watch: Watch) -> bytes:
        watch.shown = True
        message = self._whole(watched)
        message.watch_id = watch.watch_id
        return Response(shown=message).SerializeToString()

    def _put(self, data: bytes, ended: int | None = None) -> None:
        self._outbox.append((data, ended))
        self._size += len(data)
        self._progress = False
        self._wake()

    def _overflow(self) -> None:
        self.overflows += 1
        self._outbox = deque((data, watch_id) for watch_id, data in self._ended.items())
        self._size, self._progress = sum(map(len, self._ended.values())), False
        for watched, watch in self.watches.values():
            if watch.shown:
                watch.shown = False
                self._owed[watch] = watched
        self._wake()


class Hub:
    """The watches of one SSP. `token` makes the revision of a seq."""

    def __init__(self, engine: Engine, token: Callable[[int], str], memory: Memory) -> None:
        self.seq = 0  # of the last cut that was shown
        self.refused = 0
        self._overflows = 0
        self._engine = engine
        self._token, self._memory = token, memory
        self._watched: dict[tuple[ViewKey, bool], Watched] = {}
        self._of_key: dict[ViewKey, list[Watched]] = {}
        self._looked: dict[Watched, None] = {}  # to be looked at: touched, held back, or with somebody who waits
        self._coarse = 0
        self._peers: dict[Peer, None] = {}

    @property
    def watches(self) -> int:
        return sum(len(peer.watches) for peer in self._peers)

    @property
    def overflows(self) -> int:
        """How often a peer did not keep up, and was shown everything anew."""
        return self._overflows + sum(peer.overflows for peer in self._peers)

    def metrics(self) -> dict[str, float]:
        return {
            "watches": self.watches,
            "watch_streams": len(self._peers),
            "watches_refused_total": self.refused,
            "watch_overflows_total": self.overflows,
        }

    def __bool__(self) -> bool:
        """Whether anybody watches anything."""
        return bool(self._watched)

    # --- watches ---

    def join(self, wake: Callable[[], None]) -> Peer:
        peer = Peer(self._whole, wake)
        self._peers[peer] = None
        return peer

    def leave(self, peer: Peer) -> None:
        self._peers.pop(peer, None)
        self._overflows += peer.overflows
        for watch_id in list(peer.watches):
            self.close(peer, watch_id)

    def open(self, peer: Peer, watch_id: int, key: ViewKey, *, rows: bool, at_least_seq: int) -> None:
        """Raises Fault INVALID for a number that is in use. Past WATCHES_MAX, or where memory is short, the watch is
        ended at once."""
        if watch_id in peer.watches:
            raise Fault(Code.INVALID, f"watch {watch_id} is open already", "number the watches of a stream anew")
        if self.watches >= WATCHES_MAX:
            self.refused += 1
            peer.refuse(watch_id, f"this ssp has {WATCHES_MAX} watches")
            return
        if self._memory.pressure is Pressure.PRESSED:
            self.refused += 1
            peer.refuse(watch_id, "this ssp has no memory for it")
            return
        watched = self._watched.get((key, rows))
        if watched is None:
            watched = self._watched[key, rows] = Watched(key, Exhibit(rows=rows))
            self._of_key.setdefault(key, []).append(watched)
        watch = Watch(peer, watch_id, at_least_seq)
        watched.watches[watch] = None
        peer.watches[watch_id] = watched, watch
        self._looked[watched] = None

    def close(self, peer: Peer, watch_id: int) -> None:
        """A number that is not open was ended meanwhile."""
        found = peer.watches.pop(watch_id, None)
        if found is None:
            return
        watched, watch = found
        peer.forget(watch)
        watched.watches.pop(watch, None)
        if not watched.watches:
            self._unwatch(watched)

    def _unwatch(self, watched: Watched) -> None:
        del self._watched[watched.key, watched.exhibit.rows]
        self._looked.pop(watched, None)
        others = [each for each in self._of_key[watched.key] if each is not watched]
        if others:
            self._of_key[watched.key] = others
        else:
            del self._of_key[watched.key]

    def end_all(self, reason: str) -> None:
        """What was shown belongs to a store, or a state, that is gone."""
        self.seq = 0
        for watched in list(self._watched.values()):
            self._end(watched, reason)

    def _end(self, watched: Watched, reason: str) -> None:
        for watch in watched.watches:
            watch.peer.end(watch, reason)
        watched.watches.clear()
        self._unwatch(watched)

    # --- the engine moves ---

    def take(self, ready: Ready) -> None:
        """Note what a step has touched."""
        if not self._watched:
            return
        of_key = self._of_key
        for delta in ready.deltas:
            for key in delta.views:
                for watched in of_key.get(key, ()):
                    self._touch(watched)
                    watched.exhibit.reshow(delta.updated)
                    watched.exhibit.reshow(delta.added)  # it may have left since the last look, and show something else
        for hydrated in ready.hydrated:  # what was told of it before is void
            for watched in of_key.get(hydrated.key, ()):
                self._touch(watched)
                watched.exhibit.forget_rows()
        for key in (*ready.turned, *(each.key for each in ready.dropped)):
            for watched in of_key.get(key, ()):
                self._touch(watched)

    def _touch(self, watched: Watched) -> None:
        watched.touched = True
        self._looked[watched] = None

    def is_coarse(self, at_ms: int) -> bool:
        """Whether this cut, at this time of the log's clock, is one at which large results are looked at."""
        before, self._coarse = self._coarse, at_ms // COARSE_MS
        return self._coarse != before

    @property
    def eager(self) -> bool:
        """Whether something waits to be looked at."""
        return bool(self._looked)

    def show(self, *, coarse: bool) -> None:
        """Show what has become of everything watched, as of the engine's present state: a cut, or the end of an idle
        log."""
        if not self._engine.loaded or self._engine.applied_seq < self.seq:
            return
        before, self.seq = self.seq, self._engine.applied_seq
        settled = False
        for watched in list(self._looked):
            settled = self._look(watched, before, coarse=coarse) or settled
        if self.seq != before or settled:
            revision = self._token(self.seq)
            for peer in self._peers:
                if peer.watches:
                    peer.progress(revision)

    def _look(self, watched: Watched, before: int, *, coarse: bool) -> bool:
        """Whether it was held back until now."""
        reading = self._engine.view(watched.key)
        if reading is None:
            self._end(watched, f'view "{watched.key.id}" is not on this ssp')
            return False
        if self._must_wait(watched, reading, coarse=coarse):
            if watched.held_at is None:
                watched.held_at = before
            return False
        settled, since = watched.held_at is not None, before if watched.held_at is None else watched.held_at
        watched.held_at = None
        if watched.touched:
            watched.touched = False
            message = watched.exhibit.look(reading, self._token(self.seq))
            if message is not None:
                self._tell(watched, message, since)
        waited = self._show_to_those_who_wait(watched)
        if reading.mode == "incremental" and all(watch.shown or watch.peer.owes(watch) for watch in watched.watches):
            del self._looked[watched]  # else: a re-evaluated view is not told when a run begins
        return settled or waited

    def _must_wait(self, watched: Watched, reading: ViewReading, *, coarse: bool) -> bool:
        """Whether the view has no state at this cut that could be shown, or is looked at more seldom."""
        if withdrawn(reading):
            return False
        if reading.state is State.PENDING or (reading.seq == 0 and reading.state is not State.FAILED):
            return True
        if reading.unsettled and reading.state is not State.LAGGING:
            return True
        return watched.touched and watched.exhibit.size > LARGE and not coarse

    def _tell(self, watched: Watched, message: views_pb2.ResultChanged | views_pb2.ResultShown, since: int) -> None:
        for watch in watched.watches:
            if not watch.shown:
                continue
            if isinstance(message, views_pb2.ResultShown):
                watch.peer.show(watched, watch)
                continue
            message.watch_id = watch.watch_id
            message.from_revision = self._token(since)
            watch.peer.change(watched, watch, Response(changed=message))

    def _show_to_those_who_wait(self, watched: Watched) -> bool:
        """Whether anybody did."""
        waiting = [
            watch
            for watch in watched.watches
            if not watch.shown and not watch.peer.owes(watch) and self.seq >= watch.at_least_seq
        ]
        for watch in waiting:
            watch.peer.show(watched, watch)
        return bool(waiting)

    def _whole(self, watched: Watched) -> views_pb2.ResultShown:
        message = watched.exhibit.whole()
        message.state.revision = self._token(self.seq if watched.held_at is None else watched.held_at)
        return message
