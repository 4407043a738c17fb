"""Queries damaged at random: nearly SurrealQL, which is where a grammar has its edges.

A token lost, doubled, exchanged or pushed apart; a piece of another query put in; a character lost or exchanged; the
end cut off. Texts are drawn from what applications write, from every construct, and from random queries of the grammar.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sp00ky.proto.surrealql.lexer import scan
from sp00ky.proto.surrealql.tokens import Token

from tests.language import grammar

HERE = Path(__file__).parent
Damage: TypeAlias = Callable[[str], str]


def corpus() -> list[str]:
    """Every query of this folder that SurrealDB takes."""
    files = (HERE / name for name in ("accepted.surql", "queries.surql", "outside.surql"))
    return [line for file in files for line in file.read_text().splitlines() if not line.startswith("-- ")]


def tokens_of(text: str) -> list[Token]:
    """Up to the first place that is no token."""
    return scan(text)[0][:-1]


@dataclass
class Damaged:
    """A stream of texts; the same seed gives the same stream."""

    seed: int
    corpus: Sequence[str]
    draw: random.Random = field(init=False)
    donors: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.donors = [token.text for text in self.corpus for token in tokens_of(text)]

    def text(self) -> str:
        text = self.draw.choice(self.corpus) if self.draw.random() < 0.7 else grammar.query(self.draw, 3)
        damages: list[Damage] = [self.token, self.token, self.token, self.piece, self.character, self.patch, self.end]
        for _ in range(self.draw.choice((1, 1, 1, 2, 2, 3))):
            text = self.draw.choice(damages)(text)
        return text

    def token(self, text: str) -> str:
        tokens = tokens_of(text)
        if not tokens:
            return text
        token = self.draw.choice(tokens)
        before, itself, after = text[: token.start], token.text, text[token.end :]
        other = self.draw.choice(self.donors)
        middles: tuple[str, ...] = (
            "",
            f" {itself}",
            f"{itself} {itself}",
            f" {other} {itself}",
            f"{other}{itself}",
            other,
        )
        return before + self.draw.choice(middles) + after

    def piece(self, text: str) -> str:
        """Some tokens exchanged for some of another query."""
        here, there = tokens_of(text), tokens_of(other := self.draw.choice(self.corpus))
        if not here or not there:
            return text
        begin = self.draw.randrange(len(here))
        end = min(len(here) - 1, begin + self.draw.randrange(4))
        first = self.draw.randrange(len(there))
        last = min(len(there) - 1, first + self.draw.randrange(8))
        return f"{text[: here[begin].start]}{other[there[first].start : there[last].end]} {text[here[end].end :]}"

    def character(self, text: str) -> str:
        place = self.draw.randrange(len(text) + 1)
        letter: str = self.draw.choice(["", "", *self.draw.choice(self.donors)])
        return text[:place] + letter + text[place + 1 :]

    def patch(self, text: str) -> str:
        other = self.draw.choice(self.corpus)
        start, place = self.draw.randrange(len(other)), self.draw.randrange(len(text) + 1)
        return text[:place] + other[start : start + self.draw.randrange(12)] + text[place + self.draw.randrange(3) :]

    def end(self, text: str) -> str:
        return text[: self.draw.randrange(len(text) + 1)]
