"""Our verdict on a text beside the engine's: taken by both, refused by both, or a difference.

Taken here is what the gate admits, or refuses by name (`Refused`): no one is told that SurrealQL is no SurrealQL. What
is taken must also be printed as what the engine takes, and as the same query: its own text for the two is one, or reads
as the same tree here (braces around one expression are folded).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sp00ky.proto.surrealql.ast import Select
from sp00ky.proto.surrealql.errors import ParseError, Refused
from sp00ky.proto.surrealql.lexer import scan
from sp00ky.proto.surrealql.parser import read_select
from sp00ky.proto.surrealql.printer import print_node

from tests.language.engine_parser import EngineParser

# What the engine refuses for what it knows beyond the grammar: the functions of its release (an unknown one makes a
# view that is re-evaluated, and the engine says so), the validity of a regex, its own depth, and capabilities
BEYOND_GRAMMAR: Final = (
    "Invalid function/constant path",
    "Invalid regex syntax",
    "Exceeded expression recursion depth limit",
    "Exceeded query recursion depth limit",
    "Unexpected token `a file`, expected the experimental files feature",
)
# A column's own text as a key: any spelling of it is admitted, to be re-evaluated, and the engine takes only its own
BY_TEXT: Final = (" of a column by its text", " idiom ")


@dataclass(frozen=True, slots=True)
class Judged:
    """`kind` is counted; `fault` says what is wrong, empty if nothing is."""

    kind: str
    fault: str = ""


def judged(text: str, engine: EngineParser) -> Judged:
    refusal = engine.refusal(text)
    try:
        reading = read_select(text)
    except Refused as error:
        return Judged("refused by name", _misplaced(error, text))
    except ParseError as error:
        return _refused(text, error, refusal)
    if refusal:
        return _taken_alone(text, refusal, reading.aside)
    if reading.aside is not None:
        return Judged("taken, kept as text")
    return Judged("taken", _lost(text, reading.select, engine))


def _refused(text: str, error: ParseError, refusal: str) -> Judged:
    if refusal:
        return Judged("refused", _misplaced(error, text))
    if next((token.keyword for token in scan(text)[0] if token.text != ";"), "") != "SELECT":
        return Judged("another statement")
    return Judged("refused here", f"{text}\n  {error.message} at {error.position}, but the engine takes it")


def _taken_alone(text: str, refusal: str, aside: ParseError | None) -> Judged:
    if refusal.startswith(BEYOND_GRAMMAR):
        return Judged(f"refused there: {next(each for each in BEYOND_GRAMMAR if refusal.startswith(each))}")
    if aside is not None and BY_TEXT[0] in aside.message and BY_TEXT[1] in refusal:
        return Judged("refused there: another spelling of a column's text")
    return Judged("refused there", f"{text}\n  is taken, but the engine: {refusal}")


def _misplaced(error: ParseError, text: str) -> str:
    """The place is in the text, or right behind its last line."""
    lines = text.split("\n")
    inside = 1 <= error.line <= len(lines) and 1 <= error.column <= len(lines[error.line - 1]) + 1
    return "" if inside and error.message else f"{text!r}: no place or message in {error}"


def _lost(text: str, select: Select, engine: EngineParser) -> str:
    printed = print_node(select)
    if read_select(printed).select != select:
        return f"{text}\n  is printed as another tree: {printed}"
    if refusal := engine.refusal(printed):
        return f"{text}\n  is printed as what the engine refuses: {printed}\n  {refusal}"
    theirs = engine.canonical(text)
    ours = engine.canonical(printed)
    if theirs is None or ours is None:
        return ""
    same = _tree(theirs) in (_tree(ours), replace(select, tempfiles=False))  # which SurrealDB does not print
    return "" if same else f"{text}\n  is to the engine {theirs}\n  here {ours}"


def _tree(canonical: str) -> Select:
    return replace(read_select(canonical.removeprefix("(").removesuffix(")")).select, tempfiles=False)
