"""Why a text is not a query tree, with the place in the text.

Three answers, because they lead to three decisions in `admit.py`: `ParseError` itself means SurrealDB would refuse the
text as well; `Refused` means SurrealDB would run it, but it writes, leaves the database or is no SELECT, so no view can
hold it; `NoNode` means SurrealDB would run it and only reads, but `ast.py` has no node for it, so a view re-runs the
text.

Invariant: `line` and `column` count from 1, in characters, and point at the first character that does not fit.
"""

from __future__ import annotations

EXCERPT_WIDTH = 76  # characters of the offending line that are shown; longer lines are cut around the caret


class ParseError(Exception):
    """A text that is not SurrealQL. `excerpt` is the line with a caret under `column`."""

    def __init__(self, message: str, line: int, column: int, excerpt: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.excerpt = excerpt
        self.hint = hint

    @property
    def position(self) -> str:
        return f"line {self.line}, column {self.column}"

    def __str__(self) -> str:
        tail = f"\n{self.hint}" if self.hint else ""
        return f"{self.message} at {self.position}\n{self.excerpt}{tail}"


class Refused(ParseError):
    """A statement or call that a query may not contain: it writes, waits, or runs foreign code. `message` names it."""


class NoNode(ParseError):
    """Readable SurrealQL that `ast.py` has no node for. `message` names it."""


def position_of(source: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character offset."""
    line = source.count("\n", 0, offset) + 1
    return line, offset - (source.rfind("\n", 0, offset) + 1) + 1


def error_at(source: str, offset: int, message: str, hint: str = "", kind: type[ParseError] = ParseError) -> ParseError:
    line, column = position_of(source, offset)
    return kind(message, line, column, excerpt_at(source, line, column), hint)


def excerpt_at(source: str, line: int, column: int) -> str:
    """`3 | text of the line` and below it a caret under `column`."""
    text = source.split("\n")[line - 1].rstrip("\r").replace("\t", " ")
    shift = max(0, min(column - 1 - EXCERPT_WIDTH // 2, len(text) - EXCERPT_WIDTH))
    shown = "".join(char if char.isprintable() else "�" for char in text[shift : shift + EXCERPT_WIDTH])
    number = str(line)
    return f"{number} | {shown}\n{' ' * len(number)} | {' ' * (column - 1 - shift)}^"
