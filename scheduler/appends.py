"""The span of an append: from the offer of changes until they are durable, and how they come to say whose they are.

The last change of an offer carries the span's traceparent from here on, through log and stream: when it is applied, all
of the offer is. The others say nothing, so that a large batch costs 57 bytes and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sp00ky.proto.tracing import Begun, begin
from sp00ky.proto.v1.common_pb2 import Change
from sp00ky.scheduler.changes import CanonicalChange, canonical_change, marked

_SLICE_CHANGES: Final = 1000  # without a pause


async def canonical_transactions(transactions: Sequence[Sequence[Change]]) -> list[list[CanonicalChange]]:
    """What the capture offers, in the exact form. The event loop goes on meanwhile: it may be 100,000 changes."""
    made: list[list[CanonicalChange]] = []
    for changes in transactions:
        made.append([])
        for at in range(0, len(changes), _SLICE_CHANGES):
            if at:
                await asyncio.sleep(0)
            made[-1] += map(canonical_change, changes[at : at + _SLICE_CHANGES])
    return made


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
