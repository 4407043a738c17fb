"""Which capture a setting asks for."""

from __future__ import annotations

from typing import Literal

from sp00ky.proto.database import Database
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.hinted import HintedCapture
from sp00ky.scheduler.capture.sink import Sink
from sp00ky.scheduler.capture.woken import WokenCapture


def capture_of(
    kind: Literal["changefeed", "events", "live"], database: Database, sink: Sink, *, poll_ms: int, letters_max: int
) -> Capture:
    if kind == "events":
        return HintedCapture(database, sink, dead_letters_max=letters_max)
    if kind == "live":
        return WokenCapture(database, sink, poll_ms=poll_ms, dead_letters_max=letters_max)
    return Capture(database, sink, poll_ms=poll_ms, dead_letters_max=letters_max)
