"""Trees to text: canonical SurrealQL, which SurrealDB accepts and `parser.py` reads back to the equal tree.

Round brackets appear exactly where binding asks for them; `IF` and sub-selects always get a pair. Keywords are in upper
case, one space stands between words, names are quoted only where they must be.
"""

from __future__ import annotations

import re
from typing import Final

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.ast import Expr, Idiom, Literal, Node, Part, Select
from sp00ky.proto.surrealql.geometry import geometry_of
from sp00ky.proto.surrealql.operators import CALL, PREFIX, RANGE, UNCHAINED, binding_of, chain_of
from sp00ky.proto.surrealql.spelling import (
    print_call_name,
    print_constant,
    print_entry_name,
    print_key,
    print_name,
    print_param,
)
from sp00ky.proto.values.kinds import RecordId

HEADS: Final = (ast.Param, ast.Call, ast.Subquery, ast.IfElse, ast.Array, ast.Document, ast.Let, ast.For, ast.Leave)
RECORD_START: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`):(?!:)")
ASSIGNMENT: Final = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`) = ")


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
            | ast.FlattenPart()
            | ast.RecursePart()
            | ast.RepeatPart()
            | ast.GraphPart()
            | ast.GraphQuery()
        ):
            return print_part(node)
        case _:
            return print_expr(node)


# --- expressions -----------------------------------------------------------------------------------------------------


def print_expr(expr: Expr, above: int = 0) -> str:
    """`above`: the binding that the text must beat to stand without brackets."""
    match expr:
        case Literal(value, spelling):
            return spelling or print_constant(value)
        case ast.Param(name):
            return print_param(name)
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
            return f"{print_call_name(name)}({_list(args)})"
        case ast.Apply(callee, args):
            head = print_expr(callee)
            return _bracketed(head, not isinstance(callee, ast.Param | ast.Apply)) + f"({_list(args)})"
        case ast.Closure(params, body):
            return _bracketed(f"|{', '.join(map(print_param, params))}| {_closure_body(body)}", above > 0)
        case ast.TypedClosure():
            return _bracketed(_typed_closure(expr), above > 0)
        case ast.IfElse():
            return _if_else(expr)
        case ast.Block(statements):
            return _block(statements)
        case ast.Let() | ast.For() | ast.Leave():
            return f"({_statement(expr)})"
        case ast.Document():
            return "@"
        case ast.Subquery(select):
            return f"({print_select(select)})"
        case Idiom():
            return _idiom(expr)


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
    entries = [f"{print_entry_name(name)}: {print_expr(item)}" for name, item in pairs]
    if geometry_of(pairs) is not None:  # braces around a value keep it an object
        name, item = pairs[0]
        entries[0] = f"{print_entry_name(name)}: {{ {print_expr(item)} }}"
    return "{ " + ", ".join(entries) + " }"


def _key(key: Expr) -> str:
    if not isinstance(key, ast.RangeExpr):
        return _bound(key)
    begin = "" if key.begin is None else _bound(key.begin) + ("" if key.begin_inclusive else ">")
    end = "" if key.end is None else ("=" if key.end_inclusive else "") + _bound(key.end)
    return f"{begin}..{end}"


def _bound(key: Expr) -> str:
    if isinstance(key, Literal):
        return print_key(key.value)
    return print_expr(key)


def _range(expr: ast.RangeExpr) -> str:
    """A record id takes a range that touches it for its key, so it stands in brackets."""
    begin = end = ""
    if expr.begin is not None:
        text = print_expr(expr.begin, RANGE)
        begin = _bracketed(text, _is_record(expr.begin)) + ("" if expr.begin_inclusive else ">")
    if expr.end is not None:
        text = print_expr(expr.end, RANGE)
        end = ("=" if expr.end_inclusive else "") + _bracketed(text, text.startswith("@"))
    return f"{begin}..{end}"


def _is_record(expr: Expr) -> bool:
    return isinstance(expr, ast.RecordIdExpr) or (isinstance(expr, Literal) and isinstance(expr.value, RecordId))


def _operand(operand: Expr) -> str:
    """A number after a sign would be read as a signed number, two signs as a comment."""
    text = print_expr(operand, PREFIX)
    return f"({text})" if text[0] in "+-0123456789" else text


def _binary(expr: ast.Binary, above: int) -> str:
    binding = binding_of(expr.op)
    left_above = binding if binding in UNCHAINED else binding - 1
    left = print_expr(expr.left, CALL if _would_chain(expr, expr.left) else left_above)
    right = print_expr(expr.right, CALL if _would_chain(expr, expr.right) else binding)
    return _bracketed(f"{left} {expr.op} {right}", binding <= above)


def _would_chain(expr: ast.Binary, side: Expr) -> bool:
    level = chain_of(expr.op)
    return level in UNCHAINED and isinstance(side, ast.Binary) and chain_of(side.op) == level


def _if_else(expr: ast.IfElse) -> str:
    branches = [f"IF {print_expr(cond)} THEN {print_expr(body)}" for cond, body in expr.branches]
    otherwise = f" ELSE {print_expr(expr.otherwise)}" if expr.otherwise is not None else ""
    return f"({' ELSE '.join(branches)}{otherwise} END)"


def _typed_closure(expr: ast.TypedClosure) -> str:
    heads = ", ".join(
        print_param(name) if kind == "any" else f"{print_param(name)}: {f'<{kind}>' if ' | ' in kind else kind}"
        for name, kind in zip(expr.params, expr.kinds, strict=True)
    )
    if not expr.returns:
        return f"|{heads}| {_closure_body(expr.body)}"
    body = expr.body.statements if isinstance(expr.body, ast.Block) else (expr.body,)
    return f"|{heads}| -> {expr.returns} {_block(body)}"


def _closure_body(body: Expr) -> str:
    """An arrow would be read as the kind that is returned."""
    text = print_expr(body)
    return _bracketed(text, text.startswith("->"))


def _block(statements: tuple[Expr, ...]) -> str:
    """Nothing between braces would be an object."""
    return "{ " + "; ".join(map(_statement, statements)) + " }" if statements else "{;}"


def _statement(expr: Expr) -> str:
    match expr:
        case ast.Let(name, value, kind):
            return f"LET {print_param(name)}{f': {kind}' if kind else ''} = {print_expr(value)}"
        case ast.For(name, over, body):
            return f"FOR {print_param(name)} IN {print_expr(over)} {_block(body.statements)}"
        case ast.Leave(keyword, value, fetch):
            tail = f" FETCH {_paths(fetch)}" if fetch else ""
            return keyword + ("" if value is None else f" {print_expr(value)}") + tail
        case ast.IfElse():
            return _if_else(expr)[1:-1]
        case _:
            text = print_expr(expr)
            taken_else = RECORD_START.match(text) is not None or ASSIGNMENT.match(text) is not None
            return _bracketed(text, taken_else)


# --- paths -----------------------------------------------------------------------------------------------------------


def _idiom(idiom: Idiom) -> str:
    if idiom.head is None:
        first, *rest = idiom.parts
        start = print_name(first.name) if isinstance(first, ast.FieldPart) else print_part(first)
        return start + print_parts(tuple(rest))
    head = print_expr(idiom.head)
    if not idiom.parts:
        return head
    bare = isinstance(idiom.head, HEADS)
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
        case ast.FlattenPart():
            return "…"
        case ast.RecursePart():
            return _recursion(part)
        case ast.RepeatPart():
            return ".@"
        case ast.GraphPart():
            return _graph(ast.GraphQuery(part))
        case ast.GraphQuery():
            return _graph(part)


def _recursion(part: ast.RecursePart) -> str:
    bounds = ["" if bound is None else str(bound) for bound in (part.low, part.high)]
    text = bounds[0] if part.low is not None and part.low == part.high else "..".join(bounds)
    if part.instruction:
        target = "" if part.target is None else f"={print_expr(part.target)}"
        text += f"+{part.instruction}{target}" + "+inclusive" * part.inclusive
    return f".{{{text}}}" + (f"({print_parts(part.path)})" if part.path else "")


def _destructured(name: str, path: Idiom | None) -> str:
    if path == Idiom(None, (ast.FieldPart(name), ast.AllPart())):
        return f"{print_name(name)}.*"
    return print_name(name) if path is None else f"{print_name(name)}: {_idiom(path)}"


def _graph(query: ast.GraphQuery) -> str:
    part = query.step
    subjects = ", ".join(_subject(query, index) for index in range(len(part.tables))) or "?"
    clauses = [f"SELECT {'VALUE ' * query.value}{_fields(part.fields)} FROM"] if part.fields else []
    clauses.append(subjects)
    if part.cond is not None:
        clauses.append(f"WHERE {print_expr(part.cond)}")
    clauses.extend(_split_group_order(query.split, query.group, part.order, query.order_rand))
    clauses.extend(_limit_and_start(part.limit, part.start))
    if part.alias is not None or query.alias is not None:
        clauses.append("AS " + (print_name(part.alias or "") if query.alias is None else _idiom(query.alias)))
    open_ended = any(key is not None and key.end is None for key in query.keys)
    bare = len(clauses) == 1 and len(part.tables) <= 1 and not query.referrers and not open_ended
    return part.direction + (subjects if bare else f"({' '.join(clauses)})")


def _subject(query: ast.GraphQuery, index: int) -> str:
    text = print_name(query.step.tables[index])
    key = query.keys[index] if query.keys else None
    referrer = query.referrers[index] if query.referrers else None
    return text + (f":{_key(key)}" if key is not None else "") + (f" FIELD {print_name(referrer)}" if referrer else "")


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
    clauses.extend(_split_group_order(select.split, select.group, select.order, select.order_rand))
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


def _split_group_order(
    split: tuple[Idiom, ...], group: tuple[Idiom, ...] | None, order: tuple[ast.OrderKey, ...], order_rand: bool
) -> list[str]:
    clauses = ["SPLIT ON " + _paths(split)] if split else []
    if group is not None:
        clauses.append("GROUP BY " + _paths(group) if group else "GROUP ALL")
    if order_rand:
        clauses.append("ORDER BY RAND()")
    elif order:
        clauses.append("ORDER BY " + ", ".join(_order_key(key) for key in order))
    return clauses


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


__all__ = ["print_expr", "print_node", "print_part", "print_parts", "print_select"]
