"""What planning has done to a query, in words: every way in which what is kept differs from what was written.

Read off the plan itself, beside the tree as it was admitted, so that nothing is told that was not done.
"""

from __future__ import annotations

from collections.abc import Iterator

from sp00ky.proto.surrealql.ast import Call, Expr, Field, FieldPart, Hole, Idiom, Param, Select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.access import INDEXED
from sp00ky.ssp.plan.build import resolved, source_table
from sp00ky.ssp.plan.nodes import Incremental, Plan, Reevaluated
from sp00ky.ssp.plan.order import Schema
from sp00ky.ssp.plan.terms import DERIVED, Dynamic
from sp00ky.ssp.plan.tree import rewrite, walk


def rewrites_of(written: Select | None, plan: Plan, schema: Schema) -> list[str]:
    """One line a rewrite, in the order in which they are done."""
    if written is None or plan.select is None:
        return ["none: the text is run as it is"]
    lines = [f"read as {print_node(written)}"]
    if isinstance(plan, Reevaluated):
        return [*lines, *([f"run a second time with each row's id: {plan.ids_surql}"] if plan.ids_surql else [])]
    lines += _order_written_out(written, plan.select)
    if not isinstance(plan, Incremental):
        return lines
    table, bounds = source_table(plan.select)
    if plan.user is not None and (rule := schema(table).rule) is not None:
        lines.append(f"the rule of table {table} is the first condition: {print_node(rule)}")
    if bounds is not None:
        lines.append(f"FROM {print_node(plan.select.targets[0])} is FROM {table} WHERE {print_node(bounds)}")
    if plan.select.group is None:
        lines += _sorted_by(plan.select)
    lines += [
        f"{plain_text(expr)} is a column of {table}, kept once for all circuits" for expr in plan.columns.values()
    ]
    lines += _constants(plan)
    if not plan.shows and plan.select.group is None:
        lines.append("the shape is without what is shown: views that show other fields share the circuit")
    if plan.own:
        lines.append("the circuit is this user's alone: it reads what others may see otherwise")
    return lines


def _order_written_out(written: Select, planned: Select) -> Iterator[str]:
    for key in planned.order[len(written.order) :]:
        descending = " DESC" if key.descending else ""
        yield f"ORDER BY goes on with {print_node(key.expr)}{descending}, the order in which SurrealDB reads its index"
    guards = [node for node in walk(planned) if isinstance(node, Call) and node.name == INDEXED]
    if guards:
        names = dict.fromkeys(print_node(guard.args[0]) for guard in guards)
        yield f"asked of each record: an index answers for {', '.join(names)} as a comparison does"


def _sorted_by(select: Select) -> Iterator[str]:
    for key in select.order:
        found = resolved(key, select)
        if found is not None and found[0] != key.expr:
            yield f"ORDER BY {print_node(key.expr)} sorts by {plain_text(found[0])}"


def _constants(plan: Incremental) -> Iterator[str]:
    lifted = [place for place, value in enumerate(plan.binding) if not isinstance(value, Dynamic)]
    if lifted:
        holes = ", ".join(print_node(Hole(place)) for place in lifted)
        yield f"constants are lifted out, folded where they stand together: {holes}"
    for place, value in enumerate(plan.binding):
        if isinstance(value, Dynamic):
            yield f"{plain_text(value.expr)} is the same for every row: {print_node(Hole(place))}, computed and traced"


# --- names that readers know -----------------------------------------------------------------------------------------


def legible(expr: Expr, plan: Incremental) -> str:
    """The text of a condition or a key of the plan, with the expressions of its columns in place of their names."""

    def named(node: object) -> object:
        match node:
            case Idiom(head=None, parts=(FieldPart(name=name), *rest)) if name.startswith(DERIVED):
                column = plan.columns[name]
                return Idiom(column, tuple(rest)) if rest else column
            case _:
                return node

    return plain_text(rewrite(expr, named))


def legible_name(field: str, plan: Incremental) -> str:
    """The field, or the expression that the column of this name stands for."""
    return plain_text(plan.columns[field]) if field.startswith(DERIVED) else field


def plain_text(written: Expr | Field) -> str:
    """The text without marks of our own."""

    def unmarked(node: object) -> object:
        match node:
            case Call(name=name, args=args) if name.startswith(DERIVED):
                return Call(name.removeprefix(DERIVED), args)
            case Param(name=name) if name.startswith(DERIVED):
                return Param(f"computed_{name.removeprefix(DERIVED)}")
            case _:
                return node

    return print_node(rewrite(written, unmarked))


def constant_text(value: Value) -> str:
    """A constant of a binding."""
    if isinstance(value, Dynamic):
        return f"{plain_text(value.expr)}, computed"
    return to_surql(value)
