"""A fault on the wire: `google.rpc.Status` in the trailers, as clients of every language look for it.

`ErrorInfo` has the code (`reason`), the facts and the hint; `RetryInfo` says when the same request may succeed;
`BadRequest` names the field at fault; `ResourceInfo` the object that is not there, or there already. `fault_in` reads
the fault back from `ErrorInfo` alone, so what is sent is what the caller raises.

Trailers are bounded by every peer (8 KiB is the habit), and what is beyond costs the caller the whole status. So texts
are cut at `TEXT_MAX` characters, and facts are left out, longest first, until they fit into `FACTS_BYTES_MAX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from sp00ky.proto.faults import FIELD, INDEX, RESOURCE_NAME, RESOURCE_TYPE, RETRY_AFTER_MS, STATUS, Code, Fault

DOMAIN: Final = "sp00ky.v1"
TRAILER: Final = "grpc-status-details-bin"
TEXT_MAX: Final = 1_200
FACTS_BYTES_MAX: Final = 2_048
_HINT: Final = "hint"
# A peer's gRPC repeats what was refused with UNAVAILABLE; a service that has answered is asked again by who knows why.
_ASKED_AND_ANSWERED: Final = ("grpc-retry-pushback-ms", "-1")


def status_code(code: Code) -> grpc.StatusCode:
    found: grpc.StatusCode = getattr(grpc.StatusCode, STATUS[code])
    return found


def trailers(fault: Fault) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of a call that ends with the fault."""
    return ((TRAILER, status_of(fault).SerializeToString()), _ASKED_AND_ANSWERED)


def status_of(fault: Fault) -> status_pb2.Status:
    status = status_pb2.Status(code=status_code(fault.code).value[0], message=cut(fault.message))
    facts = _fitting(fault.details)
    info = error_details_pb2.ErrorInfo(reason=fault.code.value, domain=DOMAIN, metadata=facts)
    if fault.hint:
        info.metadata[_HINT] = cut(fault.hint)
    status.details.add().Pack(info)
    for detail in (_retry(facts), _violation(fault, facts), _resource(fault, facts)):
        if detail is not None:
            status.details.add().Pack(detail)
    return status


def _retry(facts: Mapping[str, str]) -> error_details_pb2.RetryInfo | None:
    if RETRY_AFTER_MS not in facts:
        return None
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(int(facts[RETRY_AFTER_MS]))
    return retry


def _violation(fault: Fault, facts: Mapping[str, str]) -> error_details_pb2.BadRequest | None:
    field = facts.get(FIELD, "surql" if fault.code is Code.UNSUPPORTED_QUERY else "")
    if not field:
        return None
    path = f"changes[{facts[INDEX]}].{field}" if INDEX in facts else field
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field=path, description=cut(fault.message))
    return bad


def _resource(fault: Fault, facts: Mapping[str, str]) -> error_details_pb2.ResourceInfo | None:
    if RESOURCE_TYPE not in facts:
        return None
    name = facts.get(RESOURCE_NAME, "")
    return error_details_pb2.ResourceInfo(resource_type=facts[RESOURCE_TYPE], resource_name=name)


def cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _fitting(details: Mapping[str, str]) -> dict[str, str]:
    facts = dict(details)
    facts.pop(_HINT, None)
    sizes = {name: len(name) + len(value.encode()) for name, value in facts.items()}
    while sum(sizes.values()) > FACTS_BYTES_MAX:
        longest = max(sizes, key=lambda name: sizes[name])
        del facts[longest], sizes[longest]
    return facts


def fault_in(metadata: Mapping[str, Any]) -> Fault | None:
    """The fault that trailing metadata carry; None where they carry none of ours."""
    packed = metadata.get(TRAILER)
    if not isinstance(packed, bytes):
        return None
    try:
        status = status_pb2.Status.FromString(packed)
        info = error_details_pb2.ErrorInfo()
        if not any(detail.Unpack(info) for detail in status.details) or info.domain != DOMAIN:
            return None
        facts = dict(info.metadata)
        return Fault(Code(info.reason), status.message, facts.pop(_HINT, ""), facts)
    except (DecodeError, ValueError):  # not a status, or a code of a later version
        return None
