"""The names of kinds, as they stand in casts and in the heads of closures, to canonical text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.graph import GraphReader
from sp00ky.proto.surrealql.literals import duration_of, number_of
from sp00ky.proto.surrealql.spelling import print_entry_name, print_name
from sp00ky.proto.surrealql.tokens import NUMBER_WORDS, Token, TokenKind
from sp00ky.proto.values.text import quote_string, to_surql

_KINDS = """
any array bool bytes datetime decimal duration file float function geometry int none null number object option point
range record regex set string table uuid
"""
KINDS: Final = frozenset(_KINDS.split())
GEOMETRIES: Final = frozenset(
    {"point", "line", "polygon", "multipoint", "multiline", "multipolygon", "collection", "feature"}
)
NAMED_INSIDE: Final = frozenset({"record", "table", "geometry", "file"})  # kind<name | name>
LITERAL_WORDS: Final = frozenset({"TRUE", "FALSE", "NAN", "INFINITY"})
NESTED_INSIDE: Final = frozenset({"array", "set", "option"})  # kind<kind>, arrays and sets with a size


@dataclass(slots=True)
class KindReader(GraphReader):
    def kind(self, any_allowed: bool = True) -> str:
        """The inside of `<…>`, as canonical text. `any` stands alone: an alternative to it says nothing."""
        if any_allowed and self.at_word("ANY"):
            return self.single_kind()
        names = [self._alternative()]
        while self.eat("|"):
            names.append(self._alternative())
        return " | ".join(dict.fromkeys(names))

    def _alternative(self) -> str:
        if self.at_word("ANY"):
            raise self.unexpected("expected a kind other than any")
        return self.single_kind()

    def single_kind(self) -> str:
        token = self.token
        with self.deeper():
            if token.kind is not TokenKind.WORD or token.keyword in LITERAL_WORDS:
                return self._literal_kind(token)
            name = self.take().text.lower()
            if name not in KINDS:
                self.index -= 1
                raise self.unexpected("expected the name of a kind")
            if not self.at("<"):
                return name
            opened = self.take()
            if name in NAMED_INSIDE:
                inside = self._names_inside(GEOMETRIES if name == "geometry" else None)
            elif name in NESTED_INSIDE:
                inside = self._kind_inside(name)
            else:
                raise self.error(opened, f"the kind {name} takes no <…>")
            self.close(">", opened)
            if inside == "any" and name in ("array", "set"):
                return name
            return f"none | {inside}" if name == "option" else f"{name}<{inside}>"

    def _names_inside(self, allowed: frozenset[str] | None) -> str:
        names: list[str] = []
        while not names or self.eat("|"):
            if allowed is not None and self.token.text.lower() not in allowed:
                raise self.unexpected("expected the name of a geometry")
            names.append(print_name(self.identifier()))
        return " | ".join(names)

    def _kind_inside(self, name: str) -> str:
        inside = self.kind(any_allowed=name != "option")
        if name != "option" and self.eat(","):
            size = self.take()
            if not size.text.isdigit():
                raise self.error(size, "expected a size")
            return f"{inside}, {size.text}"
        return inside

    def _literal_kind(self, token: Token) -> str:
        """`<1 | 'a' | { b: int }>`: a value, or the kinds inside an array or object."""
        if self.eat("["):
            inside: list[str] = []
            while not self.eat("]"):
                inside.append(self.kind())
                if not self.eat(","):
                    self.close("]", token)
                    break
            return f"[{', '.join(inside)}]"
        if self.eat("{"):
            return self._object_kind(token)
        if token.keyword in ("TRUE", "FALSE"):
            return self.take().text.lower()
        if token.text in NUMBER_WORDS:
            return self.take().text
        if token.kind is TokenKind.STRING and token.prefix in ("", "s"):
            return quote_string(self.take().value)
        sign = self.take().text if self.at("-", "+") else ""
        number = self.token
        if number.kind is TokenKind.NUMBER and (not sign or self.touching()):
            value = number_of(number.text, negative=sign == "-")
            found = value if value is not None or sign else duration_of(number.text)
            if found is not None:
                self.take()
                return to_surql(found)
        raise self.unexpected("expected the name of a kind")

    def _object_kind(self, opened: Token) -> str:
        entries: list[str] = []
        while not self.eat("}"):
            name = self.object_key()
            self.expect(":")
            entries.append(f"{print_entry_name(name)}: {self.kind()}")
            if not self.eat(","):
                self.close("}", opened)
                break
        return "{ " + ", ".join(entries) + " }"

    def object_key(self) -> str:
        """A name, a string, or a number taken for a string."""
        token = self.take()
        if token.text in NUMBER_WORDS:
            self.index -= 1
            raise self.unexpected("expected an object key", "put it in quotes")
        if token.kind is TokenKind.STRING and token.prefix not in ("", "s"):
            raise self.error(token, f"{token.text} is not an object key")
        if token.kind is TokenKind.NUMBER and number_of(token.text) is None:
            raise self.error(token, f"{token.text} is not an object key", "put it in quotes")
        if token.kind not in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING, TokenKind.NUMBER):
            self.index -= token.kind is not TokenKind.END
            raise self.unexpected("expected an object key")
        return token.value
