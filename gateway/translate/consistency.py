"""What a read says it must see: the names of the four consistencies, and the revision that two of them need."""

from __future__ import annotations

from collections.abc import Mapping

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import common_pb2

CONSISTENCIES: Mapping[str, common_pb2.Consistency] = {
    "minimize_latency": common_pb2.CONSISTENCY_MINIMIZE_LATENCY,
    "at_least_as_fresh": common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH,
    "at_exact_snapshot": common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT,
    "fully_consistent": common_pb2.CONSISTENCY_FULLY_CONSISTENT,
}
_NEEDS_REVISION = {common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH, common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT}


def asked_consistency(name: str, revision: str, with_revision: str) -> tuple[common_pb2.Consistency, str]:
    """The consistency, and the revision if it counts. Without a name: `with_revision` if there is one, else
    minimize_latency. Raises Fault INVALID."""
    if revision:
        parse_revision(revision)
    name = name or (with_revision if revision else "minimize_latency")
    consistency = CONSISTENCIES.get(name)
    if consistency is None:
        raise Fault(Code.INVALID, f'consistency "{name[:32]}" is unknown', f"one of {', '.join(CONSISTENCIES)}")
    if consistency in _NEEDS_REVISION and not revision:
        raise Fault(Code.INVALID, f"consistency {name} needs a revision", "pass a token that a write returned")
    return consistency, revision if consistency in _NEEDS_REVISION else ""
