"""What the engine is told: past-tense nouns, plain data, in the order the driver saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.kinds import Value


class ViewKey(NamedTuple):
    """A view is (id, auth id); auth id is empty for a view registered by a service."""

    id: str
    auth_id: str = ""


@dataclass(frozen=True, slots=True)
class WelcomeReceived:
    """The stream (re)opened. `resume`: keep state; else drop it all and load at `at_seq`."""

    welcome: replication_pb2.Welcome


@dataclass(frozen=True, slots=True)
class EntriesReceived:
    """A frame of entries in seq order; the engine steps at each `txn_last`, several transactions in one step."""

    entries: Sequence[common_pb2.Entry]
    frame_ends: bool = True  # False: the rest of the frame follows as another event


@dataclass(frozen=True, slots=True)
class CheckpointReceived:
    head_seq: int


@dataclass(frozen=True, slots=True)
class PageReceived:
    load_id: int
    table: str
    rows: Sequence[replication_pb2.Row]
    next_after_key: bytes  # empty: the last page


@dataclass(frozen=True, slots=True)
class QueryRan:
    """A re-evaluated view's query ran on SurrealDB between two barriers: everything committed before the run is at or
    below `seq_before`, everything the run can have seen is at or below `seq_after`."""

    key: ViewKey
    run: int  # of the request
    seq_before: int
    seq_after: int
    rows: Value  # the query's result
    ids: Sequence[Value] | None  # record id of each row, None where members have no ids


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """SurrealDB refused the query (`fatal`: it always will), or could not be reached."""

    key: ViewKey
    run: int
    reason: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Ticked:
    now_ms: int  # monotonic


Event: TypeAlias = (
    WelcomeReceived | EntriesReceived | CheckpointReceived | PageReceived | QueryRan | QueryFailed | Ticked
)
