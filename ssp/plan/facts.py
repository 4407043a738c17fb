"""What a plan must know about a table, read off its row of `_00_schema`.

A table that the schema does not name lives by `/ingest` alone: a service sees it, a user sees nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sp00ky.proto.surrealql.ast import Expr, FieldPart, Idiom, Literal
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.rules import NOBODY, TableRules, parse_rules
from sp00ky.proto.whole.scope import NotPlain

MESH_PREFIX: Final = "_00_"
_NOBODYS: Final = TableRules()


@dataclass(frozen=True, slots=True)
class TableFacts:
    """`unread`: why the permissions cannot be kept; empty if they can."""

    computed: bool = False  # has COMPUTED fields: its rows are not what is stored
    derived: bool = False  # DEFINE TABLE … AS SELECT
    indexes: tuple[tuple[str, ...], ...] = ()  # the fields of each; `a.` for a path that goes on below field a
    rules: TableRules = _NOBODYS
    unread: str = ""
    arrays: frozenset[str] = frozenset()  # fields with an index that hold an array somewhere, as far as is known

    @property
    def rule(self) -> Expr | None:
        """The condition under which a user sees a record; None: always."""
        match self.rules.select:
            case bool() as anyone:
                return None if anyone else Literal(False)
            case expr:
                return expr

    @property
    def open(self) -> bool:
        """Whether every user sees all of it."""
        return self.rules.select is True and not self.rules.fields and not self.unread

    def why_closed(self, table: str) -> str:
        """Why the rows held here are not what a query sees; empty if they are."""
        if self.computed:
            return f"table {table} has computed fields"
        if self.derived:
            return f"table {table} is itself a view"
        if table.startswith(MESH_PREFIX):
            return f"table {table} belongs to the mesh"
        return ""


def facts_of(row: Mapping[str, Value] | None) -> TableFacts:
    """Of a row of `_00_schema`; None: a table that the schema does not name."""
    if row is None:
        return TableFacts()
    computed, derived = (row.get(name) is True for name in ("computed", "derived"))
    indexes = tuple(tuple(map(_column, columns)) for columns in row.get("indexes", ()))
    try:
        rules = parse_rules(row.get("select", NOBODY), row.get("fields", ()), indexes=row.get("indexes", ()))
    except NotPlain as error:
        return TableFacts(computed, derived, indexes, unread=error.name)
    return TableFacts(computed, derived, indexes, rules)


def _column(text: str) -> str:
    """What an index is on: a field's name, or with a dot behind it the name that a path begins with."""
    try:
        path = parse_expr(text)
    except ParseError:
        return f"{text}."
    match path:
        case Idiom(head=None, parts=(FieldPart(name=name),)):
            return name
        case Idiom(head=None, parts=(FieldPart(name=name), *_)):
            return f"{name}."
        case _:
            return f"{text}."
