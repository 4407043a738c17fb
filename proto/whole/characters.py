"""Letters, digits and white space beyond ASCII, where SurrealDB (Unicode 17) and this Python tell them alike.

Python's own tables give the answer for every character that they know and that later versions of Unicode did not
change; what they do not know, and the few classes that Python does not tell apart, is NotPlain. ASCII needs no check.

Source: every character was put to core 3.2 (upper, lower, trim, `is_alpha`, `is_alphanum`, `is_numeric`).
"""

from __future__ import annotations

from unicodedata import category

from sp00ky.proto.whole.scope import NotPlain

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
WHITE_SPACE += "\u202f\u205f\u3000"  # Unicode's; Python's `strip()` takes four control characters as well

_CASE_IS_NEWER = frozenset("\u019b\u0264\ua7d3\ua7d5")  # got an upper case after Unicode 14
_CIRCLED = ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))  # alphabetic symbols


def cased(text: str) -> str:
    """The text, if Python knows the case of each of its characters as SurrealDB does."""
    if not text.isascii():
        for character in text:
            if category(character) == "Cn" or character in _CASE_IS_NEWER:
                raise NotPlain("a character newer than the Unicode of this Python")
    return text


def is_alphabetic(character: str) -> bool:
    if character.isascii():
        return character.isalpha()
    kind = category(character)
    if kind in ("Cn", "Mn", "Mc"):
        raise NotPlain("a mark, or a character newer than the Unicode of this Python")
    return kind[0] == "L" or kind == "Nl" or (kind == "So" and any(a <= ord(character) <= b for a, b in _CIRCLED))


def is_numeric(character: str) -> bool:
    kind = category(character)
    if kind == "Cn":
        raise NotPlain("a character newer than the Unicode of this Python")
    return kind[0] == "N"


def is_alphanumeric(character: str) -> bool:
    return is_numeric(character) or is_alphabetic(character)


def capitalized(text: str) -> str:
    """Each lower-case character at the beginning or after white space, in upper case."""
    parts = []
    after_space = True
    for character in cased(text):
        parts.append(character.upper() if after_space and character.islower() else character)
        after_space = character in WHITE_SPACE
    return "".join(parts)


def words(text: str) -> list[str]:
    """What white space separates."""
    found, begin = [], 0
    for place, character in enumerate(text + " "):
        if character in WHITE_SPACE:
            if begin < place:
                found.append(text[begin:place])
            begin = place + 1
    return found
