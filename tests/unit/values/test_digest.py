"""Digests are a contract between processes and releases: the vectors below never change."""

from __future__ import annotations

import random
from uuid import UUID

from sp00ky.proto import digest
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack

GOLDEN = {
    ("v1", "", RecordId("post", 1), ()): "4a08e108854cc2b142e22c7260255e21",
    ("v1", "user:a", RecordId("post", 1), ()): "cfd4f3d9ad7160421e754f44172eeab3",
    (
        "v1",
        "user:a",
        RecordId("comment", "x"),
        ((RecordId("post", 1), "comments"),),
    ): "03366a932ec8e67f4b43f6072a4c4548",
    (
        "v1",
        "user:a",
        RecordId("t", [1, UUID(int=5)]),
        ((RecordId("p", 1), "a"), (RecordId("q", "é"), "b")),
    ): "54a473217261e1a502dd601a50655429",
}


def test_edge_ids_golden() -> None:
    assert [digest.edge_id(*parts) for parts in GOLDEN] == list(GOLDEN.values())


def test_parts_do_not_run_together() -> None:
    one, two = RecordId("p", 1), RecordId("p", 2)
    different = [
        digest.edge_id("ab", "c", one, ()),
        digest.edge_id("a", "bc", one, ()),
        digest.edge_id("a", "b", one, ((two, "c"),)),
        digest.edge_id("a", "b", one, ((two, ""), (one, "c"))),
        digest.edge_id("a", "b", one, ((one, "c"), (two, ""))),
        digest.edge_id("a", "b", two, ((one, "c"),)),
    ]
    assert len(set(different)) == len(different)


def test_member_digests_golden() -> None:
    packed = pack(RecordId("post", 1))
    assert digest.hex(digest.member_digest(packed, 7)) == "c1b9d9a8a15ac4524e7d3015da9fe8b9"
    assert digest.member_digest(packed, 7) != digest.member_digest(packed, 8)


def test_a_set_hash_forgets_order_and_what_was_removed() -> None:
    draw = random.Random(1)
    members = [digest.member_digest(pack(RecordId("p", number)), number) for number in range(50)]
    total = digest.EMPTY
    for member in members:
        total = digest.add(total, member)
    draw.shuffle(members)
    for member in members[10:]:
        total = digest.remove(total, member)
    expected = digest.EMPTY
    for member in members[:10]:
        expected = digest.add(expected, member)
    assert total == expected
    for member in members[:10]:
        total = digest.remove(total, member)
    assert total == digest.EMPTY and len(digest.hex(total)) == 32
