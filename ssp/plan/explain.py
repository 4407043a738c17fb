"""Every stage of a query as text: tokens → tree → plan. (A circuit prints itself: what it looks up, what it holds.)"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from sp00ky.proto.surrealql.ast import Field, Literal, Star
from sp00ky.proto.surrealql.lexer import tokenize
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.text import to_surql
from sp00ky.ssp.plan.nodes import Filter, Group, Incremental, Node, Order, Plan, Project, Reevaluated, Scan, Window
from sp00ky.ssp.plan.rewrites import legible, plain_text


def tokens_text(text: str) -> str:
    """The words of the query, one space between them."""
    return "  ".join(token.text for token in tokenize(text) if token.text)


def tree_text(node: object, indent: int = 0, label: str = "") -> str:
    """The tree, one node a line, its fields below it; what is empty is left out."""
    pad = "  " * indent + (f"{label}: " if label else "")
    if isinstance(node, Literal):
        return f"{pad}{to_surql(node.value)}"
    if isinstance(node, Star):
        return f"{pad}*"
    if isinstance(node, tuple):
        if not node:
            return f"{pad}()"
        return "\n".join([f"{pad.rstrip()}", *(tree_text(item, indent + 1) for item in node)])
    if is_dataclass(node) and not isinstance(node, type):
        lines = [f"{pad}{type(node).__name__}"]
        for each in fields(node):
            value = getattr(node, each.name)
            if not _empty(each.name, value):
                lines.append(tree_text(value, indent + 1, each.name))
        return "\n".join(lines)
    return f"{pad}{node}"


def _empty(name: str, value: object) -> bool:
    """GROUP ALL is a group of nothing, which is not no group."""
    return value is None or value is False or value == "" or (value == () and name != "group")


def plan_text(plan: Plan) -> str:
    """Operators from the result down to the table, each indented under what reads it."""
    if not isinstance(plan, Incremental):
        verb = "Reevaluate" if isinstance(plan, Reevaluated) else "Trace"
        reads = "any table" if plan.tables is None else ", ".join(sorted(plan.tables)) or "no table"
        lines = [f"{verb}  {plan.reason}", f"  reads {reads}"]
        if isinstance(plan, Reevaluated) and plan.ids_surql:
            lines.append(f"  ids   {plan.ids_surql}")
        return "\n".join(lines)
    return "\n".join(f"{'  ' * depth}{line}" for depth, line in enumerate(_operators(plan.root, plan)))


def _operators(node: Node, plan: Incremental) -> Iterator[str]:
    match node:
        case Project(input=below, fields=fields_, value=value):
            yield f"Project {'VALUE ' if value else ''}{', '.join(_field(field) for field in fields_)}"
        case Window(input=below, start=start, limit=limit):
            parts = [("start", start), ("limit", limit)]
            yield "Window " + " ".join(f"{name}={print_node(expr)}" for name, expr in parts if expr is not None)
        case Order(input=below, keys=keys):
            yield "Order " + ", ".join(legible(key.expr, plan) + (" DESC" if key.descending else "") for key in keys)
        case Group(input=below, keys=names):
            yield f"Group by {', '.join(map(print_node, names))}" if names else "Group all"
        case Filter(input=below, cond=cond):
            yield f"Filter {legible(cond, plan)}"
        case Scan(table=table):
            yield f"Scan {table}"
            return
    yield from _operators(below, plan)


def _field(field: Field) -> str:
    return plain_text(field)
