"""A revision names one state of the replica: the state after the change numbered `seq`, on the branch `epoch`.

The token is its text: `v1.<store, 8 hex>.<epoch, 8 hex>.<seq, 20 digits>`. Within a store tokens sort bytewise as
their revisions do. A client treats it as opaque; a token of another store is refused, never compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from sp00ky.proto.faults import Code, Fault

Seq = NewType("Seq", int)
Epoch = NewType("Epoch", int)
StoreId = NewType("StoreId", str)  # 8 hex digits, drawn when the store is made

_TOKEN = re.compile(r"v1\.([0-9a-f]{8})\.([0-9a-f]{8})\.([0-9]{20})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    store: StoreId
    epoch: Epoch
    seq: Seq

    def __str__(self) -> str:
        return f"v1.{self.store}.{self.epoch:08x}.{self.seq:020d}"


def parse_revision(token: str) -> Revision:
    """The revision a token names; raises Fault(INVALID) for text that is no token."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Fault(Code.INVALID, f"revision {token[:64]!r} is not a token", "pass back a token that a write returned")
    return Revision(StoreId(match[1]), Epoch(int(match[2], 16)), Seq(int(match[3])))


def seq_of(token: str, store: StoreId) -> Seq:
    """The seq a token names in this store; raises Fault(REVISION_GONE) for a token of another one."""
    revision = parse_revision(token)
    if revision.store != store:
        raise Fault(Code.REVISION_GONE, f"revision {token} belongs to another store", f"this store is {store}")
    return revision.seq
