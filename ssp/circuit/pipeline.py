"""A plan taken apart into what a circuit needs of it, each at most once."""

from __future__ import annotations

from dataclasses import dataclass

from sp00ky.proto.surrealql.ast import Expr
from sp00ky.proto.values.kinds import NONE
from sp00ky.ssp.circuit.predicate import Binding, compile_value, scope_of
from sp00ky.ssp.plan.nodes import Filter, Group, Order, Project, Scan, SortKey
from sp00ky.ssp.plan.nodes import Window as WindowNode

_BIGGEST_INT = (1 << 63) - 1


class BadWindow(ValueError):
    """A LIMIT or START that is no whole number from 0 up."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The nodes of a plan below its projection, each at most once."""

    table: str
    cond: Expr | None
    order: tuple[SortKey, ...]
    window: WindowNode | None


def pipeline_of(root: Project) -> Pipeline:
    """Take a plan apart, from its projection down to its scan."""
    cond: Expr | None = None
    order: tuple[SortKey, ...] = ()
    window: WindowNode | None = None
    node = root.input
    while not isinstance(node, Scan):
        match node:
            case Filter(cond=found):
                cond = found
            case Order(keys=keys):
                order = keys
            case WindowNode():
                window = node
            case Group():
                pass  # it is the query's, above its members
            case Project():
                raise AssertionError("a projection below another")
        node = node.input
    return Pipeline(node.table, cond, order, window)


def whole_number(expr: Expr | None, binding: Binding, clause: str, otherwise: int | None) -> int | None:
    """The value of LIMIT or START under a binding. Raises BadWindow."""
    if expr is None:
        return otherwise
    value = compile_value(expr)({}, binding, scope_of(binding))
    if type(value) is not int or not 0 <= value <= _BIGGEST_INT:
        shown = "NONE" if value is NONE else repr(value)
        raise BadWindow(f"{clause} must be a whole number from 0 up, not {shown}")
    return value
