"""The same query with each row's record id beside it, so that a re-evaluated view has members.

Rows of a SELECT from records are those records: `id AS <field>` is added to what is projected; SELECT VALUE
becomes a SELECT of the value and the id, since only the ids are read. A row made of several records (GROUP), of a part
of one (SPLIT), or of no record (a sub-select or a value in FROM) has none, and neither has a text that was not parsed.
"""

from __future__ import annotations

from dataclasses import replace

from sp00ky.proto.surrealql.ast import Field, FieldPart, Idiom, Object, Param, Select, Star, Subquery, Target
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.ssp.plan.tree import walk

IDS_FIELD = "_00_id"


def with_ids(select: Select | None, field: str) -> str:
    """Text of the query whose rows carry their record's id as `field`; empty if they are no records."""
    if select is None or not has_ids(select):
        return ""
    name = Idiom(None, (FieldPart(field),))
    fields = _sorted_values(select) if select.value else select.fields
    starred = any(isinstance(each.expr, Star) for each in fields)
    # `id` itself would be moved from beside *; `$this.id` sees what ORDER BY computes under the name `id`
    identity = Idiom(Param("this") if starred else None, (FieldPart("id"),))
    return print_node(replace(select, value=False, fields=(*fields, Field(identity, name))))


def has_ids(select: Select) -> bool:
    """Whether each row of the result is one record."""
    return select.group is None and not select.split and all(map(_is_record, select.targets))


def _is_record(target: Target) -> bool:
    """Rows of a sub-select or of objects are not records, whatever `id` they hold."""
    return not any(isinstance(node, Subquery | Object) for node in walk(target))


def _sorted_values(select: Select) -> tuple[Field, ...]:
    """What ORDER BY may name: everything of the row, and the value under its alias."""
    return (Field(Star()), *(field for field in select.fields if field.alias is not None))
