"""What a query becomes, stage by stage, and how it could be kept better. Registers nothing, evaluates nothing.

tokens → ast → rewrites → plan → circuit, with what of it is live now
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import Admitted, admit
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.circuit.explain import access_text, circuit_text, sizes_text
from sp00ky.ssp.engine.hosting import Hosting
from sp00ky.ssp.plan.build import build
from sp00ky.ssp.plan.explain import plan_text, tokens_text, tree_text
from sp00ky.ssp.plan.nearest import Nearest, nearest, nearest_admitted
from sp00ky.ssp.plan.nodes import Incremental, Plan, Traced, User
from sp00ky.ssp.plan.order import Schema
from sp00ky.ssp.plan.rewrites import rewrites_of
from sp00ky.ssp.plan.terms import DERIVED


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a query becomes, stage by stage."""

    mode: str  # "incremental" | "reevaluated"
    reason: str  # why it is re-evaluated, or why it is evaluated whole and not kept by a circuit
    stages: list[tuple[str, str]]  # tokens, ast, rewrites, plan, circuit
    tables: frozenset[str] | None  # read set; None: any table
    shape: str  # shared by all queries that differ in constants only; empty if no circuit keeps it
    nearest: str = ""  # a query close by that is kept better
    nearest_change: str = ""  # what is other in it


def explained(
    surql: str, params: Mapping[str, Value], user: User | None, schema: Schema, hosting: Hosting
) -> Explanation:
    """Raises Fault as registering the query would; its hint names the nearest query that would not be refused."""
    given = params if user is None else {**params, **user.params}
    admitted: Admitted | None = None
    try:
        admitted = admit(surql, as_user=user is not None)
        plan = build(admitted, params, schema, user)
    except Fault as fault:
        if fault.code is not Code.UNSUPPORTED_QUERY:
            raise
        raise _with_nearest(fault, nearest_admitted(surql, given, schema, user)) from None
    tree = "not taken apart" if admitted.select is None else tree_text(admitted.select)
    near = nearest(admitted.select, plan, given, schema, user)
    return Explanation(
        mode="incremental" if isinstance(plan, Incremental | Traced) else "reevaluated",
        reason="" if isinstance(plan, Incremental) else plan.reason,
        stages=[
            ("tokens", tokens_text(surql)),
            ("ast", tree),
            ("rewrites", "\n".join(rewrites_of(admitted.select, plan, schema))),
            ("plan", _plan_stage(plan)),
            ("circuit", _circuit_stage(plan, params, hosting)),
        ],
        tables=plan.tables,
        shape=plan.shape.replace(DERIVED, "") if isinstance(plan, Incremental) else "",
        nearest="" if near is None else near.surql,
        nearest_change="" if near is None else _change(near),
    )


def _plan_stage(plan: Plan) -> str:
    return f"{plan_text(plan)}\n{access_text(plan)}" if isinstance(plan, Incremental) else plan_text(plan)


def _circuit_stage(plan: Plan, params: Mapping[str, Value], hosting: Hosting) -> str:
    match plan:
        case Incremental():
            return circuit_text(plan, hosting.circuits.get(plan.shape))
        case Traced():
            holder = hosting.traced_of(plan)
            return "not live" if holder is None else sizes_text(holder.state_sizes())
        case _:
            rerun = hosting.reruns.get((plan.text, pack(dict(params)) if params else b""))
            return "not live" if rerun is None else sizes_text(rerun.state_sizes())


def _change(near: Nearest) -> str:
    kept = "a circuit keeps it" if isinstance(near.plan, Incremental) else "it is evaluated here"
    return f"{near.change}; {kept}" if isinstance(near.plan, Incremental | Traced) else near.change


def _with_nearest(fault: Fault, near: Nearest | None) -> Fault:
    if near is None:
        return fault
    hint = f"{fault.hint}; the nearest view: {near.surql} ({_change(near)})"
    return Fault(fault.code, fault.message, hint, {**fault.details, "nearest": near.surql})
