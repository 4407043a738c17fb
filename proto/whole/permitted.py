"""Tables as one user sees them: a query evaluated on them gives what SurrealDB answers to that user.

SurrealDB applies permissions where a record is read, and nowhere else: a record that the table's rule does not hold for
is not there, in FROM, behind a link, in a graph step or in a sub-select, and a field that its own rule does not hold
for is not in the record, for WHERE, ORDER BY and every expression alike. So it is enough to read through this source.
The rules themselves see everything: what they read, they read without rules.

A field's rules are asked of the record as it is stored, in the order of their names, and what they forbid is taken out
from the last element to the first, by its place in the stored record; two rules on one array may therefore take out
elements that neither meant, and do so in SurrealDB.

Measured on core 3.2.4, and beside the above; `check` refuses the first four where they may matter:
* ORDER BY with LIMIT directly on a table, by a name that a field's rule is on, is cut to START + LIMIT rows *before* it
  is sorted.
* An index answers WHERE by the stored value of a hidden field.
* A lone `count()` without WHERE counts by rules that read *as the user*.
* WHERE and a table's rule are applied in either order: an error in one, for a record that the other leaves out, is the
  error of the query or is not.
* A graph step from an edge that is at hand finds its ends though the edge be hidden; it ends only at records that are
  there and seen, where the owner's also ends at what has been deleted.
* A graph step with LIMIT and no WHERE reads START + LIMIT records from each that it is taken from, seen or not.
* GROUP ALL of no rows is no group, unless it is a lone `count()` of a table that someone may see.
* `record::exists` follows permissions even inside a rule; a rule whose body is a block with RETURN is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, Geometry, RecordId, SurrealSet, Table, Value
from sp00ky.proto.whole import access
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.rules import (
    OF_A_RULE,
    Path,
    Select,
    TableRules,
    bound_names,
    check_params,
    check_rule,
    may_fail,
    nodes,
    reads_own_fields,
)
from sp00ky.proto.whole.scope import EvaluationError, Hiding, NotPlain, Row, Scope, Source, with_id

Record: TypeAlias = dict[str, Value]
_Place: TypeAlias = tuple[str | int, ...]


class Permitted(Hiding):
    """`rules` gives a table's, those of no one else's seeing (`TableRules()`) for a table without; `params`: the user's
    (`auth_params`) and the query's own, which SurrealDB shows to rules as well."""

    def __init__(self, source: Source, rules: Callable[[str], TableRules], params: Mapping[str, Value]) -> None:
        self._source = source
        self._rules = rules
        self._params = params
        self._tables: dict[str, _Table] = {}

    def rows(self, table: str) -> Iterable[Row]:
        return self._table(table).rows()

    def get(self, record: RecordId) -> Record | None:
        return self._table(record.table).get(record)

    def rows_where(self, table: str, field: str, value: Value) -> Iterable[Row]:
        return self._table(table).rows_where(field, value)

    def tables(self) -> Iterable[str]:
        return self._source.tables()

    def everything(self) -> Source:
        return self._source

    def hides(self, table: str) -> bool:
        """Whether no record of the table is shown to anyone."""
        return self._table(table).rules.select is False

    def check(self, select: ast.Select, scope: Scope) -> None:
        """NotPlain if SurrealDB answers this SELECT, its sub-selects not counted, otherwise than by what is seen."""
        self._check_plan(select, scope.params)
        for name in _scanned_tables(select, scope.params):
            table = self._table(name)
            if table.may_fail:
                for _ in table.rows():
                    pass
            if select.where is not None and table.rules.select not in (True, False) and may_fail(select.where):
                _check_hidden(select.where, self._source.rows(name), scope)

    def _check_plan(self, select: ast.Select, params: Mapping[str, Value]) -> None:
        """What of `check` the tables' rules alone decide."""
        for name in _scanned_tables(select, params):
            _check_fields(select, self._table(name).rules)
        if is_counting(select):
            for name in _named_tables(select.targets[0]):
                if not reads_own_fields(self._table(name).rules.select):
                    raise NotPlain("count() by a rule that may read other records")

    def check_query(self, query: ast.Select) -> None:
        """What of `check` holds of any data, for the query and every sub-select; NotPlain too if it reads of the user
        what was not stated."""
        check_params(query, self._params)
        unbound = {name: value for name, value in self._params.items() if name not in bound_names(query)}
        for node in nodes(query):
            if isinstance(node, ast.Select):
                self._check_plan(node, unbound)

    def _table(self, name: str) -> _Table:
        table = self._tables.get(name)
        if table is None:
            rules = self._rules(name)
            for rule in (rules.select, *(rule for _, rule in rules.fields)):
                check_rule(rule, self._params)
            table = self._tables[name] = _Table(name, rules, self._source, self._params)
        return table


class _Table:
    def __init__(self, name: str, rules: TableRules, source: Source, params: Mapping[str, Value]) -> None:
        self._name = name
        self.rules = rules
        self._source = source
        self._params = {**params, **dict.fromkeys(OF_A_RULE, NONE)}
        self._unrestricted = Scope(self._params, source)

    def rows(self) -> Iterator[Row]:
        return self._seen(self._candidates())

    def get(self, record: RecordId) -> Record | None:
        if self.rules.select is False:
            return None
        row = self._source.get(record)
        return None if row is None or not self._is_seen(record, row) else self._cut(record, row)

    def rows_where(self, field: str, value: Value) -> Iterator[Row]:
        if self.rules.select is False:
            return
        if self.may_fail or any(len(path) > 1 for path in self.rules.ruled(field)):
            key = order.hash_key(value)
            found = (row for row in self.rows() if field in row[1] and order.hash_key(row[1][field]) == key)
        else:
            found = (row for row in self._seen(self._source.rows_where(self._name, field, value)) if field in row[1])
        yield from found

    @cached_property
    def may_fail(self) -> bool:
        """Every record is asked about even if few are wanted, since one of the others may be an error."""
        return may_fail(self.rules.select) or any(may_fail(rule) for _, rule in self.rules.fields)

    def _candidates(self) -> Iterable[Row]:
        match self.rules.select:
            case False:
                return ()
            case True:
                return self._source.rows(self._name)
            case rule:
                return access.table_rows(self._name, rule, self._unrestricted)

    def _seen(self, rows: Iterable[Row]) -> Iterator[Row]:
        for record, row in rows:
            if self._is_seen(record, row):
                yield record, self._cut(record, row)

    def _is_seen(self, record: RecordId, row: Record) -> bool:
        return _holds(self.rules.select, with_id(record, row), self._unrestricted)

    def _cut(self, record: RecordId, row: Record) -> Record:
        """The record without the fields that are not seen; rows are shared, so what changes is copied."""
        if not self.rules.fields:
            return row
        stored = with_id(record, row)
        left: Value = row
        for path, rule in self.rules.fields:
            for place, value in reversed(list(_places(stored, path))):
                if not _holds(rule, stored, Scope({**self._params, "value": value}, self._source)):
                    left = _without(left, place)
        assert isinstance(left, dict), "a record stays one"
        return left


def _holds(rule: Select, row: Value, scope: Scope) -> bool:
    if isinstance(rule, bool):
        return rule
    try:
        return order.truthy(expressions.evaluate(rule, row, scope))
    except EvaluationError as error:
        raise NotPlain(f"a rule that fails: {error}") from error  # it may be that SurrealDB never asks it


def _places(value: Value, path: Path, place: _Place = ()) -> Iterator[tuple[_Place, Value]]:
    """Where in the value the path leads, and what stands there; nowhere if something on the way is not there."""
    if not path:
        yield place, value
        return
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and not isinstance(step, int):
        for name in (step,) if step is not None else value:
            if name in value:
                yield from _places(value[name], rest, (*place, name))
    elif isinstance(value, list) and not isinstance(step, str):
        for index in (step,) if step is not None else range(len(value)):
            if index < len(value):
                yield from _places(value[index], rest, (*place, index))
    elif isinstance(value, list | SurrealSet | Geometry) or (isinstance(value, dict) and str(step) in value):
        raise NotPlain("the rule of a field inside a set or a geometry, or of a name in an array")


def _without(value: Value, place: _Place) -> Value:
    step, rest = place[0], place[1:]
    if isinstance(step, str):
        if not isinstance(value, dict) or step not in value:
            return value
        if rest:
            return {**value, step: _without(value[step], rest)}
        return {name: item for name, item in value.items() if name != step}
    if not isinstance(value, list) or step >= len(value):
        return value
    return [*value[:step], *([_without(value[step], rest)] if rest else []), *value[step + 1 :]]


# --- where SurrealDB's answer is not what its rules let be seen ------------------------------------------------------

_NO_TABLES = (ast.Literal, ast.Array, ast.Subquery, ast.RecordIdExpr)


def _scanned_tables(select: ast.Select, params: Mapping[str, Value]) -> Iterator[str]:
    """The tables in FROM. NotPlain where it may be one for all that is known and that counts."""
    for target in select.targets:
        match target:
            case ast.TableTarget(name):
                yield name
            case ast.Param(given) if given in params:
                value = params[given]
                if isinstance(value, Table):
                    yield value.name
                elif isinstance(value, list) and any(isinstance(item, Table) for item in value):
                    raise NotPlain("FROM tables in an array, as a user")
            case ast.Idiom(_, (*_, ast.GraphPart(fields=()))):
                pass  # it leads to records
            case _ if select.order and select.limit is not None and not isinstance(target, _NO_TABLES):
                raise NotPlain("ORDER BY with LIMIT of what may be a table, as a user")


def is_counting(select: ast.Select) -> bool:
    """Whether it is what SurrealDB answers by counting keys: `SELECT count() FROM one GROUP ALL`."""
    fields = [field.expr for field in select.fields]
    return select.group == () and fields == [_COUNT] and select.where is None and len(select.targets) == 1


_COUNT = ast.Call("count", ())


def _named_tables(target: ast.Target) -> list[str]:
    match target:
        case ast.TableTarget(name) | ast.Literal(RecordId(name, _)) | ast.RecordIdExpr(name, _):
            return [name]
        case ast.Array() | ast.Subquery():
            return []
    raise NotPlain("count() of what may be a table, as a user")


def _check_hidden(where: ast.Expr, rows: Iterable[Row], scope: Scope) -> None:
    for record, row in rows:
        try:
            expressions.evaluate(where, with_id(record, row), scope)
        except EvaluationError as error:
            raise NotPlain(f"WHERE that fails for a record which may be hidden: {error}") from error


def _check_fields(select: ast.Select, rules: TableRules) -> None:
    if not rules.fields:
        return
    named = {node.name for node in nodes((select.where, select.order)) if isinstance(node, ast.FieldPart)}
    if any(rules.ruled(name) for name in rules.indexed & named):
        raise NotPlain("WHERE or ORDER BY that names a field with an index that is not for everyone")
    if select.limit is not None:
        for key in select.order:
            first = key.expr.parts[0]
            if not isinstance(first, ast.FieldPart) or rules.ruled(first.name):
                raise NotPlain("ORDER BY with LIMIT of a field that is not for everyone")


def groups_nothing(select: ast.Select, scope: Scope) -> bool:
    """Whether GROUP ALL of no rows is one group all the same: always to the database's owner, seldom to a user."""
    if not isinstance(scope.source, Permitted):
        return True
    if not is_counting(select) or select.split:
        return False
    match select.targets[0]:
        case ast.TableTarget(name):
            return not scope.source.hides(name)
        case ast.Array() | ast.Subquery():
            return False
    raise NotPlain("count() of no records, as a user")


__all__ = ["Permitted", "TableRules", "groups_nothing"]
