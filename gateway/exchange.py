"""One HTTP exchange as plain data: what was asked, what is answered, and the limits both keep to.

The functions of `translate/` take an `Asked` and give an `Answer` or a message; none of them sees a socket. The body
is complete and within `Limits.body_bytes_max` before an `Asked` is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import orjson
from prometheus_client import Metric
from sp00ky.proto.values.kinds import Value

Api: TypeAlias = Literal["scheduler", "ssp", "gateway"]

JSON = "application/json"
NDJSON = "application/x-ndjson"
CBOR = "application/cbor"
TEXT = "text/plain"
REVISION_HEADER = "Spky-Revision"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost. Past a limit it is refused with the status in brackets."""

    body_bytes_max: int = 16 * 1024 * 1024  # after decompression [413]
    request_timeout_ms: int = 30_000  # from the first byte of the request to the answer [408, 504]
    head_timeout_ms: int = 5_000  # from the first byte of a request to the end of its head [408]
    write_timeout_ms: int = 30_000  # that a peer may read nothing of an answer [cut]
    keep_alive_ms: int = 15_000  # between two comments on a stream of events
    streams_max: int = 8_192  # of views, of one server [429]
    stream_views_max: int = 64  # of one stream [413]
    feeds_max: int = 10_000  # views that are followed, of one server [429]
    feed_linger_ms: int = 10_000  # that a view is followed after its last reader has left
    feed_entries_max: int = 256  # changes of one view that are kept for slow readers, and those who come back
    feed_bytes_max: int = 1024 * 1024  # of them
    feeds_bytes_max: int = 256 * 1024 * 1024  # of those of all views
    resume_reads_max: int = 16  # at the same time, for readers who come back with what is not kept [must-refetch]
    memory_bytes_max: int = 0  # from 95 % on no new stream; 0: the container's, if it has one [429]
    line_bytes_max: int = 8_190  # of the request line [400]
    header_bytes_max: int = 16 * 1024  # of one header [400]
    changes_max: int = 10_000  # lines of NDJSON or elements of an array in one request [413]
    nesting_max: int = 100  # arrays and objects inside each other in one body [400]
    id_chars_max: int = 512  # of a view id [400]
    requests_inflight_max: int = 1_024  # of one server, streams apart; /health/live is always answered [429]
    connections_max: int = 10_000  # of one server, and no more than half of the files it may open [503]
    connections_per_address_max: int = 2_048  # of one client address [429]
    rate_new: int = 1_000  # registrations a second and caller [429]
    rate_write: int = 10_000  # changes of any other kind a second and caller [429]
    rate_read: int = 10_000  # reads a second and caller [429]
    rate_log: int = 20  # lines of the log a second and caller [429]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `media_type` is "" when the header is absent; `path` and `query` are decoded."""

    api: Api
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""
    accept: str = ""
    idempotency_key: str = ""
    body: bytes = b""
    limits: Limits = Limits()
    upstream: str = ""  # address of the service behind this server
    asks_bearer: bool = False  # whether this server does, at its endpoints that are not open
    viewer: Mapping[str, Value] | None = None  # the user whose token was presented; None: a service asks
    token: str = ""  # that user's, as it was presented
    as_ssp: bool = False  # the bearer may be an SSP's
    ssp_secret: str = ""  # the bearer, if it is one that SSPs hold: a secret, and no JWT
    own_metrics: Sequence[Metric] = ()  # only for endpoints that publish them


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes = b""
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: object, *, status: int = 200, revision: str = "") -> Answer:
    """The value as JSON; `orjson.Fragment`s inside it are copied as they are."""
    headers = {REVISION_HEADER: revision} if revision else {}
    return Answer(orjson.dumps(value), status, JSON, headers)
