"""The children of a row: records that a result shows below one of its members.

Children are the rows of a sub-select that stands as an aliased field, and the records that FETCH puts in place of their
ids; each with the record it stands below and the field it stands in, down to any depth. A sub-select that groups or
reads no records has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from sp00ky.proto import digest
from sp00ky.proto.surrealql.ast import AllPart, FieldPart, IndexPart, LastPart, Literal, Part, Select, Subquery
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.proto.whole import project
from sp00ky.proto.whole.scope import Scope, record_row
from sp00ky.proto.whole.select import chosen
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.plan.identified import has_ids

VersionOf: TypeAlias = Callable[[RecordId], int | None]
Place: TypeAlias = tuple[RecordId, str]  # a record, and a field of it


def children_of(select: Select, row: Value, scope: Scope, version_of: VersionOf) -> tuple[MemberChange, ...]:
    """Everything below one row of the SELECT, each (parent, field, record) once. Raises NotPlain."""
    if type(row) is not dict or type(row.get("id")) is not RecordId:
        return ()
    found = (*_selected(select, row, scope, version_of), *_fetched(select, row, scope, version_of))
    return tuple({(child.parent, child.parent_rel, child.id): child for child in found}.values())


def _selected(select: Select, row: dict[str, Value], scope: Scope, version_of: VersionOf) -> Iterator[MemberChange]:
    for field in select.fields:
        if field.alias is None or not isinstance(field.expr, Subquery) or not has_ids(field.expr.select):
            continue
        inner, below = field.expr.select, replace(scope, parent=row)
        for child in chosen(inner, below):
            if type(child) is dict and type(child.get("id")) is RecordId:
                yield from _member(child["id"], row["id"], print_node(field.alias), version_of)
                yield from children_of(inner, child, below, version_of)


def _fetched(select: Select, row: dict[str, Value], scope: Scope, version_of: VersionOf) -> Iterator[MemberChange]:
    if not select.fetch or select.value:
        return
    shown = project.project(select.fields, row, scope)
    for idiom in select.fetch:
        yield from _along(shown, idiom.parts, (row["id"], ""), scope, version_of)


def _along(
    value: Value, parts: tuple[Part, ...], place: Place, scope: Scope, version_of: VersionOf
) -> Iterator[MemberChange]:
    """The records that FETCH puts in place of their ids on a path and at its end (`whole.project.fetch`), from a value
    that stands at this place. One that is gone, or hidden from the user, is not put."""
    if not parts and type(value) is list:
        for item in value:
            yield from _put(item, place, scope, version_of)
        return
    yield from _put(value, place, scope, version_of)
    if type(value) is RecordId:
        place, value = (value, ""), record_row(value, scope)
    for item, rest, name in _steps(value, parts):
        yield from _along(item, rest, (place[0], name or place[1]), scope, version_of)


def _put(value: Value, place: Place, scope: Scope, version_of: VersionOf) -> Iterator[MemberChange]:
    if type(value) is RecordId and record_row(value, scope) is not None:
        yield from _member(value, *place, version_of)


def _steps(value: Value, parts: tuple[Part, ...]) -> Iterator[tuple[Value, tuple[Part, ...], str]]:
    """What the first part of a path leads to from a value, with the parts that remain, and its field if it has one."""
    match parts[:1], value:
        case (FieldPart(name),), dict() if name in value:
            yield value[name], parts[1:], name
        case (FieldPart(),), list():
            yield from ((item, parts, "") for item in value)
        case (AllPart(),), dict():
            yield from ((item, parts[1:], name) for name, item in value.items())
        case (AllPart(),), list():
            yield from ((item, parts[1:], "") for item in value)
        case (LastPart(),), list() if value:
            yield value[-1], parts[1:], ""
        case (IndexPart(Literal(int(place))),), list() if 0 <= place < len(value):
            yield value[place], parts[1:], ""
        case (IndexPart(Literal(place)),), dict() if str(place) in value:
            yield value[str(place)], parts[1:], str(place)


def _member(record: RecordId, parent: RecordId, relation: str, version_of: VersionOf) -> Iterator[MemberChange]:
    version = version_of(record)
    if version is not None:
        yield MemberChange(record, version, parent, relation)


def shows_more(select: Select) -> bool:
    """Whether rows may have children at all."""
    return bool(select.fetch) or any(
        field.alias is not None and isinstance(field.expr, Subquery) for field in select.fields
    )


def shown_digest(row: Value, children: Iterable[MemberChange]) -> int:
    """Of what a result holds for a member, and of its children with their versions: of a child that moved, little may
    be shown."""
    total = digest.member_digest(pack(row), 0)
    for child in children:
        place = pack([child.parent, child.parent_rel, child.id])
        total = digest.add(total, digest.member_digest(place, child.version))
    return total
