"""Merkle trees of records: golden vectors, the naive twin, and SurrealDB's own sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto import merkle
from sp00ky.proto.database import Database
from sp00ky.proto.merkle import DIGEST_SURQL, PLACE_DIGITS, PLACE_SURQL, Node, Tree, digest_of, is_prefix, place_of
from sp00ky.proto.values.kinds import RecordId

KINDS = [
    *("1e308f", "NaN", "math::inf", "1.5", "-0.0", "1e-7", "1e21f", "100f", "12345678901234567890123dec", "1.50dec"),
    *("<bytes>'abc'", "-9223372036854775808", "1..5", "1..=5", "duration::max", "1h30m", "d'9999-12-31T00:00:00Z'"),
    *("d'2020-01-01T00:00:00.123456789Z'", "d'-262143-01-01T00:00:00Z'", "{a:NONE}", "[NONE,NULL]", "(1,2)", "100000w"),
    *("u'01890000-0000-7000-8000-000000000000'", "'it\\'s \"q\" \\n \\\\ \U0001f9db ⟩'", "{`a b`:1,`1x`:2, z:{}}"),
    *("{type:'Polygon',coordinates:[[[0,0],[1,0],[1,1],[0,0]]]}", "p:[1,'x',NONE]", "p:`a-b`", "p:⟨5⟩", "p:{a:1}"),
    *("p:u'01890000-0000-7000-8000-000000000000'", "<set>[3,1,2]", "true", "NULL", "[]", "['a',[1]]", "p:1..5", "''"),
    *("type::table('t')", "'d\"2020\"'"),
]

GOLDEN = {
    "id": RecordId("user", 1),
    "name": "a",
    "n": 1,
    "f": 1.0,
    "u": "é",
    "nested": {"b": [1, None, True], "a": "x"},
}


def test_golden_vectors() -> None:
    """Changing one of these is a new layout: everything that is stored or compared differs from then on."""
    assert place_of(RecordId("user", 1)) == "ae688cd5e704f93e"
    assert place_of(RecordId("user", "a b")) == "b7dca110844f8b9a"
    assert digest_of(GOLDEN) == 0xA4FB00DD248C
    tree = Tree()
    assert tree.node("").hash == "0" * 16
    tree.put(place_of(RecordId("user", 1)), digest_of(GOLDEN))
    assert tree.node("").hash == "0000a4fb00dd248c"


async def test_the_database_sums_as_we_do(database: Database) -> None:
    for number, kind in enumerate(KINDS):
        await database.query(f"CREATE q:[{number}, 'x'] SET v = {kind}, w = 1")
    await database.query(
        "CREATE q:`a b`; CREATE q:`it's`; CREATE q:7; CREATE q:`7`; CREATE q:{ k: [1, NONE] }; CREATE q:`é\n⟨⟩`"
    )
    text = f"SELECT id, {PLACE_SURQL} AS p, {DIGEST_SURQL} AS d FROM q; SELECT * FROM q"
    summed, rows = await database.query(text)
    assert {(row["id"], row["p"], row["d"]) for row in summed} == {
        (row["id"], place_of(row["id"]), digest_of(row)) for row in rows
    }
    assert len(rows) == len(KINDS) + 6


_PLACES = st.integers(0, 255).map(lambda number: f"{number:02x}" * 8)
_MOVES = st.lists(st.tuples(_PLACES, st.none() | st.integers(0, 2**48 - 1)), max_size=400)


@given(_MOVES)
def test_a_tree_is_what_its_records_are(moves: list[tuple[str, int | None]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "LEAF_RECORDS", 4)
        patch.setattr(merkle, "MERGED_RECORDS", 2)
        tree, twin = Tree(), dict[str, int]()
        for place, digest in moves:
            if digest is None:
                assert tree.remove(place) == (twin.pop(place, None) is not None)
            else:
                assert tree.put(place, digest) == (twin.get(place) != digest)
                twin[place] = digest
        assert dict(tree.records()) == twin and len(tree) == len(twin)
        for prefix in ("", *"0a", "00", "ab", "abc", "aba", "ababababababab", "ab" * 8):
            below = {place: digest for place, digest in twin.items() if place.startswith(prefix)}
            assert tree.node(prefix) == Node(len(below), sum(below.values()))
            assert dict(tree.records(prefix)) == below
            children = tree.children(prefix)
            assert children == {
                name: tree.node(name)
                for name in sorted({place[: len(prefix) + 1] for place in below})
                if len(prefix) < PLACE_DIGITS
            }
        for place in list(twin):
            tree.remove(place)
        assert tree.nodes == 1 and tree.node("") == merkle.NOTHING


def test_a_tree_is_as_deep_as_it_needs_and_two_of_one_place_begin_are_apart() -> None:
    tree = Tree()
    for number in range(10_000):
        tree.put(place_of(RecordId("a", number)), number)
    assert 256 < tree.nodes < 1_000
    deep = Tree()
    for number in range(100):
        deep.put(f"{number:016x}", number)  # they differ in the last digits only
    assert dict(deep.records()) == {f"{number:016x}": number for number in range(100)}


def test_what_a_prefix_is() -> None:
    assert is_prefix("") and is_prefix("0a") and is_prefix("f" * 16)
    assert not is_prefix("A") and not is_prefix("g") and not is_prefix("0" * 17) and not is_prefix("0 ")
