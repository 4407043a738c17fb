"""Unpacking of a body that came compressed: ourselves, and only once its caller may send one.

aiohttp would unpack inside its parser, as the bytes arrive: before the bearer is looked at, and on the loop. Here the
packed bytes are whole, and within the limit, when unpacking begins; it stops at the limit whatever the packed bytes
say, and runs in a thread, since 16 MiB take some 50 ms.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

ENCODINGS: Final = ("identity", "gzip", "deflate")
MEMBERS_MAX: Final = 16  # of one gzip body: each costs a copy of what is left

_GZIP: Final = 16 + zlib.MAX_WBITS


class Inflated(Exception):
    """More than the limit would come out."""


async def inflated(packed: bytes, encoding: str, most: int) -> bytes:
    """The body in full. Raises Inflated beyond `most` bytes, ValueError when it is broken or stops too early."""
    if encoding == "identity":
        return packed
    return await asyncio.to_thread(inflate, packed, encoding, most)


def inflate(packed: bytes, encoding: str, most: int) -> bytes:
    window = _GZIP if encoding == "gzip" else _window_of(packed)
    whole = b""
    for _ in range(MEMBERS_MAX):
        unpacking = zlib.decompressobj(window)
        try:
            whole += unpacking.decompress(packed, most + 1 - len(whole))
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(whole) > most:
            raise Inflated
        if not unpacking.eof:
            raise ValueError("ends too early")
        packed = unpacking.unused_data
        if not packed:
            return whole
    raise ValueError(f"more than {MEMBERS_MAX} members")


def _window_of(packed: bytes) -> int:
    """HTTP's `deflate` is the zlib format, and what some send is the bare stream: RFC 9110, 8.4.1.2."""
    return zlib.MAX_WBITS if packed[:1] and packed[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS
