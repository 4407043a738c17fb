"""`object::*`, `record::*`, `not`."""

from __future__ import annotations

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.functions import ANY, ARRAY, OBJECT, RECORD, function
from sp00ky.proto.whole.scope import EvaluationError

_Object = dict[str, Value]


@function("not", kinds=(ANY,))
def negation(value: Value) -> bool:
    return not order.truthy(value)


# --- object ----------------------------------------------------------------------------------------------------------


@function("object::entries", kinds=(OBJECT,))
def entries(value: _Object) -> list[Value]:
    return [[name, value[name]] for name in sorted(value)]


@function("object::from_entries", kinds=(ARRAY,))
def from_entries(items: list[Value]) -> _Object:
    """A key that is no text becomes its own text."""
    result: _Object = {}
    for item in items:
        if type(item) is not list or len(item) != 2:
            raise EvaluationError("object::from_entries of something other than [name, value]")
        name, value = item
        result[name if type(name) is str else to_surql(name)] = value
    return result


@function("object::extend", kinds=(OBJECT, OBJECT))
def extend(left: _Object, right: _Object) -> _Object:
    return {**left, **right}


@function("object::is_empty", kinds=(OBJECT,))
def is_empty(value: _Object) -> bool:
    return not value


@function("object::keys", kinds=(OBJECT,))
def keys(value: _Object) -> list[Value]:
    return sorted(value)


@function("object::len", kinds=(OBJECT,))
def length(value: _Object) -> int:
    return len(value)


@function("object::values", kinds=(OBJECT,))
def values(value: _Object) -> list[Value]:
    return [value[name] for name in sorted(value)]


@function("object::remove", kinds=(OBJECT, ANY))
def remove(value: _Object, names: Value) -> _Object:
    gone = names if type(names) is list else [names]
    if not all(type(name) is str for name in gone):
        raise EvaluationError("object::remove of something other than names")
    return {name: item for name, item in value.items() if name not in gone}


# --- record ----------------------------------------------------------------------------------------------------------


@function("record::id", "meta::id", kinds=(RECORD,))
def record_key(record: RecordId) -> Value:
    return record.key


@function("record::tb", "record::table", "meta::tb", kinds=(RECORD,))
def record_table(record: RecordId) -> str:
    return record.table
