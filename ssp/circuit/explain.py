"""A circuit as text: how records find groups, what is asked of them, what is kept, and how much of it now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sp00ky.proto.surrealql.ast import Hole
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.ssp.circuit.buckets import Bound
from sp00ky.ssp.circuit.circuit import Circuit, group_key
from sp00ky.ssp.circuit.dispatch import Dispatch, Membership, dispatch_of
from sp00ky.ssp.circuit.pipeline import Pipeline, pipeline_of
from sp00ky.ssp.plan.nodes import Incremental
from sp00ky.ssp.plan.rewrites import constant_text, legible, legible_name, plain_text

_WAYS: Mapping[str, str] = {
    "=": "equality, by hash",
    "IN": "membership, by hash of each element of the constant",
    "CONTAINS": "membership, by hash of each element of the field",
    "STARTS": "prefix, by hash of the beginnings that are asked for",
}


def access_text(plan: Incremental) -> str:
    """The constants, and what becomes of each part of the condition: looked up, asked, traced; then the order."""
    pipeline = pipeline_of(plan.root)
    lines = [f"constant {print_node(Hole(place))} = {constant_text(value)}" for place, value in enumerate(plan.binding)]
    lines += _access(plan, dispatch_of(pipeline.cond))
    if pipeline.window is not None:
        lines.append(f"window over {_order(plan, pipeline)}")
    elif pipeline.order:
        lines.append(f"sorted when it is read, by {_order(plan, pipeline)}")
    elif plan.select.group is not None and (plan.select.order or plan.select.limit or plan.select.start):
        lines.append("ORDER BY, LIMIT and START of the groups, each time that one changes")
    return "\n".join(lines)


def _access(plan: Incremental, dispatch: Dispatch) -> Iterator[str]:
    for field, hole in dispatch.equals:
        yield f"index {legible_name(field, plan)} = {print_node(Hole(hole))}  ({_WAYS['=']})"
    for bound in dispatch.bounds:
        yield f"index {_compared(bound, plan)}  (bound, by bisection)"
    for each in dispatch.several:
        yield f"index {_compared(each, plan)}  ({_WAYS[each.op]})"
    if not (dispatch.equals or dispatch.bounds or dispatch.several):
        yield "index none: every change is looked at"
    for cond, how in (
        (dispatch.shared, "once a record"),
        (dispatch.own, "once a record and group"),
        (dispatch.foreign_shared, "once a record, traced"),
        (dispatch.foreign_own, "once a record and group, traced"),
    ):
        if cond is not None:
            yield f"residual {legible(cond, plan)}  ({how})"
    for expr in plan.columns.values():
        yield f"traced {plain_text(expr)}  (a column, by row)"
    if plan.shows:
        yield "traced what is shown  (by member)"


def _compared(by: Bound | Membership, plan: Incremental) -> str:
    op = "starts with" if by.op == "STARTS" else by.op
    return f"{legible_name(by.field, plan)} {op} {print_node(Hole(by.hole))}"


def circuit_text(plan: Incremental, circuit: Circuit | None) -> str:
    """One operator a line, from the table to the members; with sizes if the circuit is live."""
    pipeline = pipeline_of(plan.root)
    dispatch = dispatch_of(pipeline.cond)
    lines = [f"arrangement {pipeline.table}"]
    lines += [f"  column {plain_text(expr)}" for expr in plan.columns.values()]
    fields = ", ".join(legible_name(field, plan) for field in dispatch.fields)
    if fields or not (dispatch.several or dispatch.bounds):
        lines.append(f"  by hash of {fields}" if fields else "  every change")
    lines += [f"  by bisecting {_compared(bound, plan)}" for bound in dispatch.bounds]
    lines += [f"  by hash of {_compared(each, plan)}" for each in dispatch.several]
    if dispatch.shared is not None:
        lines.append(f"  if {legible(dispatch.shared, plan)}  (once a record)")
    if dispatch.own is not None:
        lines.append(f"  if {legible(dispatch.own, plan)}  (once a record and group)")
    for name, cond in (("record", dispatch.foreign_shared), ("record and group", dispatch.foreign_own)):
        if cond is not None:
            lines.append(f"  if {legible(cond, plan)}  (traced, once a {name})")
    if plan.select.group is not None:
        lines.append("  groups of rows, each computed again when one of its rows changes")
    else:
        lines.append("  members" if pipeline.window is None else f"  window by {_order(plan, pipeline)}")
    if plan.shows:
        lines.append("  presentation, traced by member")
    return "\n".join([*lines, *_live(plan, circuit)])


def _order(plan: Incremental, pipeline: Pipeline) -> str:
    keys = [legible(key.expr, plan) + (" DESC" if key.descending else "") for key in pipeline.order]
    return ", ".join([*keys, "record id"])


def _live(plan: Incremental, circuit: Circuit | None) -> Iterator[str]:
    """What the circuit holds, and of it the group of these constants."""
    if circuit is None:
        yield "not live"
        return
    yield sizes_text(circuit.state_sizes())
    group = circuit.groups.get(group_key(plan.binding))
    yield "no group with these constants" if group is None else f"this group: {_sizes(group.state_sizes())}"


def sizes_text(sizes: Mapping[str, int]) -> str:
    return f"live: {_sizes(sizes)}"


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sizes.items())
