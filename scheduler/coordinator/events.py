"""What the coordinator is told: past-tense nouns, plain data, in the order the driver saw them.

A `ticket` is the driver's number for a caller who waits; the answer comes back under it in `Ready.replies`. A
`session_id` numbers one stream of an SSP; a newer stream of the same SSP replaces the older one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.changes import CanonicalChange
from sp00ky.scheduler.datastore.datastore import MetaWrite

NO_SEQ: Final = Seq(0)  # before the first entry


class ViewKey(NamedTuple):
    """A view is (id, auth id); auth id is empty for a view registered by a service."""

    id: str
    auth_id: str = ""


@dataclass(frozen=True, slots=True)
class ChangesOffered:
    """Canonical changes, each inner sequence one transaction, and meta to commit with them."""

    ticket: int
    transactions: Sequence[Sequence[CanonicalChange]]
    meta: Sequence[MetaWrite] = ()


@dataclass(frozen=True, slots=True)
class ViewRequested:
    """A client wants a view; `spec.params` is packed and the query has been admitted. `shape`: what it has in common
    with views that would share a circuit with it; empty if with none."""

    ticket: int
    spec: common_pb2.ViewSpec
    shape: str = ""


@dataclass(frozen=True, slots=True)
class ViewAbandoned:
    """A client gave a view up; `client_id` empty: whoever else holds it."""

    ticket: int
    key: ViewKey
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class SspSaidHello:
    """`http_only`: it speaks no gRPC, and `scheduler/foreign` speaks for it."""

    session_id: int
    hello: replication_pb2.Hello
    log_floor_seq: Seq  # the oldest entry the log still holds
    floor_seq: Seq = NO_SEQ  # the oldest readable revision
    http_only: bool = False


@dataclass(frozen=True, slots=True)
class SspLoaded:
    session_id: int


@dataclass(frozen=True, slots=True)
class SspAcked:
    session_id: int
    applied_seq: Seq
    written_seq: Seq
    frames: int


@dataclass(frozen=True, slots=True)
class SspBeat:
    session_id: int
    heartbeat: replication_pb2.Heartbeat


@dataclass(frozen=True, slots=True)
class SspFellBehind:
    """The log, or the snapshot's revision, that this stream needs is no longer retained."""

    session_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class ViewRefused:
    """The owner of a view cannot keep it, for this reason, however often it is asked."""

    session_id: int
    key: ViewKey
    reason: str


@dataclass(frozen=True, slots=True)
class StreamLost:
    session_id: int


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """An operator wants an SSP without views; `undo`: with views again."""

    ticket: int
    ssp_id: str
    undo: bool = False


@dataclass(frozen=True, slots=True)
class ResyncRequested:
    """An operator wants SSPs to load anew: one, or every one ("")."""

    ticket: int
    ssp_id: str = ""


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time moved on. Every group of events starts with one."""

    now_ms: int  # monotonic: timeouts
    wall_ms: int  # unix: for people


Event: TypeAlias = (
    ChangesOffered
    | ViewRequested
    | ViewAbandoned
    | SspSaidHello
    | SspLoaded
    | SspAcked
    | SspBeat
    | SspFellBehind
    | ViewRefused
    | StreamLost
    | DrainRequested
    | ResyncRequested
    | Ticked
)
