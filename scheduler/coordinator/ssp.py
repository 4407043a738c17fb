"""One SSP as the coordinator knows it, and how that is kept over a restart of the scheduler.

Kept: its incarnation (may it resume?), whether its load ended (may it resume at all?), whether it drains, and its
addresses (reads are forwarded before it says hello again). Not kept: progress and heartbeats, which its next hello
brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sp00ky.proto.pressure import Pressure, pressure_of
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import replication_pb2
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.coordinator.events import NO_SEQ
from sp00ky.scheduler.coordinator.lag import Lag
from sp00ky.scheduler.coordinator.membership import DOCUMENTED, Phase, Signal, phase_after
from sp00ky.scheduler.coordinator.progress import Credit, Progress
from sp00ky.scheduler.datastore.datastore import MetaWrite

META_PREFIX = b"ssp/"
NO_SESSION = 0


@dataclass(slots=True)
class Ssp:
    id: str
    http_only: bool = False  # it knows neither incarnations nor fences, keeps no user's view, and answers no read
    phase: Phase = Phase.JOINING
    incarnation: Seq = NO_SEQ
    loaded: bool = False  # its load ended under this incarnation, so what it holds can be resumed
    http_url: str = ""
    grpc_address: str = ""
    version: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    session_id: int = NO_SESSION
    progress: Progress = field(default_factory=lambda: Progress.at(NO_SEQ, Credit(1), False))
    written_seq: Seq = NO_SEQ  # under its incarnation
    draining: bool = False  # no view is placed on it, and those it has move away
    lag: Lag = field(default_factory=Lag)
    placed_since_beat: int = 0  # views
    shed_since_beat: bool = False  # views were to move away, since it is pressed
    caught_up_seq: Seq = NO_SEQ  # ready once it has acknowledged this
    seen_ms: int = 0
    joined_ms: int = 0
    loading_since_ms: int = 0
    heartbeat: replication_pb2.Heartbeat = field(default_factory=replication_pb2.Heartbeat)

    @property
    def documented_state(self) -> str:
        return DOCUMENTED[self.phase]

    @property
    def claimed(self) -> bool:
        """It has written under its incarnation, so the database refuses its earlier ones."""
        return self.written_seq > NO_SEQ

    @property
    def pressure(self) -> Pressure:
        """By its last heartbeat; one that has told of none has room."""
        return pressure_of(self.heartbeat.memory_bytes, self.heartbeat.memory_bytes_max)

    @property
    def has_room(self) -> bool:
        return self.pressure is Pressure.ROOM

    @property
    def loading(self) -> bool:
        """Its load's revision is pinned."""
        return self.phase is Phase.LOADING

    def take(self, signal: Signal) -> None:
        self.phase = phase_after(self.phase, signal)

    def introduce(self, hello: replication_pb2.Hello, session_id: int, now_ms: int) -> None:
        """Take what a hello says about the process, and its stream as the current one."""
        self.http_url, self.grpc_address, self.version = hello.http_url, hello.grpc_address, hello.version
        self.env = dict(hello.env)
        self.session_id, self.seen_ms = session_id, now_ms

    def meta(self) -> MetaWrite:
        fields = [int(self.incarnation), self.loaded, self.draining, self.http_url, self.grpc_address, self.version]
        return MetaWrite(META_PREFIX + self.id.encode(), pack([*fields, self.http_only]))

    def no_meta(self) -> MetaWrite:
        return MetaWrite(META_PREFIX + self.id.encode(), None)


def restored_ssp(name: bytes, value: bytes, now_ms: int) -> Ssp:
    """An SSP of before the restart: without a stream, present until the heartbeat timeout from now."""
    incarnation, loaded, draining, http_url, grpc_address, version, *later = unpack(value)
    return Ssp(
        id=name[len(META_PREFIX) :].decode(),
        http_only=bool(later and later[0]),  # stores of before have no such field
        phase=Phase.STALE,
        incarnation=Seq(incarnation),
        loaded=loaded,
        draining=draining,
        http_url=http_url,
        grpc_address=grpc_address,
        version=version,
        progress=Progress.at(Seq(incarnation), Credit(1), False),
        seen_ms=now_ms,
        joined_ms=now_ms,
    )
