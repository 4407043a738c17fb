"""A row of an outbox table as a runner reads it. What cannot be run is told as a Fault; nothing of a row is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import orjson
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs.backend import TIMEOUT_S_MAX, Backend
from sp00ky.proto.jobs.lifecycle import RETRIES_DEFAULT, RETRIES_MAX, STRATEGIES, Retrying
from sp00ky.proto.jobs.target import joined
from sp00ky.proto.values.json import JsonError, encode_json, from_json
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import record_id_text

PAYLOAD_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What a backend is asked. `key`: the same for every attempt of a job."""

    url: str
    body: bytes
    timeout_s: float
    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job whose lease is ours, under `epoch`."""

    id: RecordId
    epoch: int
    lost: int
    row: Mapping[str, Value]

    @classmethod
    def of(cls, row: Mapping[str, Value]) -> Claimed:
        return cls(row["id"], int(row["lease_epoch"]), int(row.get("leases_lost") or 0), row)

    def retrying(self) -> Retrying:
        """Bounds of what the row states; what is no number counts as the default."""
        strategy = self.row.get("retry_strategy")
        return Retrying(
            retries=_count(self.row.get("retries"), 0),
            retries_max=_count(self.row.get("max_retries"), RETRIES_DEFAULT),
            strategy=strategy if strategy in STRATEGIES else STRATEGIES[0],
        )

    def request(self, backend: Backend) -> Request:
        """Raises Fault INVALID, TOO_LARGE: such a job fails at once, no attempt could mend it."""
        path = self.row.get("path")
        if not isinstance(path, str):
            raise Fault(Code.INVALID, "the job has no path")
        url = path if backend.is_function else joined(backend.base_url, path)
        return Request(url, self._body(), self._timeout(backend), idempotency_key(self.id), self.epoch)

    def _body(self) -> bytes:
        """A payload that is text is JSON where it can be read as such: clients write it either way."""
        payload = self.row.get("payload")
        try:
            if isinstance(payload, str):
                try:
                    return _bounded(orjson.dumps(from_json(payload)))
                except JsonError:
                    return _bounded(orjson.dumps(payload))
            return _bounded(encode_json(payload))
        except (JsonError, TypeError, RecursionError) as error:
            raise Fault(Code.INVALID, f"the job's payload has no JSON form: {error}") from None

    def _timeout(self, backend: Backend) -> float:
        own = self.row.get("timeout")
        if not backend.timeout_overridable or not isinstance(own, int | float) or isinstance(own, bool) or own <= 0:
            return backend.timeout
        return float(min(own, TIMEOUT_S_MAX))


def idempotency_key(job: RecordId) -> str:
    """The job's id as a header may carry it."""
    return quote(record_id_text(job), safe=":_-.~")


def _count(value: Value, default: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, min(value, RETRIES_MAX))
    return default


def _bounded(body: bytes) -> bytes:
    if len(body) > PAYLOAD_BYTES_MAX:
        raise Fault(Code.TOO_LARGE, f"the job's payload has {len(body)} bytes, more than {PAYLOAD_BYTES_MAX}")
    return body
