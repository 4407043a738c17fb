"""Which paths a SELECT's columns hold, so that ORDER BY, GROUP BY and SPLIT can be checked against them.

The paths of the columns make a trie by their parts: a path is looked up in as many steps as it has parts, however many
columns and keys there are. What is computed is found by one name, SurrealDB's text of it, also where it has an alias:
`SELECT a + b AS c FROM t ORDER BY ⟨a + b⟩`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.surrealql.ast import (
    AllPart,
    Apply,
    Call,
    Expr,
    Field,
    FieldPart,
    Idiom,
    IndexPart,
    LastPart,
    Literal,
    Param,
    Part,
    Star,
)
from sp00ky.proto.surrealql.folding import plain
from sp00ky.proto.values.kinds import Datetime
from sp00ky.proto.values.text import datetime_text

BASIC: Final = (FieldPart, AllPart, LastPart)


@dataclass(slots=True)
class _Place:
    below: dict[Part, _Place] = field(default_factory=dict)
    ends: bool = False  # a column's path, or its alias, ends here
    passed: bool = False  # a column's path, not an alias, goes on from here


@dataclass(slots=True)
class Selected:
    everything: bool = False
    root: _Place = field(default_factory=_Place)
    names: set[str] = field(default_factory=set)  # of parameters, and what strings and datetimes say
    computed: set[Expr] = field(default_factory=set)

    @classmethod
    def of(cls, columns: tuple[Field, ...]) -> Selected:
        selected = cls()
        for column in columns:
            selected._add(column)
        return selected

    def holds(self, path: Idiom, prefix: bool) -> bool:
        """Whether a column has that path or alias; with `prefix`, also whether a column's path begins so."""
        if self.everything:
            return True
        place = self.root
        for part in path.parts:
            found = place.below.get(part)
            if found is None:
                return False
            place = found
        return place.ends or (prefix and place.passed)

    def computes(self, path: Idiom, read: Callable[[str], Expr | None]) -> bool:
        """Whether a column is that text; `read` is how a text is read."""
        if len(path.parts) != 1 or not isinstance(path.parts[0], FieldPart):
            return False
        name = path.parts[0].name
        if name in self.names or not self.computed:
            return name in self.names
        expr = read(name)
        return expr in self.computed or plain(expr) in self.computed

    def _add(self, column: Field) -> None:
        if isinstance(column.expr, Star):
            self.everything = True
        elif isinstance(column.expr, Idiom) and column.expr.head is None:
            self._add_path(column.expr.parts, passing=True)
        elif isinstance(column.expr, Call):
            self._add_path((FieldPart(column.expr.name),), passing=False)
        else:
            self._add_computed(column.expr)
        if column.alias is not None:
            self._add_path(column.alias.parts, passing=False)

    def _add_computed(self, expr: Expr) -> None:
        match expr:
            case Param(name) | Literal(str(name)):
                self.names.add(name)
            case Literal(Datetime() as moment):
                self.names.add(datetime_text(moment))
            case Idiom() | Apply():
                pass
            case _:
                self.computed.add(expr)

    def _add_path(self, parts: tuple[Part, ...], passing: bool) -> None:
        """A key is made of names, `*`, `$` and numbers only: what else a column has cannot be met."""
        place = self.root
        for part in parts:
            place.passed |= passing
            if not isinstance(part, BASIC) and not (isinstance(part, IndexPart) and isinstance(part.index, Literal)):
                return
            place = place.below.setdefault(part, _Place())
        place.ends = True
