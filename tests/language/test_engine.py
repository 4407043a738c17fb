"""SurrealDB's grammar, read off SurrealDB: precedence of every pair of operators; and texts that are none of it."""

from __future__ import annotations

import random
import time
from itertools import product

import pytest
from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.surrealql.printer import print_node

from tests.language.engine_parser import EngineParser

OPERATORS = ("OR", "AND", "=", "<", "IN", "CONTAINSALL", "+", "*", "**", "..", "??", "?:", "@@")


def spaced(operator: str) -> str:
    return operator if operator == ".." else f" {operator} "


@pytest.mark.parametrize("first", OPERATORS)
def test_precedence(first: str, engine_parser: EngineParser) -> None:
    """Without brackets, `a x b y c` is to both what the tree printed with all its brackets is to the engine."""
    for second in OPERATORS:
        text = f"a{spaced(first)}b{spaced(second)}c"
        theirs = engine_parser.canonical(text)
        if theirs is None:
            with pytest.raises(ParseError):
                parse_expr(text)
            continue
        assert engine_parser.canonical(print_node(parse_expr(text))) == theirs, text


def test_signs_and_casts(engine_parser: EngineParser) -> None:
    for sign, operator in product(("-", "!", "<int> "), OPERATORS):
        for text in (f"{sign}a{spaced(operator)}b", f"{sign}(a{spaced(operator)}b)", f"({sign}a){spaced(operator)}b"):
            assert engine_parser.canonical(print_node(parse_expr(text))) == engine_parser.canonical(text), text


GARBAGE = "SELECT FROM WHERE ( ) [ ] { } < > | ' \" ` ⟨ ⟩ / * . .. : :: $ a 1 , ; @ -> <- - + = ? ! \\ é"


def test_garbage_is_an_answer_not_a_crash() -> None:
    """Any characters at all: admitted or refused with a position, and quickly."""
    generator = random.Random(7)
    alphabet = [*GARBAGE.split(), "\n", "\0", " "]
    started = time.process_time()
    for _ in range(3_000):
        text = "SELECT " * generator.randrange(2) + " ".join(generator.choices(alphabet, k=generator.randrange(1, 24)))
        try:
            admit(text)
        except Fault as fault:
            assert "line" in fault.details or "empty" in fault.message
    assert time.process_time() - started < 10


HOSTILE = [
    "(" * 30_000,
    "SELECT " + "(" * 30_000,
    "SELECT " + "[" * 30_000,
    "SELECT " + "{a:" * 15_000,
    "SELECT " + "!" * 60_000,
    "SELECT " + "-" * 60_000,
    "SELECT a" + ".{a" * 15_000,
    "SELECT a" + "[a" * 15_000,
    "SELECT " + "->(a WHERE " * 5_000,
    "SELECT " + "(SELECT " * 5_000,
    "SELECT " + "IF a THEN " * 5_000,
    "SELECT " + "|$a| " * 10_000,
    "SELECT " + "<array" * 10_000,
    "SELECT " + "a OR " * 12_000 + "a FROM t",
    "SELECT a" + ".a" * 30_000 + " FROM t",
    "SELECT a" + ", a" * 20_000 + " FROM t",
    "SELECT " + "value / " * 8_000 + "a FROM t",
    "SELECT " + "/" * 60_000,
    "SELECT '" + "\\" * 60_001,
    "SELECT " + "1" * 60_000 + " FROM t",
    "SELECT " + "1h" * 30_000 + " FROM t",
    "SELECT a:" + "1" * 60_000 + " FROM t",
    "SELECT " + "/*" * 30_000,
    "\n" * 60_000 + "SELECT",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_take_no_time_and_no_stack(text: str) -> None:
    started = time.process_time()
    try:
        assert admit(text).text == text
    except Fault as fault:
        assert fault.details["line"]
    assert time.process_time() - started < 5
