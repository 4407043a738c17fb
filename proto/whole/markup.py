"""`string::html::*` and `string::slug`.

A slug is the text in ASCII, lower case, with a hyphen for whatever is neither letter, digit nor `_`. Letters with marks
lose them; what else becomes ASCII how is a table of its own in SurrealDB, of which the letters below are taken over.

Source: every character was put to core 3.2.
"""

from __future__ import annotations

import re
from unicodedata import combining, normalize

from sp00ky.proto.whole.functions import TEXT, function
from sp00ky.proto.whole.scope import NotPlain

_ENTITIES = str.maketrans(
    {
        **{mark: f"&#{ord(mark)};" for mark in "\t\n\f\r /="},
        '"': "&quot;",
        "&": "&amp;",
        "'": "&apos;",
        "<": "&lt;",
        ">": "&gt;",
        "`": "&grave;",
        "\0": "&#65533;",
    }
)
_MARKUP = re.compile("[<&\0\r\ufeff]")
_LATIN = """µu Æae Ðd Øo Þth ßss æae ðd øo þth Đd đd Ħh ħh ıi ĸk Łl łl Ŋng ŋng Œoe œoe Ŧt ŧt €eur £ps °deg"""
_GREEK = """Άa Έe Ήe Ίi Όo Ύu Ώo ΐi Αa Βb Γg Δd Εe Ζz Ηe Θth Ιi Κk Λl Μm Νn Ξks Οo Πp Ρr Σs Τt Υu Φph Χkh Ψps Ωo Ϊi Ϋu
άa έe ήe ίi ΰu αa βb γg δd εe ζz ηe θth ιi κk λl μm νn ξx οo πp ρr ςs σs τt υu φph χkh ψps ωo ϊi ϋu όo ύu ώo"""
_CYRILLIC = """Ѐie Ёio Ђdj Ѓgj Єe Ѕdz Іi Їyi Јj Љlj Њnj Ћtsh Ќkj Ѝi Ўu Џdzh Аa Бb Вv Гg Дd Еe Жzh Зz Иi Йi Кk Лl Мm Нn
Оo Пp Рr Сs Тt Уu Фf Хkh Цts Чch Шsh Щshch Ыy Эe Юiu Яia аa бb вv гg дd еe жzh зz иi йi кk лl мm нn оo пp рr сs тt
уu фf хkh цts чch шsh щshch ыy эe юiu яia ѐie ёio ђdj ѓgj єie ѕdz іi їyi јj љlj њnj ћtsh ќkj ѝi ўu џdzh"""
_LETTERS = {entry[0]: entry[1:] for entry in f"{_LATIN} {_GREEK} {_CYRILLIC}".split()}
_HYPHENS = frozenset("–—‘’“”„‚…«»·¿¡±÷¬¦¨´¸†‡•‹›‐‑‒―ЪЬъь\xa0\u2009\u200b\u2003")
_PRINTED = re.compile("[\0-\x7e]*")
_DROPPED = re.compile("[\0-\x1f\x7f\u0300-\u0362]")
_MARKED_END = 0x2000  # below, a letter that is decomposed to ASCII becomes just that


@function("string::html::encode", kinds=(TEXT,))
def encode(text: str) -> str:
    return text.translate(_ENTITIES)


@function("string::html::sanitize", kinds=(TEXT,))
def sanitize(text: str) -> str:
    if _MARKUP.search(text):
        raise NotPlain("string::html::sanitize of markup")
    return text.replace(">", "&gt;").replace("\xa0", "&nbsp;")


@function("string::slug", kinds=(TEXT,))
def slug(text: str) -> str:
    begin = len(_as_it_is(text))
    rest = _DROPPED.sub("", text[begin:])
    plain = text[:begin] + "".join([part if part.isascii() else _in_ascii(part) for part in rest])
    return re.sub("-+", "-", re.sub("[^a-z0-9_-]", "-", plain.lower())).strip("-")


def _as_it_is(text: str) -> str:
    """The text before its first character beyond ASCII: control characters are hyphens here, behind it nothing."""
    match = _PRINTED.match(text)
    assert match is not None, "a pattern that may be empty always matches"
    return match.group()


def _in_ascii(character: str) -> str:
    if character in _LETTERS:
        return _LETTERS[character]
    if character in _HYPHENS:
        return "-"
    base = "".join([part for part in normalize("NFKD", character) if not combining(part)])
    if ord(character) < _MARKED_END and base.isascii() and base.isalnum():
        return base
    raise NotPlain("string::slug of a character that is not in the table")
