"""A table's PERMISSIONS FOR select, as they stand in its definition: who may see a record, and which fields of it.

Rules read a user through parameters: `$auth`, `$access`, `$token`, `$session`. A rule of a record is asked with the
record as its row, one of a field with that field's stored value as `$value` besides. What is not stated of a user is
not guessed: a rule that reads it is not plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.whole.scope import NotPlain

FULL, NOBODY = "FULL", "NONE"

Select: TypeAlias = bool | ast.Expr  # everyone, no one, or whoever the expression holds for
Path: TypeAlias = tuple[str | int | None, ...]  # a name, an index, None for `.*`

# Parameters that a rule sees beside those of the user and the query. They are NONE when a record is read, but for
# `$value` in the rule of a field.
OF_A_RULE = ("value", "before", "after", "event", "input")
_PARTIAL = frozenset({"token", "session"})  # objects of which as much is known as was stated
_NOT_OF_A_USER = frozenset({"id", "in", "out"})


@dataclass(frozen=True, slots=True)
class TableRules:
    """`fields`: the rules of fields that not everyone sees, in the order of their names, as the database applies them.
    `indexed`: the fields that the table's indexes are on, by which a hidden field may be compared as it is stored."""

    select: Select = False
    fields: tuple[tuple[Path, Select], ...] = ()
    indexed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        assert all("*" not in path for path, _ in self.fields), "`.*` is None in a path"

    def ruled(self, name: str) -> list[Path]:
        """The paths under a top-level field that have a rule."""
        return [path for path, _ in self.fields if path[0] == name]


def parse_rules(
    select: str, fields: Iterable[Mapping[str, Value]] = (), *, indexes: Iterable[Iterable[str]] = ()
) -> TableRules:
    """Of `FULL`, `NONE` or the rule's text, of `{name, select}` for each field, and of the columns of each index;
    NotPlain if one cannot be kept."""
    ruled = tuple((_path(field["name"]), _select(field["select"])) for field in fields)
    columns = {column for index in indexes for column in index} if ruled else ()
    return TableRules(_select(select), ruled, frozenset(_top(column) for column in columns))


def _select(text: str) -> Select:
    if text in (FULL, NOBODY):
        return text == FULL
    try:
        rule: ast.Expr = _grouping_nothing(parse_expr(text))
        return rule
    except ParseError as error:
        raise NotPlain(f"the rule {text}") from error


def _grouping_nothing(node: Any) -> Any:
    """The rule with `IF (…) { (… GROUP ALL) } ELSE { [] }` for every GROUP ALL: to a user it is no group of no rows,
    and a rule, though it sees all, is asked as one. Only `count()` of a table counts nothing as 0."""
    if isinstance(node, tuple):
        return tuple(map(_grouping_nothing, node))
    if not is_dataclass(node) or isinstance(node, ast.Literal | type):
        return node
    if isinstance(node, ast.GraphQuery) and node.group == ():
        raise NotPlain("GROUP ALL in a graph step of a rule")
    changed = type(node)(**{each.name: _grouping_nothing(getattr(node, each.name)) for each in fields(node)})
    if not isinstance(changed, ast.Subquery) or changed.select.group != () or _counts_records(changed.select):
        return changed
    if changed.select.only:
        raise NotPlain("ONLY of GROUP ALL in a rule")
    some = ast.Select((ast.Field(ast.Literal(True)),), changed.select.targets, value=True, where=changed.select.where)
    return ast.IfElse(((ast.Subquery(replace(some, limit=ast.Literal(1))), changed),), ast.Array(()))


def _counts_records(select: ast.Select) -> bool:
    records = ast.TableTarget | ast.Param | ast.RecordIdExpr | ast.Literal
    counted = [field.expr for field in select.fields] == [ast.Call("count", ())]
    return counted and select.where is None and len(select.targets) == 1 and isinstance(select.targets[0], records)


def _top(column: str) -> str:
    """The field that a column of an index begins with."""
    try:
        path = parse_expr(column)
    except ParseError as error:
        raise NotPlain(f"an index on {column} and fields that are not for everyone") from error
    match path:
        case ast.Idiom(None, (ast.FieldPart(name), *_)):
            return name
    raise NotPlain(f"an index on {column} and fields that are not for everyone")


def _path(name: str) -> Path:
    try:
        idiom = parse_expr(name)
    except ParseError as error:
        raise NotPlain(f"a rule of the field {name}") from error
    if not isinstance(idiom, ast.Idiom) or idiom.head is not None:
        raise NotPlain(f"a rule of the field {name}")
    path = tuple(_step(part, name) for part in idiom.parts)
    if path[0] in _NOT_OF_A_USER:
        raise NotPlain(f"a rule of the field {name}")  # graph steps pass over it, the record's identity does not
    return path


def _step(part: ast.Part, name: str) -> str | int | None:
    match part:
        case ast.FieldPart(field):
            return field
        case ast.AllPart():
            return None
        case ast.IndexPart(ast.Literal(int(place))):
            return place
    raise NotPlain(f"a rule of the field {name}")


# --- what a rule, or a query, knows of its user ----------------------------------------------------------------------


def auth_params(auth: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters of a user stated as `{id: record, access?: string, claims?: object}`."""
    user, access, claims = auth["id"], auth.get("access"), auth.get("claims")
    assert isinstance(user, RecordId), "a user is a record"
    params: dict[str, Value] = {"auth": user, "session": {"rd": user}}
    if access:
        params["access"] = access
        params["session"]["ac"] = access
    if claims:
        params["token"] = dict(claims)
    return params


def check_params(tree: object, params: Mapping[str, Value]) -> None:
    """NotPlain if an expression or a query reads of `$access`, `$token` or `$session` what was not stated."""
    for name, entry in _params(tree):
        if (name == "access" and name not in params) or (name in _PARTIAL and entry not in params.get(name, ())):
            raise NotPlain(f"${name}{f'.{entry}' if entry else ''}, which was not stated of the user")


def check_rule(rule: Select, params: Mapping[str, Value]) -> None:
    """`check_params`, and NotPlain if the rule reads a parameter that is not known here: the database may define it
    (DEFINE PARAM), and a rule sees those of the place in the query that reads the record, `$parent` and what a closure
    or LET binds there."""
    check_params(rule, params)
    known = {*params, *OF_A_RULE, "this", "parent", *bound_names(rule)}
    unknown = {name for name, _ in _params(rule)} - known
    if ast.Param("parent") in nodes(rule, in_subquery=False):
        unknown.add("parent")
    if unknown:
        raise NotPlain(f"parameter ${min(unknown)} in a rule")


def _params(tree: object) -> Iterator[tuple[str, str | None]]:
    """The parameters in a tree, each with the field that is read of it, if a field is."""
    match tree:
        case ast.Idiom(ast.Param(name), (ast.FieldPart(entry), *rest)):
            yield name, entry
            yield from _params(tuple(rest))
        case ast.Param(name):
            yield name, None
        case _:
            for part in _parts(tree):
                yield from _params(part)


def bound_names(tree: object) -> set[str]:
    return {name for node in nodes(tree) if isinstance(node, ast.Closure) for name in node.params}


def nodes(tree: object, *, in_subquery: bool = True) -> Iterator[object]:
    """Every node of a query or an expression; those inside a sub-select only if asked for."""
    yield tree
    if in_subquery or not isinstance(tree, ast.Subquery):
        for part in _parts(tree):
            yield from nodes(part, in_subquery=in_subquery)


def _parts(tree: object) -> Iterator[object]:
    if isinstance(tree, tuple):
        yield from tree
    elif is_dataclass(tree) and not isinstance(tree, ast.Literal):
        yield from (getattr(tree, attribute.name) for attribute in fields(tree))


# --- rules that can fail ---------------------------------------------------------------------------------------------

_NEVER_FAIL = frozenset(
    {
        *("=", "!=", "==", "<", "<=", ">", ">=", "AND", "OR", "??", "?:"),
        *("IN", "NOT IN", "CONTAINS", "CONTAINSNOT", "CONTAINSALL", "CONTAINSANY", "CONTAINSNONE"),
        *("ALLINSIDE", "ANYINSIDE", "NONEINSIDE"),
    }
)
_PLAIN_NODES = (
    *(ast.Literal, ast.Param, ast.Idiom, ast.FieldPart, ast.AllPart, ast.GraphPart, ast.Array, ast.IfElse),
    *(ast.Subquery, ast.Select, ast.Field, ast.TableTarget, ast.RecordIdExpr),
)


def may_fail(rule: Select) -> bool:
    """Whether the rule may be an error for some record; then it is the error of every query that scans the table."""
    return any(_fails(node) for node in nodes(rule))


def reads_own_fields(rule: Select) -> bool:
    """Whether it is sure to read nothing but the top-level fields of its record and the values of parameters."""
    return not any(_reads_on(node) for node in nodes(rule))


def _reads_on(node: object) -> bool:
    match node:
        case ast.Idiom(None, (ast.FieldPart(),)):
            return False
        case ast.Idiom(ast.Param("token" | "access"), _):
            return False
        case ast.Idiom() | ast.Subquery() | ast.Call():
            return True
        case _:
            return False


def _fails(node: object) -> bool:
    match node:
        case ast.Binary(op, _, _):
            return op not in _NEVER_FAIL
        case ast.Unary(op, _):
            return op not in ("!", "!!")
        case ast.Call(name, _):
            return name != "count"
        case ast.Select():
            return node.only or node.limit is not None or node.start is not None
        case _:
            return is_dataclass(node) and not isinstance(node, _PLAIN_NODES)
