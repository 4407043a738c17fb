"""What answers about SSPs hold, as types; as `answers.py`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Drained(TypedDict):
    """`views`: those it still owns, or serves until another has them."""

    ssp_id: str
    draining: bool
    views: int


class ViewDependencies(TypedDict):
    """`any_table`: it may read any table, and is kept by running its query. `records`: the first of those that it asked
    for by id."""

    id: str
    auth: NotRequired[str]
    tables: list[str]
    any_table: bool
    records: list[str]
    record_count: int


class Dependencies(TypedDict):
    dependency_map: dict[str, list[str]]
    tables_in_store: list[str]
    view_count: int
    views: list[ViewDependencies]


class Joined(TypedDict):
    """`snapshot_seq`: of the revision at which `/proxy/query` reads for an SSP that loads. `table_hashes`: by table,
    `b3:` and 64 hex digits; empty if the tables are too large to be hashed at once."""

    snapshot_seq: int
    table_hashes: dict[str, str]
    epoch: int
    revision: str


class Resynced(TypedDict):
    marked_for_resync: int
    ssp_ids: list[str]
