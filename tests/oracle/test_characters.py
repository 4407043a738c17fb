"""Every third character of Unicode's first plane, one at a time and between two letters: case, class, trim and slug."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.functions import call
from sp00ky.proto.whole.scope import NotPlain

from tests.harness.oracle import Oracle, Refused

CHARACTERS = [chr(code) for code in (*range(1, 0x600), *range(0x600, 0x10000, 3)) if not 0xD800 <= code < 0xE000]
ANSWERED_MIN = {"string::slug": 600}  # its table is short
FUNCTIONS = [
    *("string::uppercase", "string::lowercase", "string::capitalize", "string::trim", "string::is_alpha"),
    *("string::is_alphanum", "string::is_numeric", "string::slug", "string::html::encode", "string::html::sanitize"),
]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("frame", [str, "a{}b".format], ids=["alone", "framed"])
def test_characters(oracle: Oracle, name: str, frame: Callable[[str], str]) -> None:
    texts = [frame(character) for character in CHARACTERS]
    theirs = oracle.ask(f"RETURN array::map($texts, |$text| {name}($text))", texts=texts)
    assert not isinstance(theirs, Refused)
    ours = [_ours(name, text) for text in texts]
    answered = [(text, mine, other) for text, mine, other in zip(texts, ours, theirs, strict=True) if mine is not None]
    assert not [difference for difference in answered if difference[1] != difference[2]]
    assert len(answered) >= ANSWERED_MIN.get(name, len(texts) * 0.8)


def _ours(name: str, text: str) -> Value:
    """None if it is left to the engine."""
    try:
        return call(name, [text])
    except NotPlain:
        return None
