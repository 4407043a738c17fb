"""Rows and ids of every kind, and names of every shape, against the engine itself: what the mesh holds is what the
database returns, its sums are ours, and no name is ever more than a name."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sp00ky.proto.merkle import DIGEST_SURQL, PLACE_SURQL, digest_of, place_of
from sp00ky.proto.values.kinds import NONE, RecordId, SurrealSet, Table, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.proto.values.text import escape_ident, parse_record_id, quote_string, record_id_text, to_surql

from tests.harness.oracle import Oracle, Refused, exact
from tests.harness.values import names, record_keys, values

INJECTIONS = (
    *(
        "t; REMOVE TABLE canary",
        "`; DELETE canary; --",
        "⟩; DELETE canary; ⟨",
        "a` ; THROW 'x'; `b",
        "\\`; DELETE canary",
    ),
    *(
        "t WHERE true; DELETE canary",
        "*",
        "$canary",
        "canary:1",
        "a\nb",
        "a\0b".replace("\0", "\x01"),
        "é\u0301",
        "\u202ea",
    ),
    *("1", "01", "1e5", "NaN", "Infinity", "select", "NONE", "_", "__", "-", "'", '"', "/*", "--", "#", "\\", "\\'"),
)
HOSTILE_KEYS: tuple[Value, ...] = (
    *INJECTIONS,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    [],
    [1, "1", NONE, None],
    {"a b": "`"},
    ["`", ["⟩"]],
)
_rows = st.dictionaries(names.filter(lambda name: name != "id"), values, max_size=3)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def _made(oracle: Oracle, record_id: RecordId, row: dict[str, Value]) -> dict[str, Value] | None:
    """The record as the engine returns it; None for one that it refuses."""
    made = oracle.ask("CREATE ONLY $id CONTENT $row", id=record_id, row=row)
    return None if isinstance(made, Refused) else made


@settings(max_examples=150, deadline=None)
@given(table=names, key=record_keys, row=_rows)
@example(table="a", key=0, row={"0": SurrealSet(([Table("null")], [RecordId("a", 0)]))})
def test_p3_what_is_held_is_what_the_database_returns_and_is_digested_alike(
    oracle: Oracle, table: str, key: Value, row: dict[str, Value]
) -> None:
    record_id = RecordId(table, key)
    made = _made(oracle, record_id, row)
    if made is None:
        return
    try:
        held = unpack(pack(made))
        assert exact(held) == exact(made) and exact(unpack(pack(made["id"].key))) == exact(made["id"].key)
        text = f"SELECT id, {PLACE_SURQL} AS p, {DIGEST_SURQL} AS d FROM (SELECT * FROM $id)"
        (summed,) = oracle.ask(text, id=made["id"])  # type: ignore[misc]
        assert (summed["p"], summed["d"]) == (place_of(held["id"]), digest_of(held))
    finally:
        oracle.ask("DELETE $id", id=made["id"])


@pytest.mark.parametrize("key", HOSTILE_KEYS, ids=repr)
def test_p3_no_two_ids_are_confused(oracle: Oracle, key: Value) -> None:
    record_id = RecordId("p3", key)
    made = _made(oracle, record_id, {"n": 1})
    assert made is not None and exact(made["id"]) == exact(record_id)
    text = record_id_text(made["id"])
    assert exact(parse_record_id(text)) == exact(made["id"])
    assert oracle.ask(f"SELECT VALUE n FROM {to_surql(made['id'])}") == [1], "the literal names that record"
    assert oracle.ask("RETURN <string>$id", id=made["id"]) == text
    others = [other for other in HOSTILE_KEYS if exact(other) != exact(key)]
    assert place_of(record_id) not in {place_of(RecordId("p3", other)) for other in others}
    oracle.ask("DELETE $id", id=made["id"])


@settings(max_examples=200, deadline=None)
@given(name=names | st.sampled_from(INJECTIONS))
@example(name="`; DELETE canary; --")
def test_i8_a_name_is_never_more_than_a_name(oracle: Oracle, name: str) -> None:
    """As a table, as a field, as an alias and as a string: the canary survives, and the name denotes itself."""
    oracle.ask("UPSERT canary:1 SET sings = true")
    ident = escape_ident(name)
    oracle.ask(f"DEFINE TABLE IF NOT EXISTS {ident}")
    made = oracle.ask(f"CREATE ONLY {ident} SET {ident} = 7")
    assert isinstance(made, dict) and made["id"].table == name and made.get(name) == (7 if name != "id" else made["id"])
    assert oracle.ask(f"SELECT VALUE {ident} FROM ONLY $id", id=made["id"]) == made[name]
    assert oracle.ask(f"RETURN {quote_string(name)}") == name
    assert oracle.ask(f"RETURN {to_surql({name: [name]})}") == {name: [name]}
    oracle.ask(f"REMOVE TABLE {ident}")
    if name != "canary":
        assert oracle.ask("SELECT * FROM canary") == [{"id": RecordId("canary", 1), "sings": True}]
