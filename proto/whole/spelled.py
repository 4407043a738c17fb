"""SurrealDB's own text of an expression, by which it names a column.

It differs from our canonical text (`surrealql/printer.py`) in its words for IN, in the names that it quotes, in
brackets, and in what it writes of a path. Only forms whose text is confirmed are written; the others are NotPlain.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NoReturn

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.operators import CALL, PREFIX, RANGE, UNCHAINED, binding_of, chain_of
from sp00ky.proto.surrealql.spelling import PLAIN
from sp00ky.proto.values.kinds import UUID, Bound, Datetime, Duration, Geometry, NoneKind, Range, RecordId
from sp00ky.proto.values.text import inner_text
from sp00ky.proto.whole.scope import NotPlain

_WORDS: Final = {"IN": "INSIDE", "NOT IN": "NOTINSIDE"}
_QUOTED_CALLS: Final = re.compile(r"rand(::.*)?")
_CONSTANTS: Final = (bool, int, float, str, Decimal, NoneKind, type(None), Datetime, Duration, UUID)
_NUMBERS: Final = frozenset({"NaN", "Infinity"})
_STATEMENTS: Final = frozenset(  # names that are quoted where an expression may begin
    {
        *("after", "all", "alter", "before", "begin", "break", "by", "cancel", "commit", "continue", "create"),
        *("define", "delete", "false", "for", "function", "if", "info", "insert", "kill", "let", "live", "none"),
        *("null", "option", "rand", "rebuild", "relate", "remove", "return", "select", "sequence", "show", "sleep"),
        *("table", "throw", "true", "update", "upsert", "use", "value", "where"),
    }
)


def text(expr: ast.Expr, above: int = 0) -> str:
    """`above`: how strongly the operator around the expression binds."""
    match expr:
        case ast.Literal(_, spelling) if spelling:
            return spelling
        case ast.Literal():
            return _constant(expr)
        case ast.Param(name):
            return f"${name_after(name)}"
        case ast.Array(items):
            return f"[{', '.join(map(_item, items))}]"
        case ast.SetLiteral(items) if len(items) > 1:
            return "{" + ", ".join(map(_item, items)) + "}"
        case ast.Object(pairs):
            return "{ " + ", ".join(f"{_key(name)}: {_item(item)}" for name, item in pairs) + " }"
        case ast.RecordIdExpr(table, ast.Array() | ast.Object() as key):
            return f"{_name(table)}:{text(key)}"
        case ast.Call(name, args) if not _QUOTED_CALLS.fullmatch(name):
            return f"{name}({', '.join(map(_item, args))})"
        case ast.Binary():
            return _binary(expr, above)
        case ast.RangeExpr():
            return _range(expr)
        case ast.Unary(op, operand) if not _is_signed(op, operand):
            return _bracketed(op + _operand(operand, PREFIX), above >= PREFIX)
        case ast.Unary(op, operand):
            return _bracketed(f"{op}({text(operand)})", above >= PREFIX)
        case ast.Cast(kind, operand):
            return _bracketed(f"<{kind}> " + _operand(operand, PREFIX - 1), above >= PREFIX)
        case ast.IfElse():
            return _bracketed(_if_else(expr), above > 0)
        case ast.Block((statement,)) if not isinstance(statement, ast.Let | ast.For | ast.Leave | ast.Block):
            return "{ " + text(statement) + " }"
        case ast.Block((ast.Block() as inner,)):
            return "{ " + text(inner) + " }"
        case ast.Subquery(select):
            return _bracketed(_select(select), above > 0)
        case ast.Idiom():
            return path(expr)
    return unknown("a field without an alias")


def _constant(literal: ast.Literal) -> str:
    match literal.value:
        case RecordId(table, key) if table.lower() not in _STATEMENTS and type(key) is not Range:
            return inner_text(literal.value)
        case RecordId(_, Range()) as record:
            return inner_text(record)
        case Range(begin, end):
            return _range(
                ast.RangeExpr(_bound(begin), _bound(end), begin is None or begin.inclusive, bool(end and end.inclusive))
            )
        case bytes() as data:
            return f'b"{data.hex().upper()}"'
        case Geometry("Point", (x, y)):
            return f"({inner_text(x)}, {inner_text(y)})"
        case value if type(value) in _CONSTANTS:
            return inner_text(value)
    return unknown("a field without an alias")


def _bound(bound: Bound | None) -> ast.Expr | None:
    return None if bound is None else ast.Literal(bound.value)


def _item(expr: ast.Expr) -> str:
    return text(expr, 1 if isinstance(expr, ast.IfElse | ast.Subquery) else 0)


def _is_signed(op: str, operand: ast.Expr) -> bool:
    """Whether two signs would meet."""
    if isinstance(operand, ast.Literal):
        return type(operand.value) in (int, float, Decimal) and operand.value < 0
    return isinstance(operand, ast.Unary) and operand.op == op and op in ("-", "+")


def _binary(expr: ast.Binary, above: int) -> str:
    """Brackets around an operand that binds weaker; `a - (b - c)` loses its own."""
    binding = binding_of(expr.op)
    left_above = binding if binding in UNCHAINED else binding - 1
    left = _operand(expr.left, CALL if _would_chain(expr, expr.left) else left_above)
    right = _operand(expr.right, CALL if _would_chain(expr, expr.right) else binding - 1)
    return _bracketed(f"{left} {_WORDS.get(expr.op, expr.op)} {right}", binding <= above)


def _operand(expr: ast.Expr, above: int) -> str:
    match expr:
        case ast.Literal(RecordId()) | ast.RecordIdExpr():
            return f"({text(expr)})"
        case ast.IfElse() | ast.Subquery():
            return text(expr, CALL)
        case ast.Unary() | ast.Cast():
            return text(expr)
    return text(expr, above)


def _would_chain(expr: ast.Binary, side: ast.Expr) -> bool:
    level = chain_of(expr.op)
    return level in UNCHAINED and isinstance(side, ast.Binary) and chain_of(side.op) == level


def _range(expr: ast.RangeExpr) -> str:
    begin = "" if expr.begin is None else _operand(expr.begin, RANGE) + ">" * (not expr.begin_inclusive)
    end = "" if expr.end is None else "=" * expr.end_inclusive + _operand(expr.end, RANGE)
    return f"{begin}..{end}"


def _bracketed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def _if_else(expr: ast.IfElse) -> str:
    bodies = [body for _, body in expr.branches] + ([] if expr.otherwise is None else [expr.otherwise])
    if all(isinstance(body, ast.Block) for body in bodies):
        written = " ELSE ".join(f"IF {_condition(condition)} {text(body)}" for condition, body in expr.branches)
        return written if expr.otherwise is None else f"{written} ELSE {text(expr.otherwise)}"
    if len(expr.branches) > 1 or any(isinstance(body, ast.Block) for body in bodies):
        return unknown("a field without an alias")
    ((condition, body),) = expr.branches
    otherwise = "" if expr.otherwise is None else f" ELSE {_branch(expr.otherwise)}"
    return f"IF {_condition(condition)} THEN {_branch(body)}{otherwise} END"


def _condition(expr: ast.Expr) -> str:
    return text(expr, 1 if isinstance(expr, ast.Subquery) else 0)


def _branch(body: ast.Expr) -> str:
    return unknown("a field without an alias") if isinstance(body, ast.Subquery) else text(body)


# --- paths -----------------------------------------------------------------------------------------------------------


def path(idiom: ast.Idiom) -> str:
    """A path inside an expression is written whole."""
    if idiom.head is not None:
        return head(idiom.head) + "".join(map(_written, idiom.parts))
    first, *rest = idiom.parts
    start = _name(first.name) if isinstance(first, ast.FieldPart) else _written(first)
    return start + "".join(map(_written, rest))


def head(expr: ast.Expr) -> str:
    match expr:
        case ast.Literal(RecordId()) | ast.RecordIdExpr() | ast.Binary() | ast.IfElse() | ast.Subquery():
            return f"({text(expr)})"
        case ast.Literal(value) if type(value) in (int, float, Decimal) and value < 0:
            return f"({text(expr)})"
        case ast.Literal() | ast.Param() | ast.Array() | ast.Object() | ast.Call():
            return text(expr)
    return unknown("a field without an alias")


def _written(part: ast.Part) -> str:
    match part:
        case ast.FieldPart(name):
            return f".{name_after(name)}"
        case ast.AllPart():
            return ".*"
        case ast.LastPart():
            return "[$]"
        case ast.IndexPart(index):
            return f"[{_item(index)}]"
        case ast.WherePart(cond):
            return f"[WHERE {text(cond)}]"
        case ast.OptionalPart():
            return ".?"
        case ast.FlattenPart():
            return "…"
        case ast.DestructurePart(fields) if fields:
            return ".{ " + ", ".join(_destructured(name, idiom) for name, idiom in fields) + " }"
        case ast.MethodPart(name, args) if PLAIN.fullmatch(name):
            return f".{name}({', '.join(map(_item, args))})"
        case ast.GraphPart():
            return step(part)
    return unknown("a field without an alias")


def _destructured(name: str, idiom: ast.Idiom | None) -> str:
    match idiom:
        case None:
            return name_after(name)
        case ast.Idiom(None, (ast.FieldPart(same), (ast.AllPart() | ast.DestructurePart()) as part)) if same == name:
            return name_after(name) + _written(part)
        case ast.Idiom(ast.Literal() | ast.Idiom() as value, ()):
            return f"{name_after(name)}: {text(value)}"
        case ast.Idiom(None, _):
            return f"{name_after(name)}: {path(idiom)}"
    return unknown("a field without an alias")


def step(part: ast.GraphPart) -> str:
    """`->likes`, `->(likes, knows WHERE n > 1 AS found)`. LIMIT and START are written only beside WHERE."""
    if part.fields or part.order:
        return unknown("a SELECT in a graph step")
    tables = ", ".join(map(name_after, part.tables)) or "?"
    if part.cond is None and part.alias is None:
        return part.direction + (f"({tables})" if len(part.tables) > 1 else tables)
    words = [tables] if part.cond is None else [tables, "WHERE", text(part.cond)]
    for word, bound in (("LIMIT", part.limit), ("START", part.start)):
        words += [] if bound is None else [word, _item(bound)]
    words += [] if part.alias is None else ["AS", name_after(part.alias)]
    return f"{part.direction}({' '.join(words)})"


# --- names -----------------------------------------------------------------------------------------------------------


def _name(name: str) -> str:
    """A name at the beginning of a path."""
    return _quoted(name) if name.lower() in _STATEMENTS else name_after(name)


def name_after(name: str) -> str:
    """A name after a sign that tells that it is one."""
    return name if PLAIN.fullmatch(name) and name not in _NUMBERS else _quoted(name)


def _quoted(name: str) -> str:
    if not name.isprintable():
        return unknown("a quoted name in a field without an alias")
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _key(name: str) -> str:
    if PLAIN.fullmatch(name) and name not in _NUMBERS:
        return name
    if not name.isprintable() or "\\" in name:
        return unknown("a quoted name in a field without an alias")
    escaped = name.replace('"', '\\"')
    return f'"{escaped}"'


# --- a sub-select ----------------------------------------------------------------------------------------------------


def _select(select: ast.Select) -> str:
    clauses = (select.version, select.timeout, select.with_index)
    if clauses != (None, None, None) or select.explain or select.parallel or select.tempfiles:
        return unknown("a field without an alias")
    words = ["SELECT VALUE" if select.value else "SELECT", ", ".join(map(_column, select.fields))]
    if select.omit:
        words += ["OMIT", _paths(select.omit)]
    words += ["FROM ONLY" if select.only else "FROM", ", ".join(map(_target, select.targets))]
    if select.where is not None:
        words += ["WHERE", text(select.where)]
    if select.split:
        words += ["SPLIT ON", _paths(select.split)]
    if select.group is not None:
        words += ["GROUP BY", _paths(select.group)] if select.group else ["GROUP ALL"]
    if select.order or select.order_rand:
        words += ["ORDER BY", "RAND()" if select.order_rand else ", ".join(map(_order_key, select.order))]
    for word, bound in (("LIMIT", select.limit), ("START", select.start)):
        if bound is not None:
            words += [word, _item(bound)]
    if select.fetch:
        words += ["FETCH", _paths(select.fetch)]
    return " ".join(words)


def _column(field: ast.Field) -> str:
    if isinstance(field.expr, ast.Star):
        return "*"
    return _item(field.expr) + ("" if field.alias is None else f" AS {path(field.alias)}")


def _target(target: ast.Target) -> str:
    return _name(target.name) if isinstance(target, ast.TableTarget) else _item(target)


def _paths(idioms: tuple[ast.Idiom, ...]) -> str:
    return ", ".join(map(path, idioms))


def _order_key(key: ast.OrderKey) -> str:
    return path(key.expr) + " COLLATE" * key.collate + " NUMERIC" * key.numeric + " DESC" * key.descending


def unknown(what: str) -> NoReturn:
    raise NotPlain(what)
