"""Which fields with an index hold an array in some record: SurrealDB finds such a record by each element of the array,
in whatever way the field is compared, so that no query that may ask that index can be answered here.

This is a fact about a table as its definition is, only that it changes with the records: views are planned anew when
the first array comes, and when the last goes. Invariant: of a table that is held, `arrays` names the fields of its
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
        self._last: dict[str, frozenset[str]] = {}  # of tables that were let go: what they had

    def follow(self, arrangement: Arrangement, fields: Iterable[str]) -> None:
        """The table is held, or its indexes are others now: look at all of its rows."""
        found: dict[str, set[bytes]] = {field: set() for field in fields}
        for key, (record, _) in arrangement.rows.items() if found else ():
            for field, keys in found.items():
                if type(record.get(field)) is list:
                    keys.add(key)
        self._keys[arrangement.table] = found
        self._last.pop(arrangement.table, None)

    def let_go(self, table: str) -> None:
        """The table is not held any more. What it had is supposed of it: else whoever comes back to it would be planned
        for what it has not, find out, be planned anew, and let it go."""
        arrays = self.arrays(table)
        if self._keys.pop(table, None) is not None and arrays:
            self._last[table] = arrays

    def clear(self) -> None:
        self._keys.clear()
        self._last.clear()

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
        held = self._keys.get(table)
        if held is None:
            return self._last.get(table, frozenset())
        return frozenset(field for field, keys in held.items() if keys)
