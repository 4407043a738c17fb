"""Merkle trees of records: what SurrealDB, the scheduler and the SSPs must compute alike of a table or a view.

Every record has a place, 16 hex digits of the blake3 of its id's text, and a digest, 48 bits of the blake3 of
SurrealDB's own text of all of it. A tree is a trie over the places; the node of a prefix stands for the records whose
place begins with it, and its total is the sum of their digests (AdHASH: Bellare and Micciancio, 1997):

    total(prefix) = Σ digest(r), place(r) begins with prefix = Σ total(prefix + d), d in 0 … f

A sum in place of a hash of hashes, because it makes three things possible: a change is one addition on each node from
its leaf to the root, O(log n), without its neighbours; the node of *any* prefix means the same whatever the shape of
the tree that asks, so nothing about depth has to be agreed; and SurrealDB can sum a table page by page, so that no
statement of ours works for long. It guards against accidents, and tampering by whoever cannot choose what is stored
beside it, not against a forger who writes records so that sums collide.

A leaf keeps (place, digest) of its records in 14 bytes each, and becomes an inner node above LEAF_RECORDS of them: a
tree has the depth that its table needs, log16(n / LEAF_RECORDS), and about 40 bytes a record.

Invariant: rows and total of an inner node are the sums of its children's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from blake3 import blake3
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import unpack
from sp00ky.proto.values.record_text import id_text, record_text

DIGITS: Final = "0123456789abcdef"
PLACE_DIGITS: Final = 16
DIGEST_DIGITS: Final = 12
LEAF_RECORDS: Final = 64
MERGED_RECORDS: Final = 16  # a node of no more is a leaf again
_PLACE_BYTES: Final = PLACE_DIGITS // 2
_DIGEST_BYTES: Final = DIGEST_DIGITS // 2
_ENTRY_BYTES: Final = _PLACE_BYTES + _DIGEST_BYTES
_HASH_MODULUS: Final = 1 << 64

# The same, computed by SurrealDB of the row that a SELECT is at. It has no function from hex digits to a number but
# this: a UUID of version 7 begins with 48 bits of milliseconds.
PLACE_SURQL: Final = f"string::slice(crypto::blake3(<string>id), 0, {PLACE_DIGITS})"
DIGEST_SURQL: Final = (
    "time::millis(time::from_uuid(<uuid>"
    f"(string::slice(crypto::blake3(<string>$this), 0, {DIGEST_DIGITS}) + '70008000000000000000')))"
)


class Node(NamedTuple):
    """What a prefix stands for: how many records, and the sum of their digests."""

    rows: int
    total: int

    @property
    def hash(self) -> str:
        """16 hex digits."""
        return f"{self.total % _HASH_MODULUS:016x}"


NOTHING: Final = Node(0, 0)


def place_of(record_id: RecordId) -> str:
    """Where a record is in its table's tree, by the text of its id."""
    return blake3(id_text(record_id).encode()).hexdigest()[:PLACE_DIGITS]


def digest_of_text(text: str) -> int:
    """48 bits of the blake3 of a record's text."""
    return int.from_bytes(blake3(text.encode()).digest(_DIGEST_BYTES), "big")


def digest_of(record: Value) -> int:
    return digest_of_text(record_text(record))


def packed_digest(packed: bytes) -> int:
    """As SurrealDB makes it of the same record (DIGEST_SURQL)."""
    return digest_of_text(record_text(unpack(packed)))


class _Node:
    """`leaf`: (place, digest) of each record, in no order; None for an inner node."""

    __slots__ = ("leaf", "rows", "total")

    def __init__(self) -> None:
        self.rows = self.total = 0
        self.leaf: bytes | None = b""


class Tree:
    """Of one table or view. Nodes by prefix; those of no record are not kept, but for the root."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {"": _Node()}

    def __len__(self) -> int:
        """Records."""
        return self._nodes[""].rows

    @property
    def nodes(self) -> int:
        return len(self._nodes)

    def put(self, place: str, digest: int) -> bool:
        """There is a record at this place, and this is its digest; whether that is news."""
        return self._set(place, digest)

    def remove(self, place: str) -> bool:
        """There is none; whether there was."""
        return self._set(place, None)

    def _set(self, place: str, digest: int | None) -> bool:
        nodes = self._nodes
        node, depth = nodes[""], 0
        path = [node]
        while node.leaf is None:
            depth += 1
            below = nodes.get(place[:depth])
            if below is None:
                if digest is None:
                    return False
                below = nodes[place[:depth]] = _Node()
            node = below
            path.append(node)
        leaf, key = node.leaf, bytes.fromhex(place)
        at = _find(leaf, key)
        former = None if at < 0 else int.from_bytes(leaf[at + _PLACE_BYTES : at + _ENTRY_BYTES], "big")
        if former == digest:
            return False
        kept = leaf if at < 0 else leaf[:at] + leaf[at + _ENTRY_BYTES :]
        node.leaf = kept if digest is None else kept + key + digest.to_bytes(_DIGEST_BYTES, "big")
        rows = (digest is not None) - (former is not None)
        total = (digest or 0) - (former or 0)
        for each in path:
            each.rows += rows
            each.total += total
        if rows > 0 and node.rows > LEAF_RECORDS and depth < PLACE_DIGITS:
            self._split(place[:depth], node)
        elif rows < 0:
            self._shrink(place, path)
        return True

    def _split(self, prefix: str, node: _Node) -> None:
        entries, node.leaf = _entries(node.leaf or b""), None
        for place, digest in entries:
            name = place[: len(prefix) + 1]
            child = self._nodes.get(name)
            if child is None:
                child = self._nodes[name] = _Node()
            assert child.leaf is not None, "the children of a leaf are new"
            child.leaf += bytes.fromhex(place) + digest.to_bytes(_DIGEST_BYTES, "big")
            child.rows += 1
            child.total += digest

    def _shrink(self, place: str, path: list[_Node]) -> None:
        for depth, node in enumerate(path):
            prefix = place[:depth]
            if node.leaf is None and node.rows <= MERGED_RECORDS:
                merged = b"".join(
                    bytes.fromhex(each) + digest.to_bytes(_DIGEST_BYTES, "big") for each, digest in self.records(prefix)
                )
                self._drop_below(prefix)
                node.leaf = merged
                return
            if not node.rows and prefix:
                del self._nodes[prefix]

    def _drop_below(self, prefix: str) -> None:
        for digit in DIGITS:
            child = self._nodes.pop(prefix + digit, None)
            if child is not None and child.leaf is None:
                self._drop_below(prefix + digit)

    # --- what it says ------------------------------------------------------------------------------------------------

    def node(self, prefix: str) -> Node:
        """Of any prefix, also of one below a leaf."""
        found = self._nodes.get(prefix)
        if found is not None:
            return Node(found.rows, found.total)
        rows = total = 0
        for _, digest in self.records(prefix):
            rows += 1
            total += digest
        return Node(rows, total)

    def children(self, prefix: str) -> dict[str, Node]:
        """Those that have records, in order."""
        found: dict[str, Node] = {}
        if self.is_inner(prefix):
            for name in (prefix + digit for digit in DIGITS):
                node = self._nodes.get(name)
                if node is not None:
                    found[name] = Node(node.rows, node.total)
            return found
        for place, digest in self.records(prefix):
            name = place[: len(prefix) + 1]
            rows, total = found.get(name, NOTHING)
            found[name] = Node(rows + 1, total + digest)
        return found if len(prefix) < PLACE_DIGITS else {}

    def is_inner(self, prefix: str) -> bool:
        node = self._nodes.get(prefix)
        return node is not None and node.leaf is None

    def records(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(place, digest) of those below a prefix."""
        depth = min(len(prefix), PLACE_DIGITS)
        while depth > 0 and prefix[:depth] not in self._nodes:
            depth -= 1
        waiting = [prefix[:depth]]
        while waiting:
            name = waiting.pop()
            leaf = self._nodes[name].leaf
            if leaf is None:
                if len(name) < len(prefix):
                    continue  # an inner node that has no such child
                waiting += [name + digit for digit in reversed(DIGITS) if name + digit in self._nodes]
                continue
            for place, digest in sorted(_entries(leaf)):
                if place.startswith(prefix):
                    yield place, digest


def _find(leaf: bytes, key: bytes) -> int:
    at = leaf.find(key)
    while at > 0 and at % _ENTRY_BYTES:
        at = leaf.find(key, at + 1)
    return at


def _entries(leaf: bytes) -> list[tuple[str, int]]:
    return [
        (leaf[at : at + _PLACE_BYTES].hex(), int.from_bytes(leaf[at + _PLACE_BYTES : at + _ENTRY_BYTES], "big"))
        for at in range(0, len(leaf), _ENTRY_BYTES)
    ]


def is_prefix(text: str) -> bool:
    """Whether a tree may have such a node."""
    return len(text) <= PLACE_DIGITS and not text.strip(DIGITS)
