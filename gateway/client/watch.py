"""From the events of a stream to steps, over any number of connections.

Of one view each change is a step, and its event's id is the revision to come back with. Several views are at one
revision where `up-to-date` says so: what was told since the last one is kept until then, and is void when the
connection breaks, since it is told again.

Invariant: `since` is a revision at which everything that was folded is exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sp00ky.gateway.client.delta import Folded, Step
from sp00ky.gateway.event_reader import ServerEvent
from sp00ky.proto.faults import Code, Fault


class Watch:
    """The state of one watch. `since`: empty until there is something to come back with."""

    def __init__(self, views: Sequence[str], *, rows_asked: bool) -> None:
        if not views or len(set(views)) != len(views):
            raise Fault(Code.INVALID, "views to watch are none, or one is named twice")
        self.views = list(views)
        self.rows_asked = rows_asked
        self.since = ""
        self._folded = {view: Folded(view, rows_asked) for view in views}
        self._pending: list[tuple[str, Mapping[str, Any]]] = []

    def broke(self) -> None:
        """The connection is gone, and with it what is only known in part."""
        self._pending.clear()

    def take(self, event: ServerEvent) -> Step | None:
        """The step that the event completes. Raises Fault: NOT_FOUND for a view that is gone, or what the server says
        of the stream itself."""
        body: dict[str, Any] = json.loads(event.data)
        match event.name:
            case "snapshot" | "delta":
                self._pending.append((event.name, body))
            case "up-to-date":
                pass
            case "gone" | "fault":
                raise Fault(Code(body["code"]), body["message"], body.get("hint", ""))
            case _:
                return None  # `must-refetch`, before a snapshot, and whatever is newer than this client
        if not event.event_id:
            return None  # not all of it is at a revision to come back with
        self.since = event.event_id
        return self._step(body["revision"])

    def _step(self, revision: str) -> Step | None:
        if not self._pending:
            return None
        moved = dict.fromkeys(body["id"] for _, body in self._pending)
        for kind, body in self._pending:
            self._folded[body["id"]].take(kind, body)
        self._pending.clear()
        return Step(revision, {view: self._folded[view].delta(revision) for view in moved})
