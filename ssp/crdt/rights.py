"""Whether a record user may change or see a field: asked of SurrealDB, as that user.

The token that the user presented signs in a connection of its own, and the database judges by its own rules: an update
that changes nothing has to find the record, in a transaction that is given up. Where the field has a rule of its own,
the update changes it and has to be seen, since SurrealDB passes over in silence what such a rule forbids. A service has
no token, and may.

An answer counts for `VERDICT_SECONDS`: a revocation is seen within that time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import NONE
from sp00ky.proto.values.text import escape_ident
from sp00ky.ssp.crdt.declared import Kind
from sp00ky.ssp.crdt.schema import FieldRules
from sp00ky.ssp.crdt.store import Place

VERDICT_SECONDS: Final = 1.0
VERDICTS_MAX: Final = 10_000
CONNECTIONS_MAX: Final = 64  # users signed in at the same time; the one longest unasked makes room
_MAY: Final = "sp00ky: may"

_UPDATE: Final = """
BEGIN;
LET $found = (UPDATE $record SET %(field)s = %(field)s RETURN VALUE id);
IF !array::is_empty($found) { THROW 'sp00ky: may' };
COMMIT;
"""
_UPDATE_UNDER_RULE: Final = """
BEGIN;
LET $was = (SELECT VALUE %(field)s FROM ONLY $record);
LET $found = (UPDATE $record SET %(field)s = %(changed)s RETURN VALUE id);
LET $now = (SELECT VALUE %(field)s FROM ONLY $record);
IF !array::is_empty($found) AND $now != $was { THROW 'sp00ky: may' };
COMMIT;
"""
_CHANGED: Final[dict[Kind, str]] = {
    Kind.TEXT: "($this.%s ?? '') + ' '",
    Kind.MAP: "object::extend($this.%s ?? {}, { sp00ky: rand::uuid() })",
    Kind.LIST: "array::append($this.%s ?? [], 0)",
    Kind.COUNTER: "($this.%s ?? 0) + 1",
}
_SEEN: Final = "SELECT id, %s AS seen FROM ONLY $record"


class UserDatabase(Database):
    """A connection that a user's token signs in, again each time it is opened. Calls raise Fault UNAUTHENTICATED for a
    token that the database does not take."""

    def __init__(self, database: Database, token: str) -> None:
        super().__init__(database.url, user="", password="", namespace=database.namespace, database=database.database)
        self._token = token

    async def _sign_in(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._call(socket, "use", [self.namespace, self.database])
        try:
            await self._call(socket, "authenticate", [self._token])
        except QueryError as error:
            hint = "its access must be defined there, with the key that signs it"
            message = f"SurrealDB does not take this token: {error.message}"[:300]
            raise Fault(Code.UNAUTHENTICATED, message, hint) from None


class Rights:
    """`clock`: seconds, monotonic."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._users: OrderedDict[str, UserDatabase] = OrderedDict()
        self._until: dict[tuple[str, str, Place], float] = {}

    async def require_update(self, token: str, place: Place, rules: FieldRules) -> None:
        """Raises Fault FORBIDDEN, UNAUTHENTICATED."""
        if token and not self._known(token, "update", place):
            if rules.update is False or not await self._updates(await self._user(token), place, rules):
                raise Fault(Code.FORBIDDEN, f"you may not update {place}")
            self._learn(token, "update", place)

    async def require_select(self, token: str, place: Place, rules: FieldRules) -> None:
        """Raises Fault FORBIDDEN, UNAUTHENTICATED."""
        if token and not self._known(token, "select", place):
            if rules.select is False or not await self._sees(await self._user(token), place, rules):
                raise Fault(Code.FORBIDDEN, f"you may not read {place}")
            self._learn(token, "select", place)

    async def close(self) -> None:
        await asyncio.gather(*(user.close() for user in self._users.values()))

    async def _user(self, token: str) -> UserDatabase:
        key = _digest(token)
        user = self._users.get(key)
        if user is None:
            user = self._users[key] = UserDatabase(self._database, token)
        self._users.move_to_end(key)
        while len(self._users) > CONNECTIONS_MAX:
            _, oldest = self._users.popitem(last=False)
            await oldest.close()
        return user

    @staticmethod
    async def _updates(user: UserDatabase, place: Place, rules: FieldRules) -> bool:
        name = escape_ident(place.field)
        surql = _UPDATE if rules.update is True else _UPDATE_UNDER_RULE
        surql %= {"field": name, "changed": _CHANGED[rules.kind] % name}
        try:
            await user.query(surql, {"record": place.record}, conflict_retries=5)
        except QueryError as error:
            return _MAY in error.message
        return False

    async def _sees(self, user: UserDatabase, place: Place, rules: FieldRules) -> bool:
        surql, named = _SEEN % escape_ident(place.field), {"record": place.record}
        [seen] = await user.query(surql, named)
        if not isinstance(seen, Mapping):
            return False  # not even the record
        if rules.select is True or seen.get("seen", NONE) is not NONE:
            return True
        [there] = await self._database.query(surql, named)
        return isinstance(there, Mapping) and there.get("seen", NONE) is NONE

    def _known(self, token: str, verb: str, place: Place) -> bool:
        return self._until.get((_digest(token), verb, place), 0.0) > self._clock()

    def _learn(self, token: str, verb: str, place: Place) -> None:
        if len(self._until) >= VERDICTS_MAX:
            self._until.clear()
        self._until[_digest(token), verb, place] = self._clock() + VERDICT_SECONDS


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
