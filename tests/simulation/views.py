"""The queries of a world, and what each must come to: few records, so that collisions are frequent.

`post` and `user` are SurrealDB's (captured); `note` lives by /ingest. `n` is a small number, `mark` hot or cold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole.scope import Source

from tests.simulation.statements import OPAQUE, evaluated

CAPTURED = ("post", "user")
INGESTED = ("note",)
TABLES = (*CAPTURED, *INGESTED)
IDS = 5


@dataclass(frozen=True)
class Query:
    id: str
    surql: str
    params: Mapping[str, Value]
    children: str = ""  # the field of sub-select rows
    by_run: bool = False  # re-evaluated on SurrealDB


QUERIES: tuple[Query, ...] = (
    Query("equal", "SELECT * FROM post WHERE n = $n", {"n": 2}),
    Query("equal-too", "SELECT * FROM post WHERE n = $n", {"n": 3}),
    Query("range", "SELECT id, n FROM post WHERE n > 2 AND n <= 6", {}),
    Query("window", "SELECT * FROM post ORDER BY n DESC, id LIMIT 3", {}),
    Query("link", "SELECT id, author.name FROM post WHERE author.flag = true", {}),
    Query("nested", "SELECT id, (SELECT id, text FROM note WHERE post = $parent.id) AS notes FROM post", {}, "notes"),
    Query("notes", "SELECT * FROM note WHERE n >= $least", {"least": 4}),
    Query("users", "SELECT * FROM user WHERE flag = true", {}),
    Query("opaque", f"SELECT id, n FROM post WHERE {OPAQUE} ORDER BY id", {}, by_run=True),
)
BY_ID: Mapping[str, Query] = {query.id: query for query in QUERIES}


class Place(NamedTuple):
    """A member: where it stands (top level without a parent), and what it is."""

    record: RecordId
    parent: RecordId | None = None
    rel: str = ""


def spec(query: Query, ttl_ms: int = 0, client: str = "") -> common_pb2.ViewSpec:
    params = pack(dict(query.params)) if query.params else b""
    key = common_pb2.ViewKey(id=query.id)
    return common_pb2.ViewSpec(key=key, surql=query.surql, params=params, client_id=client, ttl_ms=ttl_ms)


def places(query: Query, source: Source) -> set[Place]:
    """The members of a fresh evaluation."""
    found: set[Place] = set()
    rows = evaluated(query.surql, query.params, source)
    assert isinstance(rows, list)
    for row in rows:
        found.add(Place(row["id"]))
        if query.children:
            found.update(Place(child["id"], row["id"], query.children) for child in row[query.children])
    return found


def nothing(value: Value) -> bool:
    return value is NONE or value is None
