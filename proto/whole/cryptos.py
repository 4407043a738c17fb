"""`crypto::*`: the hashes. Those of passwords, with or without a salt of their own, are SurrealDB's to compute."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from blake3 import blake3
from sp00ky.proto.whole.functions import TEXT, function

_U32 = 2**32


def _hash(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


for _name in ("md5", "sha1", "sha256", "sha512"):
    function(f"crypto::{_name}", kinds=(TEXT,))(_hash(_name))


@function("crypto::blake3", kinds=(TEXT,))
def blake3_hash(text: str) -> str:
    return blake3(text.encode()).hexdigest()


@function("crypto::joaat", kinds=(TEXT,))
def joaat(text: str) -> int:
    """Jenkins's "one at a time"."""
    state = 0
    for byte in text.encode():
        state = (state + byte) % _U32
        state = (state + (state << 10)) % _U32
        state ^= state >> 6
    state = (state + (state << 3)) % _U32
    state ^= state >> 11
    return (state + (state << 15)) % _U32
