"""One event as every reader gets it: made once, written to all of them.

Only the view's id differs between readers, since each has it as he wrote it, and whether the event's id is one that he
may come back with. What was encoded for one is kept for the next who asks for the same.
"""

from __future__ import annotations

from typing import Final

import orjson
from sp00ky.gateway.sse import encode_event

FORMS_MAX: Final = 4  # spellings that are kept of one event
OVERHEAD_BYTES: Final = 700  # of one event that is kept, beside its text


class Event:
    """`rest`: the body's fields after `type` and `id`, as JSON without the opening brace. `token`: the revision."""

    __slots__ = ("_made", "kind", "rest", "token")

    def __init__(self, kind: str, token: str, rest: bytes) -> None:
        self.kind, self.token, self.rest = kind, token, rest
        self._made: dict[tuple[str, str | None, bool], bytes] = {}

    @property
    def size(self) -> int:
        """About what it takes to keep it."""
        return len(self.rest) + OVERHEAD_BYTES

    def rest_alone(self) -> None:
        """Most readers have it: what was encoded for them need not be kept."""
        self._made = {}

    def as_sse(self, view_id: str | None, *, resumable: bool) -> bytes:
        """As a server-sent event; `resumable`: its id is a revision that a reader may come back with."""
        return self._encoded("sse", view_id, resumable)

    def as_message(self, view_id: str | None) -> bytes:
        """As the text of a WebSocket message."""
        return self._encoded("message", view_id, False)

    def _encoded(self, form: str, view_id: str | None, resumable: bool) -> bytes:
        key = form, view_id, resumable
        made = self._made.get(key)
        if made is None:
            named = b"" if view_id is None else b'"id":%b,' % orjson.dumps(view_id)
            if form == "sse":
                event_id = self.token if resumable else ""
                made = encode_event(b"{" + named + self.rest, name=self.kind, event_id=event_id)
            else:
                made = b'{"type":"%b",' % self.kind.encode() + named + self.rest
            if len(self._made) < FORMS_MAX:
                self._made[key] = made
        return made
