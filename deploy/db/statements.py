"""The outline of SurrealQL text: where statements end, and which of them are LIVE SELECT or KILL.

The embedded engine refuses both, so that the server carries them out itself; everything else stays the text it was.
This is no parser: it knows strings, quoted names, comments and brackets, and nothing inside brackets is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TEXT_MAX = 256 * 1024
MENTIONS = re.compile(r"\b(?:live|kill)\b", re.IGNORECASE)
_TOKEN = re.compile(
    # What does not end runs to the end of the text, so that nothing is scanned twice.
    r"(?P<comment>(?:--|//|\#)[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<quoted>[a-z]?'(?:\\.|[^'\\])*\\?(?:'|\Z)|[a-z]?\"(?:\\.|[^\"\\])*\\?(?:\"|\Z)"
    r"|`(?:\\.|[^`\\])*\\?(?:`|\Z)|⟨(?:\\.|[^⟩\\])*\\?(?:⟩|\Z))"
    r"|(?P<word>\$?\w+)"
    r"|(?P<mark>\S)",
    re.DOTALL,
)
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # quoted, word or mark
    text: str
    start: int
    end: int
    depth: int

    @property
    def keyword(self) -> str:
        """The word in capitals; empty inside brackets and for what is no word."""
        return self.text.upper() if self.kind == "word" and self.depth == 0 else ""


@dataclass(frozen=True, slots=True)
class Statement:
    text: str
    tokens: tuple[Token, ...]  # positions count from the start of `text`

    @property
    def keyword(self) -> str:
        return self.tokens[0].keyword


@dataclass(frozen=True, slots=True)
class LiveSelect:
    """`LIVE SELECT fields FROM target condition fetch`, each as written; the last two (WHERE …, FETCH …) may lack."""

    fields: str
    target: str
    condition: str = ""
    fetch: str = ""
    diff: bool = False


def mentions_live(text: str) -> bool:
    """Whether it is worth a closer look. Text beyond TEXT_MAX is not: a client cannot make the server read for long."""
    return len(text) <= TEXT_MAX and MENTIONS.search(text) is not None


def split(text: str) -> list[Statement]:
    """The statements, without the empty ones; their separators and the comments around them are gone."""
    statements: list[Statement] = []
    gathered: list[Token] = []
    for token in (*_tokens(text), Token("mark", ";", len(text), len(text), 0)):
        if token.text != ";" or token.depth > 0 or token.kind != "mark":
            gathered.append(token)
        elif gathered:
            statements.append(_statement(text, gathered))
            gathered = []
    return statements


def live_select(statement: Statement) -> LiveSelect | None:
    """What a LIVE SELECT asks for; None for another statement, or one that is not whole."""
    words = [token.keyword for token in statement.tokens]
    if words[:2] != ["LIVE", "SELECT"] or "FROM" not in words:
        return None
    at = words.index("FROM")
    where = next((n for n, word in enumerate(words) if n > at and word == "WHERE"), len(words))
    fetch = next((n for n, word in enumerate(words) if n > at and word == "FETCH"), len(words))
    where = min(where, fetch)
    fields, target, condition, fetched = (
        _between(statement, first, last)
        for first, last in ((2, at), (at + 1, where), (where, fetch), (fetch, len(words)))
    )
    diff = words[2] == "DIFF"
    return LiveSelect(fields, target, condition, fetched, diff) if fields and target else None


def kill_target(statement: Statement) -> str | None:
    """What a KILL names, as written (`u'…'`, `'…'`, `$id`); None for another statement."""
    if statement.keyword != "KILL" or len(statement.tokens) < 2:
        return None
    return statement.text[statement.tokens[1].start :].strip()


def plain_name(target: str) -> str | None:
    """The table that a name as written means; None for what is no plain name (a parameter, a call, a record)."""
    quoted = re.fullmatch(r"`((?:\\.|[^`\\])*)`|⟨((?:\\.|[^⟩\\])*)⟩", target, re.DOTALL)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2])
    return target if re.fullmatch(r"\w+", target) else None


def _tokens(text: str) -> Iterator[Token]:
    depth = 0
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "mark"
        if kind == "comment":
            continue
        if kind == "mark" and found[0] in _CLOSE:
            depth = max(0, depth - 1)
        yield Token(kind, found[0], found.start(), found.end(), depth)
        if kind == "mark" and found[0] in _OPEN:
            depth += 1


def _between(statement: Statement, first: int, last: int) -> str:
    """The text of tokens first … last - 1."""
    tokens = statement.tokens[first:last]
    return statement.text[tokens[0].start : tokens[-1].end] if tokens else ""


def _statement(text: str, tokens: list[Token]) -> Statement:
    start = tokens[0].start
    moved = (Token(t.kind, t.text, t.start - start, t.end - start, t.depth) for t in tokens)
    return Statement(text[start : tokens[-1].end], tuple(moved))
