"""What SurrealDB's parser takes is taken here, and nothing else; and what is taken is held in a tree.

`accepted.surql` is a corpus of distinct constructs, one query a line, taken from the documented grammar and from random
texts of it; `outside.surql` lists, with the reason, what is not in a tree all the same. Both verdicts are asked for
each text: `judged.py`. More damaged texts, for as long as one likes: `python -m tests.language --minutes 10 --seed 7`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_select, read_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.shape import fill, lift
from sp00ky.proto.surrealql.tables import tables_read

from tests.fuzz import campaign, case
from tests.language import grammar
from tests.language.damaged import Damaged, corpus
from tests.language.engine_parser import EngineParser
from tests.language.judged import Judged, judged
from tests.oracle.corpus.application import applications

HERE = Path(__file__).parent
ACCEPTED = (HERE / "accepted.surql").read_text().splitlines()
OUTSIDE = [line for line in (HERE / "outside.surql").read_text().splitlines() if not line.startswith("-- ")]
EXPRESSIONS = sorted((HERE.parent / "oracle" / "expressions").glob("*.surql"))
CASES = 10  # of the fuzz, each with 20 queries
DAMAGED = 700


def kinds(texts: Iterable[str], engine: EngineParser) -> Counter[str]:
    """How many of each kind; a fault fails."""
    found = [judged(text, engine) for text in texts]
    faults = [each.fault for each in found if each.fault]
    assert not faults, "\n".join(faults)
    return Counter(each.kind for each in found)


def in_tree(text: str) -> bool:
    try:
        return read_select(text).aside is None
    except ParseError:
        return False


def test_the_corpus_is_large_and_has_no_repetition() -> None:
    assert len(ACCEPTED) >= 1_200
    assert len(set(ACCEPTED)) == len(ACCEPTED)


def test_the_corpus_is_taken_by_both(engine_parser: EngineParser) -> None:
    assert kinds(ACCEPTED, engine_parser) == {"taken": len(ACCEPTED)}


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_is_outside_is_still_outside(text: str, engine_parser: EngineParser) -> None:
    assert engine_parser.refusal(text) == ""
    assert judged(text, engine_parser).fault == ""
    assert not in_tree(text)


def test_every_walk_knows_every_node_of_the_corpus() -> None:
    for text in ACCEPTED:
        select = parse_select(text)
        assert parse_select(print_node(select)) == select, text
        tables = tables_read(select)
        assert tables is None or all(isinstance(table, str) for table in tables)
        lifted = lift(select, {})
        assert in_tree(print_node(fill(lifted.select, lifted.binding))), text


def test_the_queries_of_applications_are_taken(engine_parser: EngineParser) -> None:
    texts = [query.text for application in applications() for query in application.queries]
    assert kinds(texts, engine_parser) == {"taken": len(texts)}


def test_the_queries_of_the_fuzz_are_taken(engine_parser: EngineParser) -> None:
    regressions = (HERE.parent / "fuzz" / "regressions").glob("*.txt")
    cases = [
        *(drawn for _, drawn in islice(campaign.cases(7), CASES)),
        *(case.read(each.read_text()) for each in regressions),
    ]
    texts = [query.text for each in cases for query in each.queries]
    assert len(texts) > CASES * 10
    found = kinds(texts, engine_parser)
    assert found["taken"] > len(texts) * 0.99, found
    assert found["taken"] + found["refused"] == len(texts), found


@pytest.mark.parametrize("path", EXPRESSIONS, ids=[path.stem for path in EXPRESSIONS])
def test_the_expressions_of_the_oracle_are_taken(path: Path, engine_parser: EngineParser) -> None:
    texts = [f"SELECT VALUE {line} FROM t" for line in path.read_text().splitlines() if line and line[0] not in "#-"]
    found = kinds(texts, engine_parser)
    assert found["taken"] > len(texts) * 0.8, found


@pytest.mark.parametrize("seed", range(3))
def test_random_queries(seed: int, engine_parser: EngineParser) -> None:
    generator = random.Random(seed)
    found = kinds((grammar.query(generator, levels=3 + seed % 2) for _ in range(500)), engine_parser)
    assert found["taken"] > 250, found


@pytest.mark.parametrize("seed", range(2))
def test_damaged_queries_get_the_engines_verdict(seed: int, engine_parser: EngineParser) -> None:
    """A slice of the long run."""
    damaged = Damaged(seed, corpus())
    found = kinds((damaged.text() for _ in range(DAMAGED)), engine_parser)
    assert found["taken"] > DAMAGED // 20, found
    assert found["refused"] > DAMAGED // 4, found


# What both should say of each, and which of the two would be wrong else
VERDICTS: dict[str, str] = {
    "SELECT * FROM t": "taken",
    "SELECT <any | int> a FROM t": "refused",
    "SELECT VALUE { 1; 2 3 } FROM t": "refused",
    "SELECT VALUE IF a { 1 2 } FROM t": "refused",
    "SELECT VALUE 1..!a FROM t": "refused",
    "SELECT VALUE a:1..+2 FROM t": "refused",
    "SELECT VALUE a:NaN FROM t": "refused",
    "SELECT VALUE { NaN: 1 } FROM t": "refused",
    "SELECT VALUE (1, - 2) FROM t": "refused",
    "SELECT VALUE |t:>..3| FROM t": "refused",
    "SELECT VALUE |t:99999999999999999999| FROM t": "refused",
    "SELECT VALUE a <|3,MINKOWSKI - 3|> b FROM t": "refused",
    "SELECT VALUE [/*/] FROM t": "refused",
    "SELECT VALUE a:rand(1) FROM t": "refused",
    "SELECT VALUE d'2024-120-01' FROM t": "refused",
    "SELECT * FROM t FETCH type::field('a'), SELECT": "refused",
    "SELECT * FROM t GROUP ALL + 1": "refused by name",
    "SELECT * FROM t; SELECT * FROM t": "refused",
    "RETURN 1": "another statement",
    "SELECT no::function() FROM t": "refused there: Invalid function/constant path",
    "SELECT a IN b FROM t GROUP BY `a IN b`": "refused there: another spelling of a column's text",
}


@pytest.mark.parametrize("text", VERDICTS)
def test_verdicts(text: str, engine_parser: EngineParser) -> None:
    assert judged(text, engine_parser) == Judged(VERDICTS[text])


class Deaf(EngineParser):
    """An engine that takes what it refuses, and refuses what it takes."""

    def refusal(self, text: str) -> str:
        return "" if super().refusal(text) else "no"


def test_a_difference_is_a_fault() -> None:
    deaf = Deaf()
    assert judged("SELECT * FROM t", deaf).kind == "refused there"
    assert judged("SELECT * FROM t", deaf).fault
    assert judged("SELECT * FROM", deaf).kind == "refused here"
    assert judged("SELECT * FROM", deaf).fault
