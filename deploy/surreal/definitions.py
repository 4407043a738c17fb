"""The mesh's definitions as the part files state them: one statement each, with the name SurrealDB shows it under.

A part file is SurrealQL that can be run by hand on an empty database. It is read here as a list of statements of two
forms, and nothing else may stand in it, so that no part can ever touch data:

    DEFINE TABLE|FIELD|INDEX|EVENT|FUNCTION|PARAM|ACCESS IF NOT EXISTS …
    REMOVE FIELD|INDEX|EVENT|FUNCTION|PARAM IF EXISTS …          (what an older version had)

Invariant: `key` names a definition in a database, and `digest` is equal for texts that differ only in white space and
comments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.lexer import tokenize
from sp00ky.proto.surrealql.tokens import Token, TokenKind

OF_DATABASE: Final[Mapping[str, str]] = {  # kind → where INFO FOR DB shows it
    "TABLE": "tables",
    "FUNCTION": "functions",
    "PARAM": "params",
    "ACCESS": "accesses",
}
OF_TABLE: Final[Mapping[str, str]] = {"FIELD": "fields", "INDEX": "indexes", "EVENT": "events"}
_REMOVABLE: Final = frozenset({"FIELD", "INDEX", "EVENT", "FUNCTION", "PARAM"})
_GUARD: Final = re.compile(r"\A(DEFINE\s+\w+\s+)IF\s+NOT\s+EXISTS\b", re.IGNORECASE)


@dataclass(frozen=True)
class Definition:
    """One statement. `name` is as INFO shows it; `table` is empty for what belongs to the database; `removes` for a
    REMOVE; `secret`, where there is one: what of the text nobody may be shown, and nothing of how INFO shows it."""

    kind: str
    name: str
    table: str
    text: str
    removes: bool = False
    secret: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name} ON {self.table}" if self.table else f"{self.kind} {self.name}"

    @cached_property
    def digest(self) -> str:
        return _digest([token.text for token in tokenize(self.text)])

    @property
    def overwriting(self) -> str:
        """The statement that puts this definition in the place of an older one."""
        return _GUARD.sub(r"\1OVERWRITE", self.text)


@dataclass(frozen=True)
class Part:
    """A file of definitions. `version` is raised with every change of a part that was released."""

    name: str
    version: int
    definitions: tuple[Definition, ...]

    @property
    def label(self) -> str:
        """How the ledger names this version of this part."""
        return f"{LABEL}{self.name}/{self.version}"

    @property
    def checksum(self) -> str:
        return _digest([definition.digest for definition in self.definitions])


LABEL: Final = "mesh/"  # other tools keep migrations of their own in the same ledger


def read_part(name: str, version: int, source: str) -> Part:
    """The part that a file states. Raises Fault INVALID for a statement of another form."""
    return Part(name, version, tuple(_definition(name, source, tokens) for tokens in _statements(source)))


def _statements(source: str) -> Iterator[list[Token]]:
    """The tokens between semicolons that are in no bracket."""
    depth, held = 0, list[Token]()
    for token in tokenize(source):
        depth += (token.text in "([{") - (token.text in ")]}") if token.kind is TokenKind.SIGN else 0
        if token.kind is TokenKind.END or (token.text == ";" and depth == 0):
            if held:
                yield held
            held = []
        else:
            held.append(token)


def _definition(part: str, source: str, tokens: list[Token]) -> Definition:
    text = source[tokens[0].start : tokens[-1].end]
    words = [token.keyword for token in tokens]
    verb, kind = words[0], words[1] if len(words) > 1 else ""
    guard = {"DEFINE": ["IF", "NOT", "EXISTS"], "REMOVE": ["IF", "EXISTS"]}.get(verb)
    known = kind in _REMOVABLE if verb == "REMOVE" else kind in OF_DATABASE or kind in OF_TABLE
    if guard is None or not known or words[2 : 2 + len(guard)] != guard:
        said = " ".join(token.text for token in tokens[:6])
        raise Fault(
            Code.INVALID, f'part "{part}" may not state "{said} …"', "DEFINE … IF NOT EXISTS, REMOVE … IF EXISTS"
        )
    start = 2 + len(guard)
    on = words.index("ON", start) if kind in (*OF_TABLE, "ACCESS") else 0
    if kind in OF_TABLE:
        name = "".join(token.text for token in tokens[start:on])
        table = tokens[on + 2 if words[on + 1] == "TABLE" else on + 1].value
    elif kind == "FUNCTION":
        brackets = [index for index, token in enumerate(tokens) if token.text == "("]
        name = "".join(token.text for token in tokens[start : brackets[0] if brackets else None])
        name, table = name.removeprefix("fn::"), ""
    else:
        name, table = tokens[start].value.removeprefix("$"), ""
    return Definition(kind, name, table, text, removes=verb == "REMOVE")


def permissions_of(definition: str) -> str:
    """What a definition, as INFO shows it, says after PERMISSIONS; empty if it says nothing of them."""
    depth, tokens = 0, tokenize(definition)
    for index, token in enumerate(tokens):
        depth += (token.text in "([{") - (token.text in ")]}") if token.kind is TokenKind.SIGN else 0
        if token.keyword == "PERMISSIONS" and depth == 0 and index > 2:
            return definition[token.end :].strip()
    return ""


def _digest(texts: list[str]) -> str:
    return hashlib.blake2b("\x1f".join(texts).encode(), digest_size=16).hexdigest()
