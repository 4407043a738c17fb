"""Random arguments to every function that is evaluated here, also as a method: the engine's own answer, or a refusal.

An argument is drawn by the kind that its function takes, now and then from any kind; some are left out or one too
many. Where the engine answers with an error, an error or a refusal must come; where it answers, its value or a refusal.
"""

from __future__ import annotations

import random

import pytest
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole import functions
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.functions import Kinds, parameters, plain_functions
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope

from tests.harness.oracle import Oracle, Refused, exact

CALLS = 30  # of each function
ANSWERED_MIN = 0.6  # of the calls that the engine answers
BATCH = 200
DEADLY = ("fill(", "clamp(", "fixed(", "divide(")  # the engine aborts the process at some of what we refuse of these

INTS = ["0", "1", "2", "3", "-1", "-2", "5", "10", "255", "9223372036854775807", "-9223372036854775808"]
FLOATS = ["0.0", "1.0", "2.0", "-1.0", "0.5", "-2.5", "1e300", "NaN", "-Infinity", "3.999"]
DECIMALS = ["0dec", "1dec", "2.5dec", "-1dec", "0.1dec"]
TEXTS = [
    *("''", "'a'", "'b'", "'abc'", "'Abc dEf'", "' a  b\\t'", "'aab'", "'ca'", "'héllo wörld'", "'ΑΣ Σ'", "'ß'"),
    *(
        "'日本'",
        "'👍🏽 ok'",
        "'İ'",
        "'e\\u{301}'",
        "','",
        "'true'",
        "'1'",
        "'-12.5'",
        "'1.5'",
        "'90'",
        "'180.0'",
        "'1h30m'",
    ),
    *("'2020-02-29'", "'2020-01-01T00:00:00Z'", "'2020-01-01T00:00:00.5+01:00'", "'a:1'", "'a:⟨x y⟩'", "'deadBEEF'"),
    *("'1.2.3'", "'1.2.3-a.1+b.2'", "'1.10.0'", "'v1.2'", "'01ARZ3NDEKTSV4RRFFQ69G5FAV'", "'127.0.0.1'", "'::1'"),
    *("'018e45a8-2d1c-7d4e-8b7a-0123456789ab'", "'a.b@example.com'", "'https://example.com:80/x?y=1#z'", "'180.0'"),
    *("'<b>x</b> & \"y\"'", "'[a-c]+'", "'^a'", "'b*'", "'(?i)ABC'", "'(a|b)c?$'", "'aGVsbG8='", "'{\"a\":[1]}'"),
]
ARRAYS = [
    *("[]", "[1]", "[1, 2, 3]", "[3, 1, 2]", "[1, 1.0, 1dec]", "[0.5, 2.5, -1.0]", "[1dec, 2.5dec]", "['b', 'a', 'B']"),
    *("[NONE, NULL, true]", "[[1, 2], [3]]", "[['a', 1], ['b', 2]]", "[{ a: 1 }, { a: 2 }]", "[1, 'a', [1], NONE]"),
    *("[0, '', 'x', false]", "[2, 2, 'a', 'a']", "[d'2020-01-01T00:00:00Z', d'2019-01-01T00:00:00Z']", "[1h, 2h]"),
    *("[4, 5, 6]", "[-1, 0.0, 3]", "['a', 'b']", "[a:1, a:2]", "[{1, 2}, [3, 4], 5]", "[NaN, 1]", "[[[1]], [], 2]"),
]
SETS = ["{,}", "{1,}", "{1, 2, 3}", "{2, 'a', NONE}", "{[1, 2], {3, 4}, 5}", "{1.0, 2dec}", "{0, false, ''}"]
OBJECTS = ["{}", "{ a: 1 }", "{ a: 2, b: [1, 2] }", "{ b: { c: NONE } }", "{ a: [1, 3], `x y`: NULL, b: 'q' }"]
RECORDS = ["a:1", "a:x", "b:[1, 'y']", "a:{ k: 1 }", "a:⟨x y⟩", "a:u'018e45a8-2d1c-7d4e-8b7a-0123456789ab'"]
DATETIMES = ["d'2020-02-29T12:34:56.789012345Z'", "d'1969-12-31T23:59:59Z'", "d'2024-12-30T00:00:00Z'"]
DURATIONS = ["0ns", "1h30m", "1y2w3d4h5m6s7ms8us9ns", "1d", "15m"]
GEOMETRIES = ["(1.5, 2.0)", "(-0.04, 51.55)"]
BYTES = ['b""', 'b"00ff"', 'b"68656c6c6f"', 'b"8301020a"']
OTHERS = ["NONE", "NULL", "true", "false", "1..3", "0..=1", "-2..", "..2", "u'018e45a8-2d1c-7d4e-8b7a-0123456789ab'"]
CLOSURES = [
    *("|$a| $a", "|$a| $a = 1", "|$a, $b| $b", "|$a, $b| [$a, $b]", "|| true", "|$a, $b, $c| $c", "|$a, $b| $a + $b"),
    *("|$a| type::is_int($a)", "|$a| $a > 1"),
]
REGEXES = ["/b/", "/^A/", "/[a-c]+/", "/x*/", "/\\d+/"]
KINDS: dict[Kinds, list[str]] = {
    functions.ARRAY: ARRAYS,
    functions.TEXT: TEXTS,
    functions.INT: INTS,
    functions.WHOLE: INTS * 3 + FLOATS + DECIMALS,
    functions.NUMBER: INTS + FLOATS + DECIMALS,
    functions.REAL: INTS + FLOATS,
    functions.OBJECT: OBJECTS,
    functions.RECORD: RECORDS,
    functions.DATETIME: DATETIMES,
    functions.DURATION: DURATIONS,
    functions.GEOMETRY: GEOMETRIES,
    functions.BYTES: BYTES,
    functions.SET: SETS,
    functions.CLOSURE: CLOSURES,
}
EVERY = [INTS, FLOATS, DECIMALS, TEXTS, ARRAYS, SETS, OBJECTS, RECORDS, DATETIMES, DURATIONS, GEOMETRIES, BYTES, OTHERS]


def _argument(draw: random.Random, kinds: Kinds, family: str) -> str:
    if draw.random() < 0.06:
        return draw.choice(draw.choice(EVERY))
    if kinds in KINDS:
        return draw.choice(KINDS[kinds])
    if kinds is functions.ANY_OR_CLOSURE and draw.random() < 0.7:
        return draw.choice(CLOSURES)
    if family == "string" and draw.random() < 0.7:  # no other family: the engine cannot hand out a regex
        return draw.choice(TEXTS + REGEXES)
    return draw.choice(draw.choice([*EVERY, OTHERS, INTS]))


def _call(draw: random.Random, name: str) -> str:
    family, _, path = name.partition("::")
    kinds = parameters(name)
    count = len(kinds) - (draw.random() < 0.2)
    args = [_argument(draw, kind, family) for kind in kinds[: max(count, 0)]]
    if kinds and draw.random() < 0.05:
        args.append(_argument(draw, kinds[-1], family))
    if args and path and draw.random() < 0.25 and not args[0].startswith(("|", "/")):
        method = path.replace("::", "_")
        if family == "type" and not method.startswith("is_"):
            method = f"to_{method}"
        return f"({args[0]}).{method}({', '.join(args[1:])})"
    return f"{name}({', '.join(args)})"


def _ours(text: str) -> Value | NotPlain:
    try:
        return evaluate(parse_expr(text), NONE, Scope({}))
    except NotPlain as refusal:
        return refusal


def _difference(text: str, ours: Value | NotPlain, theirs: Value | Refused) -> str | None:
    """None if the two agree, or if we leave the answer to the engine."""
    if isinstance(ours, NotPlain):
        wrong = isinstance(ours, EvaluationError) and not isinstance(theirs, Refused)
        return f"{text}: error {ours.name} instead of {theirs}" if wrong else None
    if isinstance(theirs, Refused):
        return f"{text}: {exact(ours)} instead of {theirs}"
    return None if exact(ours) == exact(theirs) else f"{text}: {exact(ours)} instead of {exact(theirs)}"


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, Value | NotPlain, Value | Refused]]:
    """Each call, our answer and the engine's."""
    draw = random.Random(20)
    texts = [_call(draw, name) for name in sorted(plain_functions()) for _ in range(CALLS)]
    ours = {text: _ours(text) for text in texts}
    asked = [text for text in ours if not (isinstance(ours[text], NotPlain) and any(name in text for name in DEADLY))]
    oracle = Oracle()
    answers: list[Value | Refused] = []
    for begin in range(0, len(asked), BATCH):
        batch = asked[begin : begin + BATCH]
        found = oracle.ask_all("; ".join(f"RETURN {text}" for text in batch))
        assert len(found) == len(batch), f"the engine cannot read one of {batch}: {found}"
        answers += found
    return [(text, ours[text], theirs) for text, theirs in zip(asked, answers, strict=True)]


def test_no_call_has_another_answer(calls: list[tuple[str, Value | NotPlain, Value | Refused]]) -> None:
    assert len(calls) > 3_000
    found = [_difference(*call) for call in calls]
    assert not [difference for difference in found if difference is not None]


def test_most_calls_have_an_answer(calls: list[tuple[str, Value | NotPlain, Value | Refused]]) -> None:
    """A family that refused everything would pass the other test."""
    answered = [not isinstance(ours, NotPlain) for _, ours, theirs in calls if not isinstance(theirs, Refused)]
    assert len(answered) > len(calls) // 3
    assert sum(answered) > ANSWERED_MIN * len(answered)
