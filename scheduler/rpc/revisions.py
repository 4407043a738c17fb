"""Revisions that readers state: taken if this store handed them out, and never in the middle of a transaction.

Tokens name the last entry of a transaction; text that was made up may name another, where the state is a mixed one.
"""

from __future__ import annotations

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore.datastore import Datastore


def exact_seq(store: Datastore, token: str) -> Seq:
    """The seq of a revision that can be read exactly. Raises Fault INVALID, REVISION_GONE with `floor` and `head`."""
    return between_transactions(store, store.check_revision(token))


def reached_seq(store: Datastore, token: str) -> Seq:
    """The seq that a read at least as fresh has to reach. Raises Fault INVALID, REVISION_GONE."""
    return store.check_revision(token, readable=False)


def between_transactions(store: Datastore, at: Seq) -> Seq:
    """The seq itself; raises Fault INVALID if its transaction goes on after it."""
    if store.log_floor_seq <= at <= store.head_seq:
        entry = common_pb2.Entry.FromString(store.log(Seq(at - 1), 1)[0])
        if not entry.txn_last:
            raise Fault(
                Code.INVALID, f"revision {at} is inside a transaction", "pass back a token as it was handed out"
            )
    return at
