"""Cursors and presence: shown to everybody who reads the record, and gone when nobody says them again.

A field `_cursor_<field>` holds Loro's encoded `EphemeralStore` in its row's `state`: a value for each key, the latest
by its own timestamp. Nothing of it is in the record; the row is deleted once nobody has written it for the time set.
What a crash or a race loses is said again at the next movement, so nothing here is retried for long.
"""

from __future__ import annotations

import base64
from typing import Final

from loro import EphemeralStore
from sp00ky.proto.faults import Code, Fault
from sp00ky.ssp.crdt.store import Moved, Place, Store

PREFIX: Final = "_cursor_"
UPDATE_BYTES_MAX: Final = 16 * 1024
STATE_BYTES_MAX: Final = 256 * 1024
ATTEMPTS: Final = 5


class Presence:
    def __init__(self, store: Store, ttl_secs: int) -> None:
        self._store, self._ttl_ms = store, ttl_secs * 1000

    async def show(self, place: Place, update: bytes) -> int:
        """Merge an encoded store into the one that is shown; its row's rev. Raises Fault INVALID, TOO_LARGE, NOT_FOUND,
        UNAVAILABLE."""
        if len(update) > UPDATE_BYTES_MAX:
            message = f"the presence has {len(update)} bytes, the limit is {UPDATE_BYTES_MAX}"
            raise Fault(Code.TOO_LARGE, message, "say less at once")
        for _ in range(ATTEMPTS):
            was, states = await self._store.load(place)
            shown = self._merged(states, update)
            if len(shown) > STATE_BYTES_MAX:
                message = f"the presence of {place} would have {len(shown)} bytes, the limit is {STATE_BYTES_MAX}"
                raise Fault(Code.TOO_LARGE, message)
            try:
                await self._store.show(place, was, shown)
            except Moved:
                continue
            return was.rev + 1
        raise Fault(Code.UNAVAILABLE, f"{place} is written by too many at once", "say it again")

    def _merged(self, states: list[str], update: bytes) -> bytes:
        store = EphemeralStore(self._ttl_ms)
        for state in states[:1]:
            try:
                _taken(store, base64.b64decode(state))
            except (Fault, ValueError):
                continue  # a client's own: what cannot be read is not shown on
        _taken(store, update)
        store.remove_outdated()
        encoded: bytes = store.encode_all()
        return encoded


def _taken(store: EphemeralStore, encoded: bytes) -> None:
    try:
        store.apply(encoded)
    except Exception:
        raise
    except BaseException as error:  # Loro's own
        if type(error) is not BaseException and type(error).__name__ != "PanicException":
            raise
        raise Fault(Code.INVALID, f"the presence is not Loro's: {str(error)[:200]}") from None


def field_of(name: str) -> str:
    """The collaborative field that a name is the presence of; "" for no presence."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""
