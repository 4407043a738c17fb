"""ORDER BY … COLLATE and NUMERIC: how strings are compared; all else keeps its place in the order of values.

COLLATE compares without case, accents and combining marks, letters and digits after everything else; strings that are
the same so far are compared as they are. NUMERIC compares runs of ASCII digits where both strings have one: the longer
run is the greater number, leading zeros and all. Both together do both.

SurrealDB writes every letter of every script in ASCII for COLLATE (`any_ascii`); here that is done for Latin letters
only, and others are NotPlain. Source: crate lexicmp; the table was confirmed letter by letter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any, Final

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.scope import NotPlain

_LATIN_END = 0x180
_DIGITS_MAX = 19
_SPECIAL: Final = {
    "ª": "a",
    "²": "2",
    "³": "3",
    "µ": "u",
    "¹": "1",
    "º": "o",
    "¼": "1/4",
    "½": "1/2",
    "¾": "3/4",
    "Æ": "ae",
    "æ": "ae",
    "Ð": "d",
    "ð": "d",
    "Ø": "o",
    "ø": "o",
    "Þ": "th",
    "þ": "th",
    "ß": "ss",
    "Đ": "d",
    "đ": "d",
    "Ħ": "h",
    "ħ": "h",
    "ı": "i",
    "Ĳ": "ij",
    "ĳ": "ij",
    "ĸ": "k",
    "Ŀ": "l",
    "ŀ": "l",
    "Ł": "l",
    "ł": "l",
    "ŉ": "'n",
    "Ŋ": "ng",
    "ŋ": "ng",
    "Œ": "oe",
    "œ": "oe",
    "Ŧ": "t",
    "ŧ": "t",
    "ſ": "s",
}


def sort_key(collate: bool, numeric: bool) -> Callable[[Value], Any]:
    """A key that orders values as ORDER BY with these words does."""

    def compare(left: Value, right: Value) -> int:
        if type(left) is not str or type(right) is not str:
            return order.compare(left, right)
        if not collate:
            return _compared(left, right, numeric, _by_code)
        return _compared(_ascii(left), _ascii(right), numeric, _letters_last) or order.compare(left, right)

    return cmp_to_key(compare)


def _compared(left: str, right: str, numeric: bool, differ: Callable[[str, str], int]) -> int:
    """-1, 0 or 1; `differ` decides between two different characters."""
    a = b = 0
    while a < len(left) and b < len(right):
        if numeric and _is_digit(left[a]) and _is_digit(right[b]):
            one, other = _digits(left, a), _digits(right, b)
            if one != other:
                return _by_code(one, other) if len(one) == len(other) else 1 if len(one) > len(other) else -1
            a, b = a + len(one), b + len(other)
        elif left[a] != right[b]:
            return differ(left[a], right[b])
        else:
            a, b = a + 1, b + 1
    return (a < len(left)) - (b < len(right))


def _digits(text: str, start: int) -> str:
    end = start
    while end < len(text) and _is_digit(text[end]):
        end += 1
    if end - start > _DIGITS_MAX:
        raise NotPlain("NUMERIC beyond 64 bits")
    return text[start:end]


def _is_digit(letter: str) -> bool:
    return "0" <= letter <= "9"


def _by_code(left: str, right: str) -> int:
    return (left > right) - (left < right)


def _letters_last(left: str, right: str) -> int:
    if left.isalnum() != right.isalnum():
        return 1 if left.isalnum() else -1
    return _by_code(left, right)


def _ascii(text: str) -> str:
    return text if text.isascii() and text.islower() else "".join(map(_letter, text))


def _letter(letter: str) -> str:
    if letter.isascii():
        return letter.lower()
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if "\u0300" <= letter <= "\u036f":
        return ""
    if not letter.isalnum():
        return letter
    base = unicodedata.normalize("NFD", letter)[0]
    if ord(letter) >= _LATIN_END or not base.isascii():
        raise NotPlain("COLLATE of a letter that is not Latin")
    return base.lower()
