"""What a process's connections to SurrealDB come to, for its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from sp00ky.proto.database import Database
from sp00ky.proto.measures import Distribution, key_of
from sp00ky.proto.v1 import admin_pb2

_NAME = "spky_surreal_request_duration_seconds"


def connection_metrics(databases: Collection[Database]) -> dict[str, float]:
    states = Counter("open" if database.connected else "lost" for database in databases)
    return {key_of("surreal_connections", state=state): states[state] for state in ("open", "lost")}


def request_distributions(databases: Collection[Database]) -> list[admin_pb2.Distribution]:
    """By method and outcome, over all connections."""
    together: dict[tuple[str, str], Distribution] = {}
    for database in databases:
        for asked, seconds in database.request_seconds.items():
            together.setdefault(asked, Distribution(seconds.bounds)).add(seconds)
    return [seconds.message(_NAME, op=op, outcome=outcome) for (op, outcome), seconds in sorted(together.items())]
