"""What the coordinator wants done, as one record.

The driver carries it out in the order of the fields: entries, rows, meta and pins in one commit; the fsync; then, and
only then, replies, welcomes and ends of streams. Whoever is told something is told what is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sp00ky.proto.faults import Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.scheduler.datastore.datastore import MetaWrite, PinWrite, RowWrite
from sp00ky.scheduler.entries import EncodedEntries


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer for a ticket: the seq that makes it true (always a `txn_last`), or the fault."""

    ticket: int
    seq: Seq
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class SspWelcomed:
    session_id: int
    welcome: replication_pb2.Welcome


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """End this stream: with a `Rebootstrap` frame if there is a reason for one, else with the fault."""

    session_id: int
    fault: Fault | None
    rebootstrap: str = ""


@dataclass(slots=True)
class Ready:
    entries: EncodedEntries = field(default_factory=EncodedEntries)
    commands: list[common_pb2.Entry] = field(default_factory=list)  # those among the entries that are, to be told of
    rows: list[RowWrite] = field(default_factory=list)
    meta: list[MetaWrite] = field(default_factory=list)
    pins: list[PinWrite] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    welcomed: list[SspWelcomed] = field(default_factory=list)
    ended: list[SessionEnded] = field(default_factory=list)

    @property
    def commits(self) -> bool:
        """Whether there is anything to append."""
        return bool(self.entries or self.meta or self.pins)
