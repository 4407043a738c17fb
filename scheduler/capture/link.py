"""The connection to the database, and how another one, or another database behind it, is recognised.

A variable of the session is set when we connect: a connection that somebody else made in between does not have it. A
row of `_00_instance` holds what the capture wrote when it last compared every table: a database that lost its data, or
was set back to before that, does not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Datetime, RecordId, Value

INSTANCE_TABLE: Final = "_00_instance"


@dataclass(frozen=True, slots=True)
class Health:
    """What the database says of itself. `session`: set by us when we connected; another one is another connection."""

    session: Value
    instance: Value
    clock_ms: int


def instance_kind_of(instance: str) -> str:
    """The kind of capture that wrote it: empty for the changefeed's."""
    kind, dash, _ = instance.rpartition("-")
    return kind + dash


class Link:
    def __init__(self, database: Database, store_id: str) -> None:
        self._database = database
        self._instance_id = RecordId(INSTANCE_TABLE, store_id)
        self._variable = f"spky_capture_{uuid4().hex}"  # others may share the connection
        self._session = ""

    async def open(self) -> None:
        await self._database.connect()
        self._session = uuid4().hex
        await self._database.rpc("let", [self._variable, self._session])

    async def health(self) -> Health:
        text = f"RETURN ${self._variable}; RETURN time::now(); SELECT VALUE instance FROM $id"
        results = await self._database.query_raw(text, {"id": self._instance_id})
        failure = cause_of(results)
        if failure is not None and failure.code is not Code.NOT_FOUND:
            raise failure
        clock: Datetime = results[1].result
        instances = results[2].result or ()
        return Health(results[0].result, instances[0] if instances else "", clock.ns // 1_000_000)

    def require_same(self, health: Health, instance: str) -> None:
        """Raises Fault(UNAVAILABLE) if this is a new connection that somebody else made, or another database."""
        if health.session != self._session or health.instance != instance:
            raise Fault(Code.UNAVAILABLE, "connection to the database was replaced")

    async def write_instance(self, instance: str) -> None:
        define = f"DEFINE TABLE IF NOT EXISTS {INSTANCE_TABLE} SCHEMALESS PERMISSIONS NONE"
        await self._database.query(define, conflict_retries=10)
        variables = {"id": self._instance_id, "instance": instance}
        await self._database.query("UPSERT $id SET instance = $instance", variables, conflict_retries=10)
