"""Plans by text: what of a plan does not depend on the parameters is made once, however many views have the text.

A text is planned with a mark in place of each parameter's value. If the marks have come to rest in the binding alone,
the plan of any values is that plan with the values in place of the marks; if a value would have become structure (the
name of a table, a column's text), there is no template and every view is planned by itself. What must be known of the
values, such as a regex or a LIMIT beyond what SurrealDB keeps stable, is asked of them each time.

Invariant: `plan(…)` answers what `build(…)` does. Templates are forgotten when the schema changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Final

from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql.admit import Admitted
from sp00ky.proto.surrealql.ast import Select
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.whole.rowwise import why_not_rowwise
from sp00ky.ssp.plan.build import build, shown_params, why_not_hashed
from sp00ky.ssp.plan.nodes import Incremental, Plan, User
from sp00ky.ssp.plan.order import Schema, beyond
from sp00ky.ssp.plan.terms import Dynamic, given_params

TEMPLATES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a parameter's value goes."""

    name: str


class Templates:
    """`schema` as `build` takes it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._known: dict[tuple[str, bool], Incremental | None] = {}

    def clear(self) -> None:
        """The schema has changed."""
        self._known.clear()

    def plan(self, admitted: Admitted, params: Mapping[str, Value], user: User | None = None) -> Plan:
        """The plan of a text under these parameters. Raises Fault as `build` does."""
        given = params if user is None else {**params, **user.params}
        template = self._template(admitted, user)
        if template is None or why_not_hashed(given) or _wants_run_whole(template.select, given):
            return build(admitted, params, self._schema, user)
        binding = tuple(_filled(value, given) for value in template.binding)
        return replace(template, params=given, binding=binding, user=user)

    def _template(self, admitted: Admitted, user: User | None) -> Incremental | None:
        key = (admitted.text, user is not None)
        if key not in self._known:
            if len(self._known) >= TEMPLATES_MAX:
                self._known.clear()
            self._known[key] = self._made(admitted, user)
        return self._known[key]

    def _made(self, admitted: Admitted, user: User | None) -> Incremental | None:
        select = admitted.select
        if select is None or given_params(select.targets) or shown_params(select):
            return None
        marks: dict[str, Value] = {name: _Mark(name) for name in given_params(select)}
        marked = None if user is None else User(user.id, {name: _Mark(name) for name in user.params})
        try:
            plan = build(admitted, marks, self._schema, marked)
        except (Fault, TypeError, ValueError):  # a mark has no text, so it has not become part of one
            return None
        if not isinstance(plan, Incremental) or (plan.restricted and plan.own):
            return None
        return plan


def _wants_run_whole(select: Select, params: Mapping[str, Value]) -> bool:
    return bool(why_not_rowwise(select, params) or beyond(select, params))


def _filled(value: Value, params: Mapping[str, Value]) -> Value:
    """The value with every mark in it replaced."""
    kind = type(value)
    if kind is _Mark:
        return params.get(value.name, NONE)
    if kind is list:
        return [_filled(item, params) for item in value]
    if kind is dict:
        return {name: _filled(item, params) for name, item in value.items()}
    if kind is RecordId:
        return RecordId(value.table, _filled(value.key, params))
    if kind is Dynamic:
        used = tuple((name, params[name]) for name in sorted(given_params(value.expr)) if name in params)
        return replace(value, params=used)
    assert not (is_dataclass(value) and any(type(getattr(value, each.name)) is _Mark for each in fields(value)))
    return value
