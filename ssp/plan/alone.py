"""Whether an expression can be decided on one row alone, without another record, the clock, or a guess.

A field of the row is plain; a path of two or more parts may cross a record link wherever the first part holds a record
id, and then depends on another table, so it is not. What `whole` has no implementation for is not, either.
"""

from __future__ import annotations

from sp00ky.proto.surrealql.ast import Binary, Call, Closure, Idiom, Param, RecordIdExpr, Select, Subquery
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.shape import STRUCTURAL_PARAMS
from sp00ky.proto.whole.access import INDEXED
from sp00ky.proto.whole.functions import plain_functions
from sp00ky.ssp.plan.tree import field_of, walk

_INDEXED_OPERATORS = ("@", "<|")  # their beginnings: `@@`, `@1@`, `<|3,40|>` are answered by an index only
_READING_FUNCTIONS = ("record::", "search::", "vector::distance::knn", "sequence::")


def why_not_plain(select: Select | None) -> str:
    """The first construct that `whole` does not evaluate on any row; empty if there is none."""
    if select is None:
        return "the query is accepted but not taken apart"
    if select.order_rand or select.version is not None or select.explain:
        return "ORDER BY RAND(), VERSION or EXPLAIN"
    for node in walk(select):
        match node:
            case Call(name=name) if name not in plain_functions():
                return f"{name}()"
            case Binary(op=op) if op.startswith(_INDEXED_OPERATORS):
                return f"operator {op}"
    return ""


def why_not_alone(expr: object) -> str:
    """The first reason why the expression needs more than its row; empty if it does not."""
    for node in walk(expr):
        reason = _reason(node)
        if reason:
            return reason
    return ""


def _reason(node: object) -> str:
    match node:
        case Idiom():
            return "" if field_of(node) is not None else f"`{print_node(node)}` may read other records"
        case Subquery():
            return "a sub-select"
        case Closure():
            return "a closure"
        case RecordIdExpr():
            return "a computed record id"
        case Call(name=name):
            if name == INDEXED or (name in plain_functions() and not name.startswith(_READING_FUNCTIONS)):
                return ""
            return f"{name}()"
        case Param(name=name) if name in STRUCTURAL_PARAMS:
            return f"${name}"
        case Binary(op=op) if op.startswith(_INDEXED_OPERATORS):
            return f"operator {op}"
        case _:
            return ""
