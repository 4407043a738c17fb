"""Any text gets an answer: no crash, no end of the stack, and work that grows with the text, not with its square."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql.admit import TEXT_BYTES_MAX, admit
from sp00ky.proto.surrealql.errors import ParseError, error_at
from sp00ky.proto.surrealql.outline import print_tree
from sp00ky.proto.surrealql.parser import parse_expr, read_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.shape import fill, lift
from sp00ky.ssp.plan.tree import rewrite, walk

from tests.language.damaged import Damaged, corpus

ACCEPTED = (Path(__file__).parent / "accepted.surql").read_text().splitlines()

# What opens, what stands inside, what closes: nested as deep as one likes
NESTING: dict[str, tuple[str, str, str]] = {
    "round": ("(", "1", ")"),
    "square": ("[", "1", "]"),
    "object": ("{a:", "1", "}"),
    "set": ("{", "1", ",}"),
    "block": ("{1;", "1", "}"),
    "let": ("{LET $a = ", "1", "}"),
    "for": ("FOR $a IN 1 {", "1", "}"),
    "return": ("RETURN ", "1", ""),
    "throw": ("THROW ", "1", ""),
    "call": ("f(", "1", ")"),
    "apply": ("$f(", "1", ")"),
    "method": ("a.f(", "1", ")"),
    "index": ("a[", "1", "]"),
    "filter": ("a[WHERE ", "1", "]"),
    "destructure": ("a.{b: ", "1", "}"),
    "inner destructure": ("a.{b.{", "a", "}}"),
    "graph": ("->(a WHERE ", "1", ")"),
    "graph select": ("->(SELECT ", "1", " FROM a)"),
    "recurse": ("a.{1..2}(.", "a", ")"),
    "select": ("(SELECT ", "1", " FROM a)"),
    "bare select": ("SELECT VALUE ", "1", " FROM a"),
    "from": ("SELECT * FROM ", "a", ""),
    "if": ("IF 1 THEN ", "1", " END"),
    "else": ("IF 1 {} ELSE {", "1", "}"),
    "else if": ("IF 1 { 1 } ELSE ", "IF 1 { 1 }", ""),
    "closure": ("|$a| ", "1", ""),
    "typed closure": ("|$a| -> int {", "1", "}"),
    "not": ("!", "1", ""),
    "minus": ("- ", "1", ""),
    "cast": ("<int>", "1", ""),
    "kind": ("<array<", "1", ">>a"),
    "object kind": ("<{a:", "int", "}>a"),
    "option": ("<option<", "int", ">>a"),
    "record key": ("a:[", "1", "]"),
    "record object key": ("a:{a:", "1", "}"),
    "range": ("..", "1", ""),
    "right power": ("a ** (", "1", ")"),
    "plus": ("a + ", "1", ""),
    "or": ("a OR ", "1", ""),
    "nullish": ("a ?? ", "1", ""),
    "path": ("", "a", ".a"),
    "indexes": ("", "a", "[0]"),
    "flatten": ("", "a", "…"),
    "applied": ("", "$a", "(1)"),
    "steps": ("", "a", "->a"),
    "open ranges": ("", "a", ".."),
}


def answered(text: str) -> bool:
    """Whether it is held in a tree; every walk is then taken over it."""
    try:
        admitted = admit(text)
    except Fault as fault:
        assert "line" in fault.details or "empty" in fault.message or "bytes" in fault.message
        return False
    if admitted.select is None:
        return False
    select = admitted.select
    assert read_select(print_node(select)).select == select
    assert hash(print_tree(select))
    assert sum(1 for _ in walk(select)) > 1
    assert rewrite(select, lambda node: node) == select
    lifted = lift(select, {})
    assert print_node(fill(lifted.select, lifted.binding))
    return True


@pytest.mark.parametrize("kind", NESTING)
def test_nesting_has_a_limit_and_no_end_of_the_stack(kind: str) -> None:
    opening, middle, closing = NESTING[kind]
    for depth in (2, 15, 24, 40, 49, 51, 90, 99, 101, 2_000):
        expression = opening * depth + middle + closing * depth
        for text in (
            f"SELECT VALUE {expression} FROM t",
            f"SELECT {expression} FROM t",
            f"SELECT {expression} AS x FROM t",
        ):
            if len(text) <= TEXT_BYTES_MAX:
                answered(text)
                answered(text[: len(text) // 2])


def test_a_chain_of_alternatives_is_held_whatever_its_length() -> None:
    for operator in ("OR", "AND", "??", "?:"):
        chain = f" {operator} ".join(f"a{number}" for number in range(3_000))
        assert answered(f"SELECT * FROM t WHERE {chain}")
        assert answered(f"SELECT {chain} AS x FROM t")


def test_random_bytes() -> None:
    generator = random.Random(5)
    for _ in range(2_000):
        noise = generator.randbytes(generator.randrange(1, 60))
        for text in (
            noise.decode("latin-1"),
            noise.decode("utf-8", "replace"),
            noise.decode("utf-8", "surrogateescape"),
        ):
            answered(text)
            answered(f"SELECT {text} FROM t")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_queries(seed: int) -> None:
    """Every walk over what is held, and an error with its place for the rest."""
    damaged = Damaged(seed, corpus())
    assert sum(answered(damaged.text()) for _ in range(1_000)) > 50


def test_errors_point_at_a_character_of_the_text() -> None:
    """Line and column are a place in the text or its end, and the caret stands below that character."""
    generator = random.Random(11)
    checked = 0
    for _ in range(1_500):
        text = generator.choice(ACCEPTED).replace(" ", generator.choice([" ", "\n", "\t", " /* 日\n本 */ ", "\r\n"]))
        place = generator.randrange(len(text))
        text = text[:place] + generator.choice(["é", "\t=", "'", "\n)", "😀", "FROM"]) + text[place:]
        try:
            read_select(text)
        except ParseError as error:
            checked += 1
            line = text.split("\n")[error.line - 1]
            assert 1 <= error.column <= len(line) + 1
            shown, caret = error.excerpt.split("\n")
            under = len(caret) - 1
            if error.column <= len(line.rstrip("\r")):
                expected = line[error.column - 1]
                assert shown[under] == (
                    "�" if not expected.isprintable() and expected != "\t" else expected.replace("\t", " ")
                )
    assert checked > 500


def test_an_error_far_along_a_line_shows_its_surroundings() -> None:
    source = "x" * 500 + "!" + "y" * 500
    shown, caret = error_at(source, 500, "here").excerpt.split("\n")
    assert shown[len(caret) - 1] == "!"
    assert len(shown) < 100


# Texts that grow with a number: a parser that looks back or ahead too far would do work as its square
GROWING: dict[str, Callable[[int], str]] = {
    "columns": lambda n: "SELECT " + ", ".join(f"a{i}" for i in range(n)) + " FROM t",
    "aliases": lambda n: "SELECT " + ", ".join(f"{{a}} AS a{i}" for i in range(n)) + " FROM t",
    "order keys": lambda n: (
        "SELECT " + ", ".join(f"a{i}" for i in range(n)) + " FROM t ORDER BY " + ", ".join(f"a{i}" for i in range(n))
    ),
    "group keys": lambda n: (
        "SELECT "
        + ", ".join(f"a.b{i}.c" for i in range(n))
        + " FROM t GROUP BY "
        + ", ".join(f"a.b{i}" for i in range(n))
    ),
    "alternatives": lambda n: "SELECT * FROM t WHERE " + " OR ".join(f"a = {i}" for i in range(n)),
    "mixed operators": lambda n: "SELECT * FROM t WHERE " + " OR ".join(f"a = {i} AND b + 1 ?? c" for i in range(n)),
    "summands": lambda n: "SELECT * FROM t WHERE " + " + ".join("a" * n),
    "array": lambda n: "SELECT * FROM t WHERE a IN [" + ", ".join("1" * n) + "]",
    "objects": lambda n: "SELECT * FROM t WHERE a IN [" + ", ".join("{ a: 1, b: [2] }" for _ in range(n)) + "]",
    "path": lambda n: "SELECT a" + ".b" * n + " FROM t",
    "graph": lambda n: "SELECT a" + "->b" * n + " FROM t",
    "targets": lambda n: "SELECT * FROM " + ", ".join("t" * n),
    "statements": lambda n: "SELECT { " + "LET $a = 1; " * n + "} AS a FROM t",
    "if": lambda n: "SELECT IF a { b }" + " ELSE IF a { b }" * n + " AS a FROM t",
    "divisions": lambda n: "SELECT a" + " / b" * n + " FROM t",
    "comments": lambda n: "SELECT a " + "/* a */ -- b\n" * n + " FROM t",
    "strings": lambda n: "SELECT a IN [" + "'a\\'b', " * n + "] FROM t",
    "unclosed": lambda n: "SELECT " + "'a' + " * n + "'",
    "negative kinds": lambda n: "SELECT [" + "<-1>a, " * n + "] FROM t",
    "semicolons": lambda n: "SELECT a FROM t" + ";" * n,
}


def steps(work: Callable[[], object]) -> int:
    """How many calls, of Python and of C, the work makes."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("family", GROWING)
def test_twice_the_text_is_no_more_than_thrice_the_work(family: str) -> None:
    def work(size: int) -> Callable[[], object]:
        text = GROWING[family](size)
        assert len(text) <= TEXT_BYTES_MAX
        return lambda: answered(text)

    work(100)()
    assert steps(work(600)) < 3 * steps(work(300))


def test_an_expression_has_the_same_limit() -> None:
    for depth in (10, 60, 1_000):
        for opening, middle, closing in NESTING.values():
            try:
                parse_expr(opening * depth + middle + closing * depth)
            except ParseError as error:
                assert error.line == 1
