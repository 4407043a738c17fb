"""What the engine wants done, as one record.

The driver carries it out: what concerns views to the edge writer (fences, drops, hydrations, deltas, cessions) and to
watchers, then queries to run, then what goes up the stream, the acknowledgement last. Nothing here waits for anything:
the engine has already moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.engine.events import ViewKey


@dataclass(frozen=True, slots=True)
class LoadPage:
    """Pull a page of a table exactly at `at_seq`."""

    load_id: int
    table: str
    at_seq: int
    after_key: bytes


class MemberChange(msgspec.Struct, frozen=True, gc=False):
    """One record in a view's delta. The edge's id is derived from (view, record, parent path)."""

    id: RecordId
    version: int  # seq of the record's last change
    parent: RecordId | None = None
    parent_rel: str = ""


class ViewDelta(msgspec.Struct, frozen=True):
    """The net effect of one step on one result, shared by all views with the same shape and binding.

    A view is exact at `seq` once the delta is applied. `views` are those whose members changed alike."""

    views: Sequence[ViewKey]
    seq: int
    added: Sequence[MemberChange] = ()
    updated: Sequence[MemberChange] = ()
    removed: Sequence[MemberChange] = ()


@dataclass(frozen=True, slots=True)
class ViewHydrated:
    """A view's first result here: the edge writer reads the stored edges and writes only the difference to `members`.

    `writes`: unless another SSP writes the view's edges still, or already; then this is for readers alone."""

    key: ViewKey
    surql: str
    params: bytes  # packed
    client_id: str
    ttl_ms: int
    seq: int
    members: Sequence[MemberChange]
    writes: bool = True
    registered_seq: int = 0


@dataclass(frozen=True, slots=True)
class ViewDropped:
    """The view left this SSP. `unregistered`: its edges go; else another SSP owns them now."""

    key: ViewKey
    unregistered: bool


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Run a re-evaluated view's query on SurrealDB, between two barriers; answer with QueryRan or QueryFailed.

    `surql` returns the result itself; `ids_surql` (empty: members have no ids) the same query whose rows carry the
    record id as `ids_field`. Both run in one transaction."""

    key: ViewKey
    run: int
    surql: str
    params: bytes
    ids_surql: str
    ids_field: str


@dataclass(slots=True)
class Ready:
    loads: list[LoadPage] = field(default_factory=list)
    loaded: bool = False  # the bootstrap's loads are all in: tell the scheduler, once
    hydrated: list[ViewHydrated] = field(default_factory=list)
    deltas: list[ViewDelta] = field(default_factory=list)
    dropped: list[ViewDropped] = field(default_factory=list)
    turned: dict[ViewKey, None] = field(default_factory=dict)  # their state, or their error, may be another
    ceased: list[ViewKey] = field(default_factory=list)  # handed over: their edges are another's from here on
    fences: dict[str, int] = field(default_factory=dict)  # lost owners: raise the epochs of their rows to these
    queries: list[RunQuery] = field(default_factory=list)
    applied_seq: int = 0  # acknowledge up to here
    frames: int = 0  # entry frames consumed since the last Ready: credit to return
