"""Whether an answer is the engine's answer: exactly, in its order, unless the engine itself has no order.

Without LIMIT, or with START + LIMIT above 1,000, the engine's sort leaves rows of equal keys in any order. Then an
answer may also be the one the same query has with a LIMIT, whose sort is stable; or hold the same rows, with the same
sequence of sort keys where the keys can be read off the rows. And where the engine answers the same question
differently from one time to the next, nothing can be said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.values.order import sort_key

from tests.harness.oracle import Refused, exact

Ask: TypeAlias = Callable[[str], Value | Refused]

ASKED_AGAIN = 60  # only where answers differ: the engine slips seldom, and more often on a busy machine
_STABLE_MAX = 1000


def same_answer(ours: Value, theirs: Value, select: ast.Select | None, ask: Ask, *, indexed: bool) -> bool:
    """`ask` asks the engine anew, with the query's parameters and user. `select` None: the text was not taken apart,
    only the exact answer will do. `indexed`: tables have indexes, by which an outermost SELECT may be read."""
    if exact(ours) == exact(theirs):
        return True
    if indexed and select is not None and is_read_in_any_order(select):
        return _sorted(ours) == _sorted(theirs)
    if select is None or not select.order or not _ties_are_free(select):
        return False
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return False
    stable = print_node(replace(select, limit=ast.Literal(900)))
    if exact(ours) == exact(ask(stable)):
        return True
    if Counter(map(exact, ours)) != Counter(map(exact, theirs)):
        return False
    keys = _sort_keys(select, ours)
    return keys is not None and keys == _sort_keys(select, theirs)


def is_read_in_any_order(select: ast.Select) -> bool:
    """Whether an index may decide the order of the result and no more."""
    of_table = any(isinstance(target, ast.TableTarget) for target in select.targets)
    return of_table and not select.order and select.limit is None and select.start is None


def _sorted(answer: Value) -> list[str]:
    return sorted(map(exact, answer)) if isinstance(answer, list) else [exact(answer)]


def is_fickle(text: str, theirs: Value | Refused, ask: Ask) -> bool:
    """The engine answers the same question differently: its answer proves nothing."""
    first = shown(theirs)
    return any(shown(ask(text)) != first for _ in range(ASKED_AGAIN))


def shown(answer: Value | Refused) -> str:
    return f"error: {answer.message}" if isinstance(answer, Refused) else exact(answer)


def _ties_are_free(select: ast.Select) -> bool:
    if select.limit is None:
        return True
    bounds = [bound.value if isinstance(bound, ast.Literal) else 0 for bound in (select.limit, select.start)]
    return sum(bounds) > _STABLE_MAX


def _sort_keys(select: ast.Select, rows: list[Value]) -> list[object] | None:
    """The keys of rows that hold them under a plain name, if at all; None if the names are not plain."""
    names = []
    for key in select.order:
        if key.collate or key.numeric or len(key.expr.parts) != 1 or not isinstance(key.expr.parts[0], ast.FieldPart):
            return None
        names.append(key.expr.parts[0].name)
    if select.omit or not all(isinstance(row, dict) for row in rows):
        return None
    return [[sort_key(row.get(name, NONE)) for name in names] for row in rows]
