"""Names of tables of edges: golden vectors, and no two users in one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.edge_tables import SHARED, dedicated_table, edge_table
from sp00ky.proto.values.kinds import RecordId

GOLDEN: list[tuple[str, Any, str]] = [
    ("user", "ann", "_00_list_ref_user_ann"),
    ("user", "Ann_1", "_00_list_ref_user_Ann_1"),
    ("user", 7, "_00_list_ref_user_7"),
    ("user", "7", "_00_list_ref_user_36627c8f793cbd827148a4f5ad4a5d50"),
    ("user", -7, "_00_list_ref_user_eb9b5d66bc2564e36608e159226ef545"),
    ("user", "a b`;--", "_00_list_ref_user_95e76c6d8b2b015abae997adf92eef5c"),
    ("user", ["a", 1], "_00_list_ref_user_8f58f9ea1e7a6c30f15ac8ac9a72c8da"),
    ("user", "x" * 65, "_00_list_ref_user_2a7a2663b452b88a31e317fdbb2ed973"),
    ("user", "0" * 32, "_00_list_ref_user_8cd99f27bdde8a2381d8dd6f6a75fb5f"),
    ("user", "ab_" + "0" * 32, "_00_list_ref_user_83f2529ed4accc13660e360ba5212067"),
    ("person", "ann", "_00_list_ref_person_e9b37e08225fcabd8defd4b983fee9ab"),
    ("my`users", "ann", "_00_list_ref_my_users_41aa0344eb5464410682d19a997e7054"),
]


@pytest.mark.parametrize(("table", "key", "golden"), GOLDEN)
def test_golden_names(table: str, key: Any, golden: str) -> None:
    assert edge_table(RecordId(table, key), dedicated=True) == golden


def test_views_without_a_user_and_single_mode_share_one() -> None:
    assert edge_table(None, dedicated=True) == edge_table(None, dedicated=False) == SHARED
    assert edge_table(RecordId("user", "ann"), dedicated=False) == SHARED


KEYS = st.one_of(
    st.text(max_size=8),
    st.from_regex(r"([a-z]{1,3}_)?[0-9a-f]{32}", fullmatch=True),
    st.integers(-5, 5),
    st.integers(0, 5).map(str),
    st.lists(st.integers(0, 3), max_size=3),
)
RECORDS = st.builds(RecordId, st.sampled_from(["user", "user_a", "User", "person", "a b"]), KEYS)


@given(RECORDS, RECORDS)
def test_g2_two_records_never_share_a_table(one: RecordId, other: RecordId) -> None:
    names = dedicated_table(one), dedicated_table(other)
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert re.fullmatch(r"_00_list_ref_[A-Za-z0-9_]+", name)


@given(RECORDS, RECORDS)
def test_g2_nobody_can_choose_a_key_that_names_anothers_table(victim: RecordId, other: RecordId) -> None:
    """Whoever signs up as the rest of another's table's name gets a table of his own."""
    name = dedicated_table(victim)
    if not name.startswith(f"{SHARED}_user_"):
        return
    rest = name.removeprefix(f"{SHARED}_user_")
    if victim != RecordId("user", rest) and not (isinstance(victim.key, int) and rest.isdigit()):
        assert dedicated_table(RecordId("user", rest)) != name
