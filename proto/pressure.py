"""How near a process is to the most memory that it may take, and what that asks for.

    ROOM     below FULL_RATIO              anything may come
    FULL     from there on                 no new view: what is here may still grow
    PRESSED  from PRESSED_RATIO on         shed, before the kernel ends the process and everything with it

The ratios leave room for what was admitted and has not been allocated yet, and for what the allocator cannot give back.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

FULL_RATIO: Final = 0.85
PRESSED_RATIO: Final = 0.95


class Pressure(IntEnum):
    ROOM = 0
    FULL = 1
    PRESSED = 2


def pressure_of(used_bytes: int, bytes_max: int) -> Pressure:
    """`bytes_max` 0: there is no limit."""
    if not bytes_max or used_bytes < FULL_RATIO * bytes_max:
        return Pressure.ROOM
    return Pressure.FULL if used_bytes < PRESSED_RATIO * bytes_max else Pressure.PRESSED
