"""What a text is made of before it has a structure.

Invariant: tokens are in text order, do not overlap, and `source[start:end] == text`; what lies between two tokens is
white space or comment. Keywords are words: SurrealQL reserves a word only where a statement may begin, so whether
`limit` is a clause or a field is the parser's decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NUMBER_WORDS: Final = ("Infinity", "NaN")  # in this spelling they are numbers, and names only in quotes


class TokenKind(StrEnum):
    WORD = "word"  # a keyword or a plain identifier
    QUOTED = "quoted"  # `…` or ⟨…⟩
    PARAM = "param"  # $name
    NUMBER = "number"  # digits, fraction, exponent and suffix, not yet checked: also durations and keys like 1abc
    STRING = "string"  # any of '…', "…" with their prefix
    REGEX = "regex"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is the text with quotes, prefix and escapes taken off; the text itself for the rest."""

    kind: TokenKind
    text: str
    value: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The word in upper case; empty for what is no bare word."""
        return self.text.upper() if self.kind is TokenKind.WORD else ""

    @property
    def prefix(self) -> str:
        """`d` of `d'…'`; empty for plain strings."""
        return self.text[0] if self.kind is TokenKind.STRING and self.text[0] in "sdurbf" else ""
