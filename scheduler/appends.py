"""The span of an append: from the offer of changes until they are durable, and how they come to say whose they are.

The last change of an offer carries the span's traceparent from here on, through log and stream: when it is applied, all
of the offer is. The others say nothing, so that a large batch costs 57 bytes and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sp00ky.proto.tracing import Begun, begin
from sp00ky.scheduler.changes import CanonicalChange, marked


@contextmanager
def appending(name: str, changes: list[CanonicalChange], *, root: bool = False) -> Iterator[Begun | None]:
    """The span of these changes, the last of which is marked in place; None where nothing is traced. Who leaves in
    peace ends it; an exception that passes does."""
    append = begin(name, root=root) if changes else None
    if append is None:
        yield None
        return
    changes[-1] = marked(changes[-1], append.traceparent)
    try:
        yield append
    except BaseException as error:
        append.end(error=error)
        raise
