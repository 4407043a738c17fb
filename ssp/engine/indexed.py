"""Which fields with an index hold an array in some record: SurrealDB finds such a record by each element of the array,
in whatever way the field is compared, so that no query that may ask that index can be answered here.

This is a fact about a table as its definition is, only that it changes with the records: views are planned anew when
the first array comes, and when the last goes. Invariant: of a followed table, `arrays` names the fields of its held
rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.circuit.arrangement import Arrangement, Moved


class IndexedArrays:
    """Of the tables that are followed."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[str, set[bytes]]] = {}  # table → field → keys of the rows with an array in it

    def follow(self, arrangement: Arrangement, fields: Iterable[str]) -> None:
        """The table is held, or its indexes are others now: look at all of its rows."""
        found: dict[str, set[bytes]] = {field: set() for field in fields}
        for key, (record, _) in arrangement.rows.items() if found else ():
            for field, keys in found.items():
                if type(record.get(field)) is list:
                    keys.add(key)
        self._keys[arrangement.table] = found

    def forget(self, table: str) -> None:
        self._keys.pop(table, None)

    def clear(self) -> None:
        self._keys.clear()

    def move(self, table: str, moved: Iterable[Moved]) -> bool:
        """Whether other fields hold arrays than before."""
        held = self._keys.get(table)
        if not held:
            return False
        before = self.arrays(table)
        for key, _, after in moved:
            for field, keys in held.items():
                value: Value = None if after is None else after[0].get(field)
                if type(value) is list:
                    keys.add(key)
                else:
                    keys.discard(key)
        return before != self.arrays(table)

    def arrays(self, table: str) -> frozenset[str]:
        return frozenset(field for field, keys in self._keys.get(table, {}).items() if keys)
