"""What can go wrong between two processes, as one vocabulary: a code, a message that names the object, and a hint.

`STATUS` is the only table from a code to a gRPC status; `gateway/errors.py` holds the only one to HTTP. A service
raises a `Fault`; `channel.py` turns it into a status with the code in the trailing metadata, and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    INVALID = "SPKY_INVALID"  # the request's own fault; the same request can never succeed
    UNSUPPORTED_QUERY = "SPKY_UNSUPPORTED_QUERY"  # parses, but cannot be a view; the message names clause and position
    NOT_FOUND = "SPKY_NOT_FOUND"
    CONFLICT = "SPKY_CONFLICT"  # the same id with another body
    UNAUTHENTICATED = "SPKY_UNAUTHENTICATED"
    FORBIDDEN = "SPKY_FORBIDDEN"
    NOT_READY = "SPKY_NOT_READY"  # cloning, restoring, loading: the same request will succeed later
    NO_READY_SSP = "SPKY_NO_READY_SSP"
    OVERLOADED = "SPKY_OVERLOADED"  # a bounded queue is full
    TOO_LARGE = "SPKY_TOO_LARGE"
    REVISION_GONE = "SPKY_REVISION_GONE"  # no longer retained, or of another store or branch
    FENCED = "SPKY_FENCED"  # an older epoch or incarnation tried to write
    TIMEOUT = "SPKY_TIMEOUT"
    DISK_FULL = "SPKY_DISK_FULL"
    DATA_LOSS = "SPKY_DATA_LOSS"  # a checksum failed
    UNAVAILABLE = "SPKY_UNAVAILABLE"  # a peer or the database cannot be reached
    UNIMPLEMENTED = "SPKY_UNIMPLEMENTED"
    INTERNAL = "SPKY_INTERNAL"


# gRPC status names (grpc.StatusCode attributes): kept as text so that this module needs no grpc.
STATUS: Mapping[Code, str] = {
    Code.INVALID: "INVALID_ARGUMENT",
    Code.UNSUPPORTED_QUERY: "INVALID_ARGUMENT",
    Code.NOT_FOUND: "NOT_FOUND",
    Code.CONFLICT: "ALREADY_EXISTS",
    Code.UNAUTHENTICATED: "UNAUTHENTICATED",
    Code.FORBIDDEN: "PERMISSION_DENIED",
    Code.NOT_READY: "UNAVAILABLE",
    Code.NO_READY_SSP: "UNAVAILABLE",
    Code.OVERLOADED: "RESOURCE_EXHAUSTED",
    Code.TOO_LARGE: "INVALID_ARGUMENT",
    Code.REVISION_GONE: "OUT_OF_RANGE",
    Code.FENCED: "ABORTED",
    Code.TIMEOUT: "DEADLINE_EXCEEDED",
    Code.DISK_FULL: "RESOURCE_EXHAUSTED",
    Code.DATA_LOSS: "DATA_LOSS",
    Code.UNAVAILABLE: "UNAVAILABLE",
    Code.UNIMPLEMENTED: "UNIMPLEMENTED",
    Code.INTERNAL: "INTERNAL",
}

# Details that have a form of their own in gRPC (`details.py`).
RETRY_AFTER_MS = "retry_after_ms"  # when the same request may succeed
FIELD, INDEX = "field", "index"  # what is wrong with the request, and in which of its changes
RESOURCE_TYPE, RESOURCE_NAME = "resource_type", "resource_name"  # what is not there, or there already


class Fault(Exception):
    """An operating error with a code. `message`: lower case, names the object. `hint`: what to do. `details`: facts."""

    def __init__(self, code: Code, message: str, hint: str = "", details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = dict(details or {})

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
