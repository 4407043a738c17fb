"""What the database says of a table's fields: whether they are collaborative, and who may change and see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.text import escape_ident
from sp00ky.ssp.crdt.declared import Declared, Kind, commented

FRESH_SECONDS: Final = 2.0  # a change of the schema is seen within that time
TABLES_MAX: Final = 1_000
_HINT: Final = "define it with COMMENT '@crdt text', or name it in SPKY_CRDT_FIELDS"


@dataclass(frozen=True, slots=True)
class FieldRules:
    """A collaborative field. A rule is True, False, or an expression."""

    kind: Kind
    update: str | bool = True
    select: str | bool = True


class Schema:
    """`stated`: the fields that are collaborative; None: those whose comment says so."""

    def __init__(
        self, database: Database, stated: Declared | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._stated, self._clock = database, stated, clock
        self._tables: dict[str, tuple[float, Mapping[str, Mapping[str, Value]]]] = {}

    async def field(self, table: str, name: str) -> FieldRules:
        """Raises Fault INVALID for a field that is not collaborative."""
        if table.startswith("_00_"):
            raise Fault(Code.INVALID, f'table "{table}" is the mesh\'s own')
        if self._stated is not None and name not in self._stated.get(table, {}):
            raise Fault(Code.INVALID, f'field "{name}" of "{table}" is not collaborative', _HINT)
        defined = (await self._defined(table)).get(name, {})
        kind = self._stated[table][name] if self._stated is not None else commented(defined.get("comment"))
        if kind is None:
            raise Fault(Code.INVALID, f'field "{name}" of "{table}" is not collaborative', _HINT)
        rules = defined.get("permissions")
        update, select = (rules.get("update"), rules.get("select")) if isinstance(rules, Mapping) else (True, True)
        return FieldRules(kind, _rule(update), _rule(select))

    async def _defined(self, table: str) -> Mapping[str, Mapping[str, Value]]:
        read_at, fields = self._tables.get(table, (-FRESH_SECONDS, {}))
        if self._clock() - read_at >= FRESH_SECONDS:
            if len(self._tables) >= TABLES_MAX:
                self._tables.clear()
            fields = await self._ask(table)
            self._tables[table] = self._clock(), fields
        return fields

    async def _ask(self, table: str) -> Mapping[str, Mapping[str, Value]]:
        try:
            [info] = await self._database.query(f"INFO FOR TABLE {escape_ident(table)} STRUCTURE")
        except QueryError:
            return {}  # no such table
        return {field["name"]: field for field in info["fields"]}


def _rule(stated: Value) -> str | bool:
    return stated if isinstance(stated, str | bool) else False
