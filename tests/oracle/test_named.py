"""Nothing silent: what is not kept incrementally is named, in the refusal or as the reason of re-evaluation.

Each table holds a construct, or a query with it, and the words by which it must be named. The tables are complete by
their sources: what `admit` refuses is read off its own tables, what the tree does not hold off the parser, and every
function that SurrealDB's parser knows (`functions.txt`) is either evaluated here or named.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import (
    REFUSED_CALLS,
    REFUSED_CLAUSES,
    REFUSED_METHODS,
    REFUSED_PARAMS,
    STATEMENTS,
    admit,
)
from sp00ky.proto.surrealql.expressions import FOREIGN_PATHS, REFUSED
from sp00ky.proto.values.kinds import Datetime, RecordId
from sp00ky.proto.whole.scope import EvaluationError, NotPlain
from sp00ky.ssp.engine.events import ViewKey

from tests.harness.driven_engine import Driven
from tests.language.engine_parser import EngineParser

HERE = Path(__file__).parent
PARSER = HERE.parents[1] / "proto" / "surrealql"
FUNCTIONS = (HERE / "functions.txt").read_text().split()


# --- refused ---------------------------------------------------------------------------------------------------------

CLAUSES = {
    "ORDER BY RAND()": "SELECT * FROM t ORDER BY RAND()",
    "VERSION": "SELECT * FROM t VERSION d'2024-01-01T00:00:00Z'",
    "EXPLAIN": "SELECT * FROM t EXPLAIN",
}
REFUSALS = [
    *((f"{word} x", word) for word in sorted(STATEMENTS)),
    *((f"SELECT ({word} x) AS a FROM t", word) for word in sorted(REFUSED)),
    *((f"SELECT * FROM ({word} x)", word) for word in sorted(REFUSED)),
    *((f"SELECT {_call}() AS a FROM t", f"{_call}()")
      for _call in (name + "x" if name.endswith("::") else name for name in REFUSED_CALLS)),
    *((f"SELECT a.{name}() AS b FROM t", f".{name}()") for name in REFUSED_METHODS),
    *((f"SELECT * FROM t WHERE a = ${name}.id", f"${name}") for name in sorted(REFUSED_PARAMS)),
    *((f"SELECT {path.lower()}::a(1) AS b FROM t", f"{path.lower()}::") for path in sorted(FOREIGN_PATHS)),
    *((text, name) for name, text in CLAUSES.items()),
    ("SELECT function() { return 1 } AS a FROM t", "a script function"),
    ("SELECT time::year() AS a FROM t", "time::year()"),
    ("SELECT * FROM t:rand()", ":rand()"),
    ("SELECT * FROM t WHERE id = t:uuid()", ":uuid()"),
    ("SELECT |t:3| AS a FROM t", "|t:n|"),
    ("SELECT * FROM t; SELECT * FROM u", "a second statement"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "name"), REFUSALS)
def test_what_cannot_be_a_view_is_refused_by_name(query: str, name: str) -> None:
    with pytest.raises(Fault) as refusal:
        admit(query)
    assert refusal.value.code is Code.UNSUPPORTED_QUERY
    assert f": {name}" in refusal.value.message and refusal.value.hint


def test_every_refused_clause_is_tried() -> None:
    assert CLAUSES.keys() == REFUSED_CLAUSES.keys()


# What SurrealDB refuses as well.
NO_SURREALQL = [
    ("SELECT * FROM t PARALLEL", "PARALLEL"),
    ("SELECT a FROM t ORDER BY b", "ORDER BY names b"),
    ("SELECT a FROM t GROUP BY b", "GROUP BY names b"),
    ("SELECT a FROM t SPLIT a GROUP BY a", "SPLIT and GROUP"),
    ("SELECT * FROM t WHERE a ~ 'b'", "~"),
]


@pytest.mark.parametrize(("query", "name"), NO_SURREALQL)
def test_what_is_no_surrealql_is_refused_by_name(query: str, name: str) -> None:
    assert not _engine_parser().accepts(f"({query})")
    with pytest.raises(Fault) as refusal:
        admit(query)
    assert refusal.value.code is Code.INVALID and name in refusal.value.message


# --- accepted and not taken apart ------------------------------------------------------------------------------------

# What the parser reads and the tree does not hold, with a query that has it.
NOT_HELD = {
    "a chain of more operators than fit": "SELECT * FROM t WHERE " + " - ".join(["n"] * 1000),
    "a column named by a long chain of operators": "SELECT " + " OR ".join(["n"] * 40) + " FROM t",
    "nesting as deep as this": "SELECT " + "(SELECT * FROM " * 16 + "t" + ")" * 16 + " AS a FROM t",
    "a mock of more than": "SELECT |t:1..1000000| AS a FROM t",
    "of a column by its text": "SELECT n + 1 FROM t ORDER BY `n + 1`",
    "FETCH of what is computed": "SELECT * FROM t FETCH type::field('a') + 1",
    "a point that is not finite": "SELECT (Infinity, 1.0) AS a FROM t",
    "a quoted record id with more than a key in it": "SELECT r't:[(Infinity, 1.0)]' AS a FROM t",
}
# Among them, what is refused besides.
NEW_KEYS = {"a new record key", "a mock of new record ids"}


@pytest.mark.parametrize(("name", "query"), NOT_HELD.items())
def test_what_the_tree_does_not_hold_is_named(name: str, query: str) -> None:
    admitted = admit(query)
    assert admitted.select is None and name in admitted.aside, admitted
    assert name in _outcome(query)


def test_everything_the_parser_sets_aside_is_tried() -> None:
    sources = "\n".join(path.read_text() for path in PARSER.glob("*.py"))
    written = re.findall(r'set_aside\([^"\n]*"([^"]+)"', sources)
    named = {max(re.split(r"{[^}]*}", text), key=len).strip() for text in written}
    assert named - NOT_HELD.keys() == NEW_KEYS


# --- re-evaluated ----------------------------------------------------------------------------------------------------

REEVALUATED = [
    ("SELECT * FROM t WHERE s @@ 'a'", "operator @@"),
    ("SELECT search::score(1) AS a FROM t", "search::score()"),
    ("SELECT array::lenght(l) AS a FROM t", "array::lenght()"),
    ("SELECT (SELECT VALUE search::score(1) FROM e) AS a FROM t", "search::score()"),
    ("SELECT * FROM computed", "table computed has computed fields"),
    ("SELECT * FROM t WHERE n IN (SELECT VALUE n FROM computed)", "table computed has computed fields"),
    ("SELECT * FROM derived", "table derived is itself a view"),
    ("SELECT ->derived AS a FROM t", "table derived is itself a view"),
    ("SELECT * FROM _00_meta", "table _00_meta belongs to the mesh"),
    ("SELECT * FROM indexed WHERE n > 1 LIMIT 1", "an index on n, whose order shows"),
    ("SELECT * FROM indexed, t WHERE n = 1 LIMIT 1", "several tables by their indexes"),
    ("SELECT * FROM deep WHERE o.p = 1 LIMIT 1", "an index on a path"),
]
LONG = "array::combine(array::repeat(n, 2000), array::repeat(n, 2000))"
# Named as soon as a row shows that it cannot be evaluated here, wherever in the query it stands.
BY_A_ROW = [
    (f"SELECT * FROM t WHERE array::len({LONG}) > 1", "array::combine of long arrays"),
    (f"SELECT {LONG} AS a FROM t", "array::combine of long arrays"),
    (f"SELECT id, (SELECT VALUE {LONG} FROM e) AS a FROM t", "array::combine of long arrays"),
    (f"SELECT count() AS a, {LONG} AS b FROM t GROUP BY b", "array::combine of long arrays"),
    ("SELECT * FROM t WHERE <array<int>> 1..1000000 = n", "a long range as an array"),
    ("SELECT <array<int>> 1..1000000 AS a FROM t", "a long range as an array"),
    ("SELECT <regex> s AS a FROM t", "cast <regex>"),
    ("SELECT * FROM t WHERE 2dec ** 0.5dec > n", "a decimal to a power that is no integer"),
    ("SELECT * OMIT l[WHERE n] FROM t", "OMIT of something other than names"),
    ("SELECT * OMIT ->e FROM t", "OMIT of something other than names"),
    ("SELECT * FROM many ORDER BY n LIMIT 2000", "ORDER BY of equal rows without a small LIMIT"),
    ("SELECT * FROM many ORDER BY n START 1", "ORDER BY of equal rows without a small LIMIT"),
]


@pytest.mark.parametrize(("query", "name"), [*REEVALUATED, *BY_A_ROW])
def test_what_is_re_evaluated_is_named(query: str, name: str) -> None:
    outcome = _outcome(query)
    assert outcome.startswith("reevaluated") and name in outcome


@cache
def _functions() -> dict[str, str]:
    """What became of a view with each function."""
    return _outcomes({name: f"SELECT {name}(s) AS a FROM t" for name in FUNCTIONS})


def test_every_function_is_kept_or_named() -> None:
    """A function that is evaluated here may still fail on the row, as it does in SurrealDB."""
    unnamed = {
        name: outcome
        for name, outcome in _functions().items()
        if not outcome.startswith("incremental") and name not in outcome
    }
    assert not unnamed


def test_the_functions_are_surrealdbs() -> None:
    refused = [name for name in FUNCTIONS if not _engine_parser().accepts(f"{name}()")]
    assert len(FUNCTIONS) > 400 and not refused


# --- what became of a view -------------------------------------------------------------------------------------------


@cache
def _engine_parser() -> EngineParser:
    return EngineParser()


def _outcome(query: str) -> str:
    return _outcomes({"v": query})["v"]


def _outcomes(queries: dict[str, str]) -> dict[str, str]:
    """Mode, reason and error of each view, over two records and an edge, or many records."""
    driven = Driven()
    for table in ("computed", "derived"):
        driven.log.schema(table, **{table: True})
    driven.log.schema("indexed", indexes=[["n"]])
    driven.log.schema("deep", indexes=[["o.p"]])
    driven.log.schema("t")
    driven.log.schema("e")
    driven.log.change("t", 1, {"n": 1, "s": "a", "l": [1, 2], "d": Datetime(0)})
    driven.log.change("t", 2, {"n": 2.5, "s": "b", "l": []})
    for key in range(30):
        driven.log.change("many", key, {"n": key % 3})
    driven.log.change("e", 1, {"in": RecordId("t", 1), "out": RecordId("t", 2), "n": 1})
    driven.welcome()
    for view, query in queries.items():
        driven.log.register(view, query)
    driven.catch_up()
    return {view: _told(driven, view) for view in queries}


def _told(driven: Driven, view: str) -> str:
    """An incremental view whose rows cannot be told is neither kept nor named."""
    reading = driven.engine.view(ViewKey(view))
    assert reading is not None
    try:
        reading.rows()
    except EvaluationError:
        pass  # SurrealDB cannot tell them either
    except NotPlain as refusal:
        return f"silent ({refusal.name})"
    return f"{reading.mode} ({reading.reason}) {reading.error}"
