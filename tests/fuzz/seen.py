"""That a user's view never holds a record that the user may not read: not at the end of a step, and not within it.

What an engine emits is what leaves it: each hydration, each delta, and what they add up to, which is what stands in the
database for the user to see. Whatever was emitted since the last transaction must be shown to the user by the engine
now, and what was emitted before must have been taken back if it is not, whether the view lives or has failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.text import to_surql
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import Ready

from tests.fuzz.bench import Bench
from tests.fuzz.play import Asked, Difference
from tests.harness.driven_engine import Driven


def unseen(driven: Driven, asked: Sequence[Asked], step: int, bench: Bench) -> Iterator[Difference]:
    """What was emitted for a user that he cannot read, since this was asked last; and what he still holds."""
    users = {ViewKey(each.name): each for each in asked if each.query.auth}
    readies, driven.readies = driven.readies, []
    emitted = [found for ready in readies for found in _emitted(ready)]
    for kind, records in (("shows", emitted), ("keeps", _held(driven))):
        for key, record in dict.fromkeys(records):
            to = users.get(key)
            if to is not None and not bench.shows(record, to.query.auth):
                yield Difference(f"{kind} what the user cannot read", to.query, step, to_surql(record), "nothing")


def _emitted(ready: Ready) -> Iterator[tuple[ViewKey, RecordId]]:
    for hydrated in ready.hydrated:
        yield from ((hydrated.key, member.id) for member in hydrated.members)
    for delta in ready.deltas:
        for key in delta.views:
            yield from ((key, member.id) for member in (*delta.added, *delta.updated))


def _held(driven: Driven) -> Iterator[tuple[ViewKey, RecordId]]:
    for key, members in driven.members.items():
        yield from ((key, record) for record in members)
    for key, children in driven.children.items():
        yield from ((key, record) for _, _, record in children)
