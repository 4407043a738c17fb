"""Shapes: equal structure means equal key, constants go to the binding, and filling the holes undoes the lifting."""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.shape import Lifted, fill, lift
from sp00ky.proto.surrealql.tables import tables_read
from sp00ky.proto.values.kinds import NONE, RecordId, Table, Value

CORPUS = Path(__file__).parents[2] / "language" / "queries.surql"


def shape(text: str, **params: Value) -> Lifted:
    return lift(parse_select(text), params)


def test_literals_and_parameters_give_one_shape() -> None:
    one = shape("SELECT * FROM post WHERE author = user:a AND n > 5 LIMIT 10")
    two = shape("SELECT * FROM post WHERE author = $who AND n > $n LIMIT $l", who=RecordId("user", "b"), n=7.5, l=3)
    assert one.key == two.key == "SELECT * FROM post WHERE author = ‹0› AND n > ‹1› LIMIT ‹2›"
    assert one.select == two.select
    assert one.binding == (RecordId("user", "a"), 5, 10)
    assert two.binding == (RecordId("user", "b"), 7.5, 3)


def test_structure_is_told_apart() -> None:
    texts = [
        "SELECT * FROM a WHERE b = 1",
        "SELECT * FROM a WHERE c = 1",
        "SELECT * FROM a WHERE b > 1",
        "SELECT * FROM a WHERE b = 1 LIMIT 1",
        "SELECT * FROM b WHERE b = 1",
        "SELECT b FROM a WHERE b = 1",
        "SELECT * FROM a WHERE b[0] = 1",
        "SELECT * FROM a WHERE b[1] = 1",
        "SELECT * FROM a WHERE b = $parent.c",
        "SELECT * FROM a WHERE b = type::record('c', 1)",
        "SELECT * FROM a WHERE b = type::record('d', 1)",
    ]
    assert len({shape(text).key for text in texts}) == len(texts)


def test_a_missing_parameter_is_none() -> None:
    assert shape("SELECT * FROM a WHERE b = $nobody").binding == (NONE,)


def test_lists_are_lifted_whole() -> None:
    short = shape("SELECT * FROM a WHERE b IN [1, $x]", x=2)
    long = shape("SELECT * FROM a WHERE b IN [1, 2, 3]")
    assert short.key == long.key
    assert short.binding == ([1, 2],)


def test_the_table_of_a_record_in_from_stays() -> None:
    literal = shape("SELECT * FROM user:a")
    given = shape("SELECT * FROM $who", who=RecordId("user", "b"))
    assert literal.key == given.key == "SELECT * FROM user:‹0›"
    assert (literal.binding, given.binding) == (("a",), ("b",))
    assert tables_read(given.select) == {"user"}
    assert shape("SELECT * FROM $t", t=Table("user")).key == shape("SELECT * FROM user").key


def test_closures_and_rows_keep_their_parameters() -> None:
    lifted = shape("SELECT VALUE xs.map(|$x| $x + $y) FROM a WHERE b = $parent.c AND d = $this.e", x=1, y=2)
    assert lifted.key == "SELECT VALUE xs.map(|$x| $x + ‹0›) FROM a WHERE b = $parent.c AND d = $this.e"
    assert lifted.binding == (2,)


def test_a_column_named_by_its_text_keeps_it() -> None:
    lifted = shape("SELECT a + 1, a + $x, b + 2 AS c FROM t WHERE d = $x", x=3)
    assert lifted.key == "SELECT a + 1, a + $x, b + ‹0› AS c FROM t WHERE d = ‹1› $x=3"
    assert lifted.kept == (("x", 3),)
    assert lifted.key != shape("SELECT a + 1, a + $x, b + 2 AS c FROM t WHERE d = $x", x=4).key


@pytest.mark.parametrize("text", CORPUS.read_text().splitlines())
def test_filling_undoes_lifting(text: str) -> None:
    params: dict[str, Value] = {}
    lifted = lift(parse_select(text), params)
    again = lift(fill(lifted.select, lifted.binding), params)
    assert again.key == lifted.key
    assert again.binding == lifted.binding
    assert print_node(again.select) == print_node(lifted.select)
