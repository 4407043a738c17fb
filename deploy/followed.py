"""A stream of events of a mesh, for commands that follow it: comes back by itself with the id of the last event.

Standard library only, as `remote.py`. A stream that says nothing for three times as long as servers take to say that
they live is dead, and asked for anew.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from sp00ky.deploy.remote import Remote
from sp00ky.gateway.event_reader import EventReader
from sp00ky.proto.faults import Code, Fault

SILENCE_SECONDS: Final = 45.0
PAUSES_SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
LASTING: Final = frozenset({Code.UNAVAILABLE, Code.TIMEOUT, Code.OVERLOADED, Code.NOT_READY})
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Event(NamedTuple):
    name: str
    id: str
    data: Any


def follow(
    remote: Remote, path: str, since: str = "", *, lost: Callable[[Fault], None] = lambda fault: None
) -> Iterator[Event]:
    """Events for ever; `lost` hears why a stream ended, before it is asked for again. Raises Fault if it never was
    there, and what asking again would not change."""
    last, failures, was_there = since, 0, False
    while True:
        try:
            for event in _once(remote, path, last):
                last, failures, was_there = event.id or last, 0, True
                if event.name == "fault":
                    break
                yield event
            fault = Fault(Code.UNAVAILABLE, f"{remote.url} ended the stream")
        except Fault as error:
            if not was_there or error.code not in LASTING:
                raise
            fault = error
        lost(fault)
        time.sleep(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
        failures += 1


def _once(remote: Remote, path: str, last: str) -> Iterator[Event]:
    headers = {**remote.headers, "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    try:
        request = urllib.request.Request(remote.url + path, headers=headers)
        with _OPENER.open(request, timeout=SILENCE_SECONDS) as response:
            reader = EventReader()
            for line in response:
                for event in reader.feed(line):
                    yield Event(event.name, event.event_id, json.loads(event.data))
    except urllib.error.HTTPError as error:
        raise remote.refusal(path, error.code, error.read()) from None
    except (OSError, http.client.HTTPException) as error:
        raise remote.unanswered(error) from None
