"""The plain evaluator gives the engine's own answer, or says that it cannot: over a thousand expressions and queries.

`expressions/*.surql` holds an expression a line, `selects/*.surql` data, a line `----`, and a query a line. All are
answered by both; an error of the engine must be an `EvaluationError` here. What is answered by the engine alone stands
in `NOT_PLAIN`: there the evaluator must refuse, never guess.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope, Source
from sp00ky.proto.whole.select import run_select

from tests.harness.oracle import Oracle, Refused, exact

HERE = Path(__file__).parent
EXPRESSIONS = sorted((HERE / "expressions").glob("*.surql"))
SELECTS = sorted((HERE / "selects").glob("*.surql"))

# The engine answers each of these; the answer depends on something that is not reproduced here.
NOT_PLAIN = [
    "rand::int()",
    "time::now()",
    "fn::mine(1)",
    "string::slug('漢')",
    "string::uppercase('ƛ')",
    "string::matches('a', '(?=a)')",
    "string::matches('é', '\\\\w')",
    "string::matches('a', '(a+)+')",
    "string::html::sanitize('<b>a')",
    "string::similarity::fuzzy('a', 'b')",
    "string::is_datetime('2020', '%Y')",
    "string::is_url('mailto:a@b')",
    "value::diff('a', 'b')",
    "value::patch(1, [])",
    "record::exists(a:1)",
    "array::shuffle([1, 2])",
    "array::sort_natural(['a'])",
    "2dec ** 0.5",
    "math::pow(2dec, 1.5dec)",
    "math::clamp(1, 0, math::sqrt(-1))",
    "math::fixed(0.1, 100000)",
    "math::lerpangle(0, math::inf, 0.5)",
    "vector::divide([1dec], [1e-40])",
    "1s * 79228162514264337593543950335dec",
    "time::set_nanosecond(d'2020-01-01T00:00:00Z', 1500000000)",
    "time::format(d'-0200-01-01T00:00:00Z', '%C')",
    "crypto::argon2::compare('a', 'b')",
    "encoding::cbor::encode(1)",
    "encoding::json::decode('0.12345678901234567')",
    "parse::url::host('http://ü.de')",
    "parse::url::path('http://a.de/../b')",
    "parse::email::host('a@ü.de')",
    "<record> 'a:b-c'",
    "<datetime> ' 2020-01-01T00:00:00Z'",
    "<decimal> '0.12345678901234567890123456789e1'",
    "<[int]> [1]",
    "<regex> 'a'",
    "[1, 2][1.0]",
    "$auth",
    "a:1.name",
    "a:1->likes",
    "(SELECT * FROM a)",
]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def _ours(text: str, source: Source | None) -> Value | Refused:
    """Our answer; an error that the engine must have as well is a Refused."""
    scope = Scope({}, source)
    try:
        if text.startswith("SELECT"):
            return run_select(parse_select(text), scope)
        return evaluate(parse_expr(text), NONE, scope)
    except EvaluationError as error:
        return Refused(error.name)
    except ParseError as error:
        return Refused(str(error))


def _differences(oracle: Oracle, lines: list[str], source: Source | None) -> list[str]:
    found = []
    for line in lines:
        theirs = oracle.ask(line if line.startswith("SELECT") else f"RETURN {line}")
        try:
            ours = _ours(line, source)
        except NotPlain as refusal:
            found.append(f"{line}: not plain: {refusal.name}")
            continue
        if isinstance(ours, Refused) != isinstance(theirs, Refused):
            found.append(f"{line}: {ours} instead of {theirs}")
        elif not isinstance(theirs, Refused) and exact(ours) != exact(theirs):
            found.append(f"{line}: {exact(ours)} instead of {exact(theirs)}")
    return found


@pytest.mark.parametrize("path", EXPRESSIONS, ids=[path.stem for path in EXPRESSIONS])
def test_expressions(oracle: Oracle, path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) > 20
    assert not _differences(oracle, lines, None)


@pytest.mark.parametrize("path", SELECTS, ids=[path.stem for path in SELECTS])
def test_selects(path: Path) -> None:
    oracle = Oracle()
    data, queries = path.read_text().split("----\n")
    assert not [answer for answer in oracle.ask_all(data) if isinstance(answer, Refused)]
    names = sorted(oracle.ask("INFO FOR DB")["tables"])
    lines = queries.splitlines()
    assert len(lines) > 40
    assert not _differences(oracle, lines, oracle.tables(*names))


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(NotPlain) as refusal:
        evaluate(parse_expr(text), NONE, Scope({}))
    assert refusal.value.name


@pytest.mark.parametrize("path", EXPRESSIONS, ids=[path.stem for path in EXPRESSIONS])
def test_nearly_every_line_parses(path: Path) -> None:
    """A line that our parser refuses proves nothing here; the engine must refuse it too, and there are few."""
    refused = 0
    for line in path.read_text().splitlines():
        try:
            parse_expr(line)
        except ParseError:
            refused += 1
    assert refused < 10
