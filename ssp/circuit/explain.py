"""A circuit as text: how records find groups, what is asked of them, what is kept, and how much of it now."""

from __future__ import annotations

from collections.abc import Mapping

from sp00ky.proto.surrealql.printer import print_node
from sp00ky.ssp.circuit.circuit import Circuit, pipeline_of
from sp00ky.ssp.circuit.dispatch import dispatch_of
from sp00ky.ssp.plan.nodes import Incremental


def circuit_text(plan: Incremental, circuit: Circuit | None) -> str:
    """One operator a line, from the table to the members; with sizes if the circuit is live."""
    pipeline = pipeline_of(plan.root)
    dispatch = dispatch_of(pipeline.cond)
    lines = [f"arrangement {pipeline.table}"]
    fields = ", ".join(dispatch.fields)
    lines.append(f"  by hash of {fields}" if fields else "  every change")
    if dispatch.bound is not None:
        lines.append(f"  by bisecting {dispatch.bound.field} {dispatch.bound.op} ?{dispatch.bound.hole}")
    if dispatch.shared is not None:
        lines.append(f"  if {print_node(dispatch.shared)}  (once a record)")
    if dispatch.own is not None:
        lines.append(f"  if {print_node(dispatch.own)}  (once a record and group)")
    if pipeline.window is None:
        lines.append("  members")
    else:
        order = ", ".join(print_node(key.expr) + (" DESC" if key.descending else "") for key in pipeline.order)
        lines.append(f"  window by {order}{', ' if order else ''}record id")
    lines.append("not live" if circuit is None else sizes_text(circuit.state_sizes()))
    return "\n".join(lines)


def sizes_text(sizes: Mapping[str, int]) -> str:
    return "live: " + ", ".join(f"{count} {name}" for name, count in sizes.items())
