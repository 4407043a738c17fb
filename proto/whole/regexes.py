"""SurrealDB's regular expressions, as far as Python's give the same answer.

SurrealDB's are those of Rust's `regex` crate: no look-around and no back-references, `$` is the very end, classes are
Unicode's, and a search takes time linear in the text. Python's `re` agrees on a common core of the syntax, and
`_Reader` lets through nothing else: a pattern is read token by token and written anew for Python, and what it does not
know, an invalid pattern among it, is NotPlain. So are classes (`\\w`, `(?i)`, …) on a text that is not ASCII, and
whatever could make Python's backtracking slow: a repetition within a repetition, or many of them on a long text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from string import punctuation
from typing import Final

from sp00ky.proto.whole.scope import NotPlain

STEPS_MAX: Final = 10_000_000

_FLAGS = re.compile(r"\(\?([ims]+)\)")
_OPENING = re.compile(r"\((?:\?:|\?P?<([A-Za-z_]\w*)>|(?!\?))", re.ASCII)
_COUNT = re.compile(r"\{(\d{1,3})(,(\d{1,3})?)?\}", re.ASCII)
_RANGE = re.compile(r"([A-Za-z0-9])-([A-Za-z0-9])")
_HEX = re.compile(r"\\x[0-9A-Fa-f]{2}")
_CLASSES = frozenset("dDwWsS")
_CONTROLS = frozenset("tnrfv")
_ESCAPABLE = frozenset(punctuation) - frozenset("<>")
_SPECIAL = frozenset("\\.+*?()|[]{}^$")
_SETS = ("&&", "--", "~~")  # Rust's operations on classes
_PYTHON_SPACE = re.compile(r"[\x1c-\x1f]")  # Python's `\s`, not Unicode's


@dataclass(frozen=True, slots=True)
class _Pattern:
    compiled: re.Pattern[str]
    ascii_only: bool  # whether the two agree on ASCII texts only
    loops: int  # repetitions without an upper bound
    ways: int  # in which the others may be repeated

    def check(self, text: str) -> None:
        if self.ascii_only and (not text.isascii() or _PYTHON_SPACE.search(text)):
            raise NotPlain("a regular expression with classes on a text beyond ASCII")
        if self.ways * (len(text) + 1) ** (self.loops + 1) > STEPS_MAX:  # from each place of the text
            raise NotPlain("a regular expression that repeats much on a long text")


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern occurs anywhere in the text."""
    found = _compile(pattern)
    found.check(text)
    return found.compiled.search(text) is not None


def replace(pattern: str, text: str, new: str) -> str:
    """Each match replaced by `new`, which holds no references to groups."""
    found = _compile(pattern)
    found.check(text)
    parts: list[str] = []
    last = begin = 0
    seen = False
    while begin <= len(text):
        match = found.compiled.search(text, begin)
        if match is None:
            break
        if seen and match.end() == match.start() == last:
            begin += 1  # Rust allows no empty match right after a match
            continue
        parts += text[last : match.start()], new
        last = begin = match.end()
        seen = True
    return "".join(parts) + text[last:]


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> _Pattern:
    return _Reader(pattern).read()


@dataclass(slots=True)
class _Reader:
    """A cursor over the pattern; `out` is what has been read, as Python writes it."""

    pattern: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    flags: str = ""
    ascii_only: bool = False
    loops: int = 0
    ways: int = 1
    atom: bool = False  # whether the last token may be repeated
    group_repeats: bool = False  # whether it is a group with a repetition or a choice inside
    open_groups: list[bool] = field(default_factory=list)  # for each, whether it has one inside so far
    names: set[str] = field(default_factory=set)

    def read(self) -> _Pattern:
        flags = _FLAGS.match(self.pattern)
        if flags is not None:
            self.flags, self.at = flags[1], flags.end()
            self.ascii_only = "i" in self.flags
            if self.ascii_only and not self.pattern.isascii():
                raise NotPlain("a regular expression without regard to case beyond ASCII")
        while self.at < len(self.pattern):
            self._token(self.pattern[self.at])
        if self.open_groups:
            raise self._unknown()
        options = sum({getattr(re, flag.upper()) for flag in self.flags}, start=re.NOFLAG)
        return _Pattern(re.compile("".join(self.out), options), self.ascii_only, self.loops, self.ways)

    def _unknown(self) -> NotPlain:
        return NotPlain(f"a regular expression with {self.pattern[self.at : self.at + 5]!r}")

    def _take(self, length: int, written: str | None = None, *, atom: bool = True) -> None:
        self.out.append(self.pattern[self.at : self.at + length] if written is None else written)
        self.at += length
        self.atom, self.group_repeats = atom, False

    def _token(self, lead: str) -> None:
        match lead:
            case "\\":
                self._escape()
            case "[":
                self._class()
            case "(":
                self._open()
            case ")":
                self._close()
            case "|":
                self._take(1, atom=False)
                self.open_groups[-1:] = [True] * bool(self.open_groups)
            case "^":
                self._take(1, atom=False)
            case "$":
                self._take(1, "$" if "m" in self.flags else r"\Z", atom=False)
            case "*" | "+" | "?" | "{":
                self._repetition(lead)
            case ".":
                self._take(1)
            case "]" | "}":
                raise self._unknown()
            case _:
                self._take(1, re.escape(lead))

    def _escape(self) -> None:
        letter = self.pattern[self.at + 1 : self.at + 2]
        if letter in _CLASSES and letter:
            self.ascii_only = True
            self._take(2)
        elif letter == "b":
            self.ascii_only = True
            self._take(2, atom=False)
        elif letter in _CONTROLS and letter:
            self._take(2)
        elif letter in _ESCAPABLE and letter:
            self._take(2, re.escape(letter))
        elif _HEX.match(self.pattern, self.at):
            self._take(4)
        else:
            raise self._unknown()

    def _class(self) -> None:
        """`[…]` of characters, ranges of letters or digits, and escapes; no class within a class."""
        self._take(2 if self.pattern.startswith("[^", self.at) else 1)
        first = True
        while (lead := self.pattern[self.at : self.at + 1]) != "]" or first:
            if lead in ("", "[", "]") or self.pattern.startswith(_SETS, self.at):
                raise self._unknown()
            first = False
            bounds = _RANGE.match(self.pattern, self.at)
            if lead == "\\":
                self._class_escape()
            elif bounds is not None and bounds[1] <= bounds[2]:
                self._take(3)
            elif self._sure_in_class(lead):
                self._take(1, re.escape(lead))
            else:
                raise self._unknown()
        self._take(1)

    def _class_escape(self) -> None:
        following = self.pattern[self.at + 2 : self.at + 4]
        if self.pattern.startswith("\\b", self.at) or (following.startswith("-") and following != "-]"):
            raise self._unknown()
        self._escape()

    def _sure_in_class(self, lead: str) -> bool:
        """A character that stands for itself: not the begin of an unusual range, `-` only where the class ends."""
        if lead == "-":
            return self.pattern[self.at + 1 : self.at + 2] == "]"
        following = self.pattern[self.at + 1 : self.at + 3]
        return not following.startswith("-") or following == "-]"

    def _open(self) -> None:
        match = _OPENING.match(self.pattern, self.at)
        if match is None or match[1] in self.names:
            raise self._unknown()
        if match[1]:
            self.names.add(match[1])
        self._take(match.end() - self.at, "(?:", atom=False)
        self.open_groups.append(False)

    def _close(self) -> None:
        if not self.open_groups:
            raise self._unknown()
        self._take(1)
        self.group_repeats = self.open_groups.pop()
        if self.group_repeats and self.open_groups:
            self.open_groups[-1] = True

    def _repetition(self, lead: str) -> None:
        count = _COUNT.match(self.pattern, self.at) if lead == "{" else None
        if not self.atom or (lead == "{" and count is None) or (self.group_repeats and lead != "?"):
            raise self._unknown()
        length = 1 if count is None else count.end() - self.at
        if count is not None and count[3] and int(count[1]) > int(count[3]):
            raise self._unknown()
        if lead in "*+" or (count is not None and count[2] and not count[3]):
            self.loops += 1
        elif count is None or count[3]:
            self.ways *= 2 if count is None else int(count[3]) - int(count[1]) + 1
        if self.open_groups:
            self.open_groups[-1] = True
        lazy = self.pattern.startswith("?", self.at + length)
        self._take(length + lazy, atom=False)
