"""Server-sent events, read: bytes in, whole events out.

Format: WHATWG HTML, "Server-sent events", as far as the mesh writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

EVENT_BYTES_MAX = 256 * 1024 * 1024  # of one event: a whole result


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`event_id` is empty where the event has none of its own."""

    name: str
    event_id: str
    data: bytes


class EventReader:
    """Feed it what arrives, in any pieces. Raises ValueError when an event is larger than EVENT_BYTES_MAX."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._size = 0
        self._name = self._event_id = ""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """The events that it completes."""
        self._size += len(piece)
        if self._size > EVENT_BYTES_MAX:
            raise ValueError(f"an event is larger than {EVENT_BYTES_MAX} bytes")
        *lines, rest = piece.split(b"\n")
        for line in lines:
            whole = b"".join((*self._pieces, line)).removesuffix(b"\r")
            self._pieces.clear()
            event = self._line(whole)
            if event is not None:
                self._size = len(piece)
                yield event
        if rest:
            self._pieces.append(rest)

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                self._name = value.decode()
            case b"id":
                self._event_id = value.decode()
            case b"data":
                self._data.append(value)
        return None  # a comment, `retry`, or something newer

    def _event(self) -> ServerEvent | None:
        event = ServerEvent(self._name or "message", self._event_id, b"\n".join(self._data)) if self._data else None
        self._name = self._event_id = ""
        self._data = []
        return event
