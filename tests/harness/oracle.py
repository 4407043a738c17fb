"""The real engine in this process, as the judge of values and expressions: a question in SurrealQL, its answer.

The synchronous engine is used: it needs no event loop, and a question costs 0.05 ms. Never ask it for `<array<int>>` of
decimals: core 3.2.4 aborts the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import Bound, Range, RecordId, SurrealSet, Value
from sp00ky.proto.values.order import hash_key
from sp00ky.proto.whole.scope import Indexed, Source
from surrealdb_embedded import SyncEmbeddedDB


@dataclass(frozen=True, slots=True)
class Refused:
    """The engine answered with an error."""

    message: str


class Oracle:
    """One empty in-memory database."""

    def __init__(self) -> None:
        self._engine = SyncEmbeddedDB("mem://")
        self._call("use", "oracle", "oracle")

    def ask_all(self, surql: str, **params: Value) -> list[Value | Refused]:
        """The answer of each statement; of one that does not parse, one refusal."""
        return self._answers(self._call("query", surql, params))

    @staticmethod
    def _answers(reply: dict[str, Value]) -> list[Value | Refused]:
        if "result" not in reply:
            return [Refused(str(reply["error"]))]
        return [
            statement["result"] if statement["status"] == "OK" else Refused(str(statement["result"]))
            for statement in reply["result"]
        ]

    def ask(self, surql: str, **params: Value) -> Value | Refused:
        """The answer of the last statement."""
        return self.ask_all(surql, **params)[-1]

    def tables(self, *names: str) -> Source:
        rows: dict[str, Any] = {name: self.ask(f"SELECT * FROM {name}") for name in names}
        return Indexed(OracleTables(rows))

    def _call(self, method: str, *params: Value) -> dict[str, Value]:
        reply: dict[str, Value] = decode(
            self._engine.execute(encode({"id": 1, "method": method, "params": list(params)}))
        )
        return reply


class OracleTables:
    """Tables as the engine holds them."""

    def __init__(self, tables: dict[str, list[dict[str, Value]]]) -> None:
        self._tables = {name: [(row["id"], row) for row in rows] for name, rows in tables.items()}
        self._records = {hash_key(record): row for rows in self._tables.values() for record, row in rows}

    def rows(self, table: str) -> list[tuple[RecordId, dict[str, Value]]]:
        return self._tables.get(table, [])

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return self._records.get(hash_key(record))

    def tables(self) -> list[str]:
        return sorted(self._tables)


def exact(value: Value) -> str:
    """A text in which two values differ if they differ in any way, 1 from 1.0 and 1.0 from 1.00dec included."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name!r}: {exact(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ", ".join(map(exact, value)) + "]"
        case SurrealSet():
            return "set(" + ", ".join(map(exact, value.values)) + ")"
        case RecordId():
            return f"{value.table!r}:{exact(value.key)}"
        case Range():
            return f"{exact(value.begin)}..{exact(value.end)}"
        case Bound():
            return f"{'=' if value.inclusive else '~'}{exact(value.value)}"
        case _:
            return repr(value)
