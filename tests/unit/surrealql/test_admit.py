"""The gate's limits and what it hands on; refusals one by one are in `tests/language/refusals.txt`."""

from __future__ import annotations

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import TEXT_BYTES_MAX, admit
from sp00ky.proto.surrealql.parser import parse_select


def test_an_admitted_view_has_its_tree_and_tables() -> None:
    text = "SELECT * FROM post WHERE author = user:a;"
    admitted = admit(text)
    assert admitted.text == text
    assert admitted.select == parse_select(text)
    assert admitted.tables == {"post", "user"}
    assert admitted.aside == ""


def test_an_opaque_view_has_neither() -> None:
    admitted = admit("SELECT *, |t:1..1000000| AS ids FROM post")
    assert (admitted.select, admitted.tables) == (None, None)
    assert "mock" in admitted.aside


def test_the_text_is_bounded() -> None:
    with pytest.raises(Fault) as caught:
        admit("SELECT * FROM t -- " + "é" * TEXT_BYTES_MAX)
    assert caught.value.code is Code.TOO_LARGE
    assert str(TEXT_BYTES_MAX) in caught.value.message
    assert admit("SELECT * FROM t -- " + "x" * (TEXT_BYTES_MAX - 19)).tables == {"t"}


def test_a_fault_carries_the_place_in_parts() -> None:
    with pytest.raises(Fault) as caught:
        admit("SELECT *\nFROM t\nWHERE = 1")
    assert caught.value.code is Code.INVALID
    assert caught.value.details == {"line": "3", "column": "7", "excerpt": "3 | WHERE = 1\n  |       ^"}


def test_a_view_of_many_alternatives_is_held() -> None:
    """A thousand alternatives fit a tree, being associative; a thousand summands do not, and are re-run."""
    alternatives = " OR ".join(f"a = {number}" for number in range(1000))
    summands = " + ".join(f"a{number}" for number in range(1000))
    assert admit(f"SELECT * FROM t WHERE {alternatives}").select is not None
    assert admit(f"SELECT * FROM t WHERE {summands}").select is None


@pytest.mark.parametrize("name", ["auth", "access", "token"])
def test_only_a_view_of_a_user_reads_its_user(name: str) -> None:
    text = f"SELECT * FROM t WHERE owner = ${name}"
    assert admit(text, as_user=True).select is not None
    with pytest.raises(Fault, match=rf"\${name}"):
        admit(text)
    with pytest.raises(Fault, match=r"\$session"):
        admit("SELECT $session FROM t", as_user=True)
