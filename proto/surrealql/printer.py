"""Trees to text: canonical SurrealQL, which SurrealDB accepts and `parser.py` reads back to the equal tree.

Round brackets appear exactly where binding asks for them; `IF` and sub-selects always get a pair. Keywords are in upper
case, one space stands between words, names are quoted only where they must be.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields, is_dataclass
from typing import Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.ast import Expr, Idiom, Literal, Node, Part, Select
from sp00ky.proto.surrealql.operators import BINDING, CALL, CHAIN, PREFIX, RANGE, UNCHAINED
from sp00ky.proto.values.kinds import RecordId, Regex, Table, Value
from sp00ky.proto.values.text import escape, to_surql

# Words that do not read back as a name in every place where one may stand
_SPECIAL = """
NONE NULL TRUE FALSE INFINITY NAN SELECT IF FUNCTION CREATE UPDATE UPSERT DELETE RELATE INSERT DEFINE REMOVE REBUILD
ALTER INFO SLEEP EXPLAIN FOR LET RETURN THROW CONTINUE BREAK VALUE ONLY FROM WHERE AS OMIT WITH SPLIT ON GROUP ALL BY
ORDER RAND COLLATE NUMERIC ASC DESC ASCENDING DESCENDING LIMIT START AT FETCH VERSION TIMEOUT TEMPFILES PARALLEL FULL
THEN ELSE END AND OR IS NOT IN INSIDE NOTINSIDE OUTSIDE INTERSECTS CONTAINS CONTAINSNOT CONTAINSALL CONTAINSANY
CONTAINSNONE ALLINSIDE ANYINSIDE NONEINSIDE FIELD NO NOINDEX INDEX TYPE
"""
SPECIAL: Final = frozenset(_SPECIAL.split())
RECORD_START: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`):(?!:)")
PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def print_node(node: Node) -> str:
    """Canonical text of any node. A `Hole` prints as `‹index›`, which no text contains."""
    match node:
        case Select():
            return print_select(node)
        case ast.Field(ast.Star()) | ast.Star():
            return "*"
        case ast.Field(expr, alias):
            assert not isinstance(expr, ast.Star)
            return print_expr(expr) + (f" AS {print_expr(alias)}" if alias else "")
        case ast.TableTarget(name):
            return print_name(name)
        case ast.OrderKey():
            return _order_key(node)
        case (
            ast.FieldPart()
            | ast.IndexPart()
            | ast.AllPart()
            | ast.LastPart()
            | ast.WherePart()
            | ast.MethodPart()
            | ast.DestructurePart()
            | ast.OptionalPart()
            | ast.RecursePart()
            | ast.GraphPart()
        ):
            return print_part(node)
        case _:
            return print_expr(node)


def print_name(name: str) -> str:
    if PLAIN.fullmatch(name) and name.upper() not in SPECIAL:
        return name
    return escape(name, "`")


# --- expressions -----------------------------------------------------------------------------------------------------


def print_expr(expr: Expr, above: int = 0) -> str:
    """`above`: the binding that the text must beat to stand without brackets."""
    match expr:
        case Literal(value):
            return _literal(value)
        case ast.Param(name):
            return "$" + (name if PLAIN.fullmatch(name) else escape(name, "`"))
        case ast.Hole(index):
            return f"‹{index}›"
        case ast.Array(items):
            return f"[{_list(items)}]"
        case ast.SetLiteral(items):
            return _set(items)
        case ast.Object(pairs):
            return _object(pairs)
        case ast.RecordIdExpr(table, key):
            return f"{print_name(table)}:{_key(key)}"
        case ast.RangeExpr():
            return _bracketed(_range(expr), above >= RANGE)
        case ast.Unary(op, operand):
            return _bracketed(op + _operand(operand), above >= PREFIX)
        case ast.Cast(kind, operand):
            return _bracketed(f"<{kind}> " + print_expr(operand, PREFIX), above >= PREFIX)
        case ast.Binary():
            return _binary(expr, above)
        case ast.Call(name, args):
            return f"{_path(name)}({_list(args)})"
        case ast.Closure(params, body):
            heads = ", ".join(print_expr(ast.Param(param)) for param in params)
            return _bracketed(f"|{heads}| {print_expr(body)}", above > 0)
        case ast.IfElse():
            return _if_else(expr)
        case ast.Subquery(select):
            return f"({print_select(select)})"
        case Idiom():
            return _idiom(expr)


def _literal(value: Value) -> str:
    match value:
        case Table(name):
            return print_name(name)
        case Regex(pattern):
            return "/" + pattern.replace("/", "\\/") + "/"
        case float() if value == -math.inf:
            return "math::neg_inf"
        case RecordId(table, key):
            return f"{print_name(table)}:{_constant_key(key)}"
        case _:
            return to_surql(value)


def _bracketed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def _list(items: tuple[Expr, ...]) -> str:
    return ", ".join(print_expr(item) for item in items)


def _set(items: tuple[Expr, ...]) -> str:
    """A record id at the front would be read as the first entry of an object."""
    if not items:
        return "{,}"
    text = print_expr(items[0])
    first = _bracketed(text, RECORD_START.match(text) is not None)
    return f"{{{first}," + (f" {_list(items[1:])}" if len(items) > 1 else "") + "}"


def _object(pairs: tuple[tuple[str, Expr], ...]) -> str:
    if not pairs:
        return "{  }"
    entries = [f"{_entry_name(name)}: {print_expr(item)}" for name, item in pairs]
    return "{ " + ", ".join(entries) + " }"


def _entry_name(name: str) -> str:
    return name if PLAIN.fullmatch(name) and name not in ("Infinity", "NaN") else to_surql(name)


def _key(key: Expr) -> str:
    if not isinstance(key, ast.RangeExpr):
        return _bound(key)
    begin = "" if key.begin is None else _bound(key.begin) + ("" if key.begin_inclusive else ">")
    end = "" if key.end is None else ("=" if key.end_inclusive else "") + _bound(key.end)
    return f"{begin}..{end}"


def _bound(key: Expr) -> str:
    if isinstance(key, Literal):
        return _constant_key(key.value)
    return print_expr(key)


def _constant_key(key: Value) -> str:
    return to_surql(RecordId("t", key)).removeprefix("t:")


def _range(expr: ast.RangeExpr) -> str:
    """A record id takes a range that touches it for its key, so it stands in brackets."""
    begin = end = ""
    if expr.begin is not None:
        text = print_expr(expr.begin, RANGE)
        begin = _bracketed(text, _is_record(expr.begin)) + ("" if expr.begin_inclusive else ">")
    if expr.end is not None:
        end = ("=" if expr.end_inclusive else "") + print_expr(expr.end, RANGE)
    return f"{begin}..{end}"


def _is_record(expr: Expr) -> bool:
    return isinstance(expr, ast.RecordIdExpr) or (isinstance(expr, Literal) and isinstance(expr.value, RecordId))


def _operand(operand: Expr) -> str:
    """A number after a sign would be read as a signed number, two signs as a comment."""
    text = print_expr(operand, PREFIX)
    return f"({text})" if text[0] in "+-0123456789" else text


def _binary(expr: ast.Binary, above: int) -> str:
    binding = BINDING[expr.op]
    left_above = binding if binding in UNCHAINED else binding - 1
    left = print_expr(expr.left, CALL if _would_chain(expr, expr.left) else left_above)
    right = print_expr(expr.right, CALL if _would_chain(expr, expr.right) else binding)
    return _bracketed(f"{left} {expr.op} {right}", binding <= above)


def _would_chain(expr: ast.Binary, side: Expr) -> bool:
    level = CHAIN[expr.op]
    return level in UNCHAINED and isinstance(side, ast.Binary) and CHAIN[side.op] == level


def _path(name: str) -> str:
    first, *rest = name.split("::")
    parts = [part if PLAIN.fullmatch(part) else print_name(part) for part in rest]
    return "::".join([first if PLAIN.fullmatch(first) else print_name(first), *parts])


def _if_else(expr: ast.IfElse) -> str:
    branches = [f"IF {print_expr(cond)} THEN {print_expr(body)}" for cond, body in expr.branches]
    otherwise = f" ELSE {print_expr(expr.otherwise)}" if expr.otherwise is not None else ""
    return f"({' ELSE '.join(branches)}{otherwise} END)"


# --- paths -----------------------------------------------------------------------------------------------------------


def _idiom(idiom: Idiom) -> str:
    if idiom.head is None:
        first, *rest = idiom.parts
        start = print_name(first.name) if isinstance(first, ast.FieldPart) else print_part(first)
        return start + print_parts(tuple(rest))
    head = print_expr(idiom.head)
    bare = isinstance(idiom.head, ast.Param | ast.Call | ast.Subquery | ast.IfElse | ast.Array)
    quoted = isinstance(idiom.head, Literal) and isinstance(idiom.head.value, str)
    return _bracketed(head, not (bare or quoted)) + print_parts(idiom.parts)


def print_parts(parts: tuple[Part, ...]) -> str:
    return "".join(print_part(part) for part in parts)


def print_part(part: Part) -> str:
    match part:
        case ast.FieldPart(name):
            return f".{print_name(name)}"
        case ast.IndexPart(index):
            return f"[{print_expr(index)}]"
        case ast.AllPart():
            return ".*"
        case ast.LastPart():
            return "[$]"
        case ast.WherePart(cond):
            return f"[WHERE {print_expr(cond)}]"
        case ast.MethodPart(name, args):
            return f".{print_name(name)}({_list(args)})"
        case ast.DestructurePart(items):
            return ".{ " + ", ".join(_destructured(name, path) for name, path in items) + " }"
        case ast.OptionalPart():
            return ".?"
        case ast.RecursePart(text):
            return f".{text}"
        case ast.GraphPart():
            return _graph(part)


def _destructured(name: str, path: Idiom | None) -> str:
    return print_name(name) if path is None else f"{print_name(name)}: {_idiom(path)}"


def _graph(part: ast.GraphPart) -> str:
    tables = ", ".join(print_name(table) for table in part.tables) or "?"
    clauses = [f"SELECT {_fields(part.fields)} FROM"] if part.fields else []
    clauses.append(tables)
    if part.cond is not None:
        clauses.append(f"WHERE {print_expr(part.cond)}")
    if part.order:
        clauses.append("ORDER BY " + ", ".join(_order_key(key) for key in part.order))
    clauses.extend(_limit_and_start(part.limit, part.start))
    if part.alias is not None:
        clauses.append(f"AS {print_name(part.alias)}")
    bare = len(clauses) == 1 and len(part.tables) <= 1
    return part.direction + (tables if bare else f"({' '.join(clauses)})")


# --- statements ------------------------------------------------------------------------------------------------------


def print_select(select: Select) -> str:
    clauses = ["SELECT VALUE" if select.value else "SELECT", _fields(select.fields)]
    if select.omit:
        clauses.append("OMIT " + _paths(select.omit))
    clauses.append("FROM ONLY" if select.only else "FROM")
    clauses.append(", ".join(print_node(target) for target in select.targets))
    if select.with_index is not None:
        names = ", ".join(print_name(name) for name in select.with_index)
        clauses.append(f"WITH INDEX {names}" if names else "WITH NOINDEX")
    if select.where is not None:
        clauses.append(f"WHERE {print_expr(select.where)}")
    if select.split:
        clauses.append("SPLIT ON " + _paths(select.split))
    if select.group is not None:
        clauses.append("GROUP BY " + _paths(select.group) if select.group else "GROUP ALL")
    if select.order_rand:
        clauses.append("ORDER BY RAND()")
    elif select.order:
        clauses.append("ORDER BY " + ", ".join(_order_key(key) for key in select.order))
    clauses.extend(_limit_and_start(select.limit, select.start))
    if select.fetch:
        clauses.append("FETCH " + _paths(select.fetch))
    if select.version is not None:
        clauses.append(f"VERSION {print_expr(select.version)}")
    if select.timeout is not None:
        clauses.append(f"TIMEOUT {print_expr(select.timeout)}")
    if select.tempfiles:
        clauses.append("TEMPFILES")
    if select.explain:
        clauses.append(select.explain)
    return " ".join(clauses)


def _fields(columns: tuple[ast.Field, ...]) -> str:
    return ", ".join(print_node(column) for column in columns)


def _paths(paths: tuple[Idiom, ...]) -> str:
    return ", ".join(_idiom(path) for path in paths)


def _order_key(key: ast.OrderKey) -> str:
    words = [_idiom(key.expr), "COLLATE" * key.collate, "NUMERIC" * key.numeric, "DESC" * key.descending]
    return " ".join(word for word in words if word)


def _limit_and_start(limit: Expr | None, start: Expr | None) -> list[str]:
    clauses = [f"LIMIT {print_expr(limit)}"] if limit is not None else []
    return clauses + ([f"START {print_expr(start)}"] if start is not None else [])


# --- trees for the eye -----------------------------------------------------------------------------------------------


def print_tree(node: Node) -> str:
    """An indented dump, one node a line, for `explain`; what is not set is left out."""
    lines: list[str] = []
    _dump(node, "", 0, lines)
    return "\n".join(lines)


def _dump(node: object, label: str, depth: int, lines: list[str]) -> None:
    indent = "  " * depth + (f"{label}: " if label else "")
    if isinstance(node, Literal):
        lines.append(f"{indent}Literal {_literal(node.value)}")
    elif isinstance(node, tuple):
        if all(isinstance(item, str) for item in node):
            lines.append(f"{indent}{', '.join(map(str, node)) or '(none)'}")
            return
        lines.append(indent.rstrip())
        for item in node:
            _dump(item, "", depth + 1, lines)
    elif is_dataclass(node):
        plain: list[str] = []
        nested: list[tuple[str, object]] = []
        for attribute in fields(node):
            value = getattr(node, attribute.name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                plain.extend([str(value)] if value != "" else [])
            elif value is True:
                plain.append(attribute.name)
            elif value is not None and value is not False and (value != () or attribute.name == "group"):
                nested.append((attribute.name, value))
        lines.append(" ".join([f"{indent}{type(node).__name__}", *plain]))
        for name, value in nested:
            _dump(value, name, depth + 1, lines)
    else:
        lines.append(f"{indent}{node}")


__all__ = ["print_expr", "print_name", "print_node", "print_part", "print_parts", "print_tree"]
