"""Collaborative fields of one SSP: what its service, its tests and its process need, put together.

Besides answering it tends: what clients have written into rows themselves is merged within `SWEEP_SECONDS`, cursors are
deleted when their time is over. Every SSP does so; the transactions sort out who was first.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, common_pb2
from sp00ky.proto.values.kinds import Duration, Range
from sp00ky.proto.values.text import TextError, parse_record_id
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.crdt.declared import Kind, stated
from sp00ky.ssp.crdt.documents import Documents, Reading
from sp00ky.ssp.crdt.limits import limits_of
from sp00ky.ssp.crdt.measures import CrdtMeasures
from sp00ky.ssp.crdt.presence import Presence, field_of
from sp00ky.ssp.crdt.rights import Rights
from sp00ky.ssp.crdt.schema import Schema
from sp00ky.ssp.crdt.store import Place, Store

SWEEP_SECONDS: Final = 1.0
SWEEP_ROWS_MAX: Final = 256
PEER_CHARS_MAX: Final = 128
TEXT_CHARS_MAX: Final = 512  # of a table, a field, a record's id
EXPIRE_EVERY: Final = 10  # sweeps

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """A document as it is asked for: `record` is the text of an id."""

    table: str
    record: str
    field: str

    def place(self) -> Place:
        """Raises Fault INVALID, also for a record of another table."""
        for name, text in zip(("table", "record_id", "field"), self, strict=True):
            if not text or len(text) > TEXT_CHARS_MAX:
                raise Fault(Code.INVALID, f"{name} is empty or longer than {TEXT_CHARS_MAX} characters")
        try:
            record = parse_record_id(self.record)
        except (TextError, RecursionError) as error:
            raise Fault(Code.INVALID, f"record_id is no record id: {error}"[:200], "for example thread:1") from None
        if isinstance(record.key, Range):
            raise Fault(Code.INVALID, "record_id is a range of records", "for example thread:1")
        if record.table != self.table:
            raise Fault(Code.INVALID, f'record_id is of table "{record.table[:64]}", not of "{self.table}"')
        return Place(record, self.field)


class Collaboration:
    """`ready`: whether this SSP serves. `start` and `stop` its upkeep."""

    def __init__(self, settings: SspSettings, database: Database, ready: Callable[[], bool]) -> None:
        self.measures = CrdtMeasures()
        self._ready = ready
        self._store = Store(database)
        self._schema = Schema(database, stated(settings.crdt_fields))
        self._rights = Rights(database)
        self._ttl_secs = settings.crdt_presence_secs
        self._presence = Presence(self._store, self._ttl_secs)
        self.documents = Documents(self._store, limits_of(settings), self.measures)
        self._upkeep: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._upkeep = asyncio.create_task(self._tend(), name="crdt upkeep")

    async def stop(self) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await self.documents.close()
        await self._rights.close()

    async def apply(self, at: Address, update: bytes, peer: str, token: str) -> int:
        """The document's rev once the update is durable. Raises Fault."""
        try:
            self._require_ready()
            if len(peer) > PEER_CHARS_MAX:
                raise Fault(Code.INVALID, f"peer has {len(peer)} characters, the limit is {PEER_CHARS_MAX}")
            place = at.place()
            if field := field_of(at.field):
                rules = await self._schema.field(at.table, field)
                await self._rights.require_select(token, Place(place.record, field), rules)
                return await self._presence.show(place, update)
            rules = await self._schema.field(at.table, at.field)
            await self._rights.require_update(token, place, rules)
            return await self.documents.apply(place, rules.kind, update, peer)
        except Fault as fault:
            self.measures.rejected(fault.code.value.removeprefix("SPKY_").lower())
            raise

    async def read(self, at: Address, version: bytes, token: str) -> tuple[Kind, Reading]:
        """Raises Fault."""
        self._require_ready()
        place, rules = at.place(), await self._schema.field(at.table, at.field)
        await self._rights.require_select(token, place, rules)
        return rules.kind, await self.documents.read(place, rules.kind, version)

    def _require_ready(self) -> None:
        if not self._ready():
            raise Fault(Code.NOT_READY, "SSP is in Bootstrapping state", "try again soon")

    # --- upkeep ---

    async def _tend(self) -> None:
        turn = random.randrange(EXPIRE_EVERY)
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * SWEEP_SECONDS)
            turn += 1
            try:
                await self.merge_pushed()
                if turn % EXPIRE_EVERY == 0:
                    await self.expire_presence()
            except Fault as fault:
                log.info("collaborative fields: %s", fault)

    async def expire_presence(self) -> None:
        """Forget the cursors that nobody says any more. Raises Fault UNAVAILABLE, TIMEOUT."""
        await self._store.expire(Duration(self._ttl_secs * 1_000_000_000))

    async def merge_pushed(self) -> None:
        """Merge what clients have written into rows themselves; forget what belongs nowhere. Raises Fault UNAVAILABLE,
        TIMEOUT."""
        homeless = []
        for push, place in await self._store.pushed(SWEEP_ROWS_MAX):
            try:
                if place is None:
                    homeless.append(push)
                    continue
                rules = await self._schema.field(place.record.table, place.field)
                await self.documents.absorb(place, rules.kind)
            except Fault as fault:
                if fault.code in (Code.UNAVAILABLE, Code.TIMEOUT):
                    raise
                self.measures.rejected("pushed")
                log.warning("what a client wrote to %s stays as it is: %s", place, fault)
                homeless.append(push)
        if homeless:
            await self._store.drop_pushed(homeless)

    # --- beside the driver ---

    def entered(self, entries: Sequence[common_pb2.Entry]) -> None:
        """Nothing here follows the log."""

    def metrics(self) -> Mapping[str, float]:
        return {"crdt_documents": len(self.documents), **self.measures.metrics()}

    def distributions(self) -> Sequence[admin_pb2.Distribution]:
        return [self.measures.merge_seconds.message("spky_crdt_merge_duration_seconds")]
