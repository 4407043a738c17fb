"""A writer of edges over the real engine, told by a test what the engine would tell it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.edges.statements import Facts
from sp00ky.ssp.edges.writer import EdgeWriter
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, Ready, ViewDelta, ViewDropped, ViewHydrated

KEY = ViewKey("v1")


def writer_of(database: Database, ssp_id: str, incarnation: int, *, dedicated: bool = True) -> EdgeWriter:
    facts = Facts("rev", "hash", 1, "live", "incremental", ssp_id)
    writer = EdgeWriter(
        database,
        ssp_id,
        window_ms=0,
        facts_of=lambda key: facts,
        prepare=partial(install, database),
        dedicated=dedicated,
    )
    writer.begin(incarnation)
    return writer


def hydrated(members: Sequence[MemberChange], key: ViewKey = KEY) -> ViewHydrated:
    return ViewHydrated(key, "SELECT * FROM t", b"", "client", 0, 10, members)


def member(key: int | str, version: int = 1) -> MemberChange:
    return MemberChange(RecordId("t", key), version)


def tell(
    writer: EdgeWriter, *told: ViewHydrated | ViewDelta | ViewDropped, applied_seq: int = 0, **fences: int
) -> None:
    """One engine step's worth, of an SSP that has applied its own joining."""
    ready = Ready(fences=fences, applied_seq=applied_seq or writer.owed.incarnation)
    for each in told:
        match each:
            case ViewHydrated():
                ready.hydrated.append(each)
            case ViewDelta():
                ready.deltas.append(each)
            case ViewDropped():
                ready.dropped.append(each)
    writer.take(ready)
