"""Random WHERE, ORDER BY, LIMIT and START over random rows: the plain evaluator gives the engine's rows in its order.

Fields hold values of many kinds, NONE and NULL among them, so that comparisons cross kinds. Every ORDER BY has a LIMIT:
without one, the engine leaves rows of equal keys in no particular order.
"""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.values.kinds import NONE, Datetime, Duration, RecordId, Value
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.scope import Scope
from sp00ky.proto.whole.select import run_select

from tests.harness.oracle import Oracle, exact

FIELDS = ("a", "b", "o.x", "tags", "link")
ROWS = 25
QUERIES = 80
_VALUES: list[Value] = [
    *(NONE, None, True, False, 0, 1, 2, 3, 1.0, 2.5, -1.5, Decimal("2"), Decimal("2.5")),
    *("", "a", "b", "ab", "é", [1, 2], [], ["a"], {"x": 1}, {}),
    *(Datetime(10**18), Duration(5), RecordId("t", 1), RecordId("t", "k1"), RecordId("u", 1)),
]


def _row(draw: random.Random) -> dict[str, Value]:
    row: dict[str, Value] = {name: draw.choice(_VALUES) for name in ("a", "b", "tags")}
    row["o"] = {"x": draw.choice(_VALUES)}
    row["link"] = RecordId("t", draw.randrange(ROWS + 3))
    return {name: value for name, value in row.items() if value is not NONE and draw.random() > 0.1}


def _condition(draw: random.Random, depth: int = 0) -> str:
    if depth < 2 and draw.random() < 0.4:
        join = draw.choice(["AND", "OR"])
        return f"({_condition(draw, depth + 1)} {join} {_condition(draw, depth + 1)})"
    if draw.random() < 0.15:
        return f"!({_condition(draw, depth + 1)})"
    field = draw.choice([*FIELDS, "link.a", "link.o.x", "link.link.b"])
    if draw.random() < 0.1:
        return field
    op = draw.choice(
        ["=", "!=", "<", "<=", ">", ">=", "IN", "NOT IN", "CONTAINS", "CONTAINSANY", "CONTAINSALL", "?=", "*="]
    )
    other = draw.choice(FIELDS) if draw.random() < 0.2 else to_surql(draw.choice(_VALUES))
    return f"{field} {op} {other}"


def _query(draw: random.Random) -> str:
    fields = draw.choice(["*", "id, a, b, o.x", "id, a AS c, b, link.a AS la, o.x"])
    text = f"SELECT {fields} FROM t"
    if draw.random() < 0.8:
        text += f" WHERE {_condition(draw)}"
    if draw.random() < 0.6:
        keys = {"*": ["a", "b", "o.x", "id"], "id, a, b, o.x": ["a", "b", "o.x", "id"]}.get(fields, ["c", "b", "la"])
        chosen = draw.sample(keys, draw.randint(1, 2))
        text += " ORDER BY " + ", ".join(f"{key} {draw.choice(['ASC', 'DESC', ''])}".strip() for key in chosen)
        text += f" LIMIT {draw.randrange(1, ROWS + 5)}"
    elif draw.random() < 0.5:
        text += f" LIMIT {draw.randrange(0, ROWS)}"
    if draw.random() < 0.4:
        text += f" START {draw.randrange(0, 12)}"
    return text


@pytest.mark.parametrize("seed", range(12))
def test_random_selects_agree(seed: int) -> None:
    draw, oracle = random.Random(seed), Oracle()
    oracle.ask("DEFINE TABLE t SCHEMALESS")
    for number in range(ROWS):
        key: Value = number if number % 3 else f"k{number}"
        oracle.ask("CREATE $id CONTENT $row", id=RecordId("t", key), row=_row(draw))
    source = oracle.tables("t")
    for _ in range(QUERIES):
        text = _query(draw)
        ours = run_select(parse_select(text), Scope({}, source))
        assert exact(ours) == exact(oracle.ask(text)), text
