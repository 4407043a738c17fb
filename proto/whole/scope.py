"""What an expression may see besides its row, and the two ways in which evaluation stops.

`NotPlain` is the promise of this package: never a wrong answer. Whatever is not known to give SurrealDB's own result
raises it, and the caller asks SurrealDB instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sp00ky.proto.values.kinds import NONE, RecordId, Value


class NotPlain(Exception):
    """This evaluator cannot answer. `name`: the construct, e.g. `function fn::mine`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class EvaluationError(NotPlain):
    """SurrealDB answers this with an error as well, such as `1 + 'a'`; the wording is its own."""


class Source(Protocol):
    """Tables at one revision."""

    def rows(self, table: str) -> Iterable[tuple[RecordId, dict[str, Value]]]:
        """Every record of a table in id order; nothing for an unknown table. A record need not hold its `id`."""

    def get(self, record: RecordId) -> dict[str, Value] | None:
        """The record, or None."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`params` are without `$`. `parent` is the row of the enclosing query, `$parent`."""

    params: Mapping[str, Value]
    source: Source | None = None
    parent: Value = NONE


def record_row(record: RecordId, scope: Scope) -> dict[str, Value] | None:
    """The record with its id, or None if it does not exist. NotPlain without a source."""
    if scope.source is None:
        raise NotPlain("a record link, without tables to follow it in")
    found = scope.source.get(record)
    return None if found is None else with_id(record, found)


def with_id(record: RecordId, content: dict[str, Value]) -> dict[str, Value]:
    return content if "id" in content else {**content, "id": record}
