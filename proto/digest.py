"""Digests that two processes must compute alike: the id of an edge, and the hash of a view's members.

An edge's id is a function of what it says — view, user, member, parent path — so writing it twice is writing it once.
The parts are length-prefixed, so no two different lists of parts have the same bytes; a record enters as its packed
bytes, which are canonical (`values/pack.py`).

A view's hash is the sum of its members' digests modulo 2^128: adding and removing commute and undo each other, so the
hash is kept in O(1) a change and does not depend on order (Bellare and Micciancio's AdHASH, 1997; it guards against
accidents, not against a forger who may choose members).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack

EMPTY = 0  # the hash of no members
_MODULUS = 1 << 128
_SIZE = 16  # bytes


def edge_id(view_id: str, auth_id: str, member: RecordId, parents: Sequence[tuple[RecordId, str]]) -> str:
    """32 hex digits: the key of the edge from a view to one of its members. `parents` leads from the outermost record
    to the member's own parent, each with the field that led on; empty for a member of the outermost FROM."""
    parts = [view_id.encode(), auth_id.encode(), pack(member)]
    for record, relation in parents:
        parts += (pack(record), relation.encode())
    return _digest(b"edge", parts).hex()


def member_digest(record_packed_id: bytes, version: int) -> int:
    """A member's part of its view's hash: 128 bits of its packed record id and its version (a seq)."""
    return int.from_bytes(_digest(b"member", (record_packed_id, version.to_bytes(8, "big"))), "big")


def add(total: int, member: int) -> int:
    return (total + member) % _MODULUS


def remove(total: int, member: int) -> int:
    return (total - member) % _MODULUS


def hex(total: int) -> str:
    """32 hex digits."""
    return f"{total:032x}"


def _digest(purpose: bytes, parts: Sequence[bytes]) -> bytes:
    digest = blake2b(digest_size=_SIZE, person=purpose)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
