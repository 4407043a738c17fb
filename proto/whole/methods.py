"""`value.name(…)`: which function a method is, by the kind of the value.

`[1].sort_desc()` is `array::sort::desc([1])`: the function of the family of the value's kind, its path joined by `_`.
Every value has besides the methods of `type::*` (`is_…`, `to_…`, `type_of`), of `value::*`, and `repeat`. A method that
SurrealDB knows of other kinds only is an error; some functions are no methods at all.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from sp00ky.proto.values.kinds import Datetime, Duration, Geometry, RecordId, SurrealSet, Value
from sp00ky.proto.whole.functions import call, plain_functions
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_FAMILIES: dict[type, str] = {
    list: "array",
    str: "string",
    int: "math",
    float: "math",
    Decimal: "math",
    dict: "object",
    RecordId: "record",
    Datetime: "time",
    Duration: "duration",
    SurrealSet: "set",
    bytes: "bytes",
    Geometry: "geo",
}
_ALIASES = {
    "array": {"every": "all", "some": "any", "includes": "any", "index_of": "find_index"},
    "set": {"every": "all", "some": "any", "includes": "any"},
}
_NO_METHODS = {
    "array": frozenset({"range", "sequence"}),
    "string": frozenset({"distance_osa"}),
    "object": frozenset({"from_entries"}),
    "math": frozenset(
        {
            *("bottom", "clamp", "fixed", "interquartile", "lerp", "lerpangle", "max", "mean", "median", "midhinge"),
            *("min", "mode", "nearestrank", "percentile", "pow", "product", "spread", "sqrt", "stddev", "sum", "top"),
            *("trimean", "variance"),
        }
    ),
    "time": frozenset({"max", "min", "now", "timezone"}),
    "type": frozenset({"field", "fields", "file", "table"}),
    "vector": frozenset({"distance_knn"}),
}


def call_method(name: str, value: Value, args: list[Value]) -> Value:
    """NotPlain for a method that is not one of ours, EvaluationError for one that the kind of the value lacks."""
    function = _methods(_FAMILIES.get(type(value), "")).get(name)
    if function is not None:
        return call(function, [value, *args])
    if any(name in _methods(family) for family in (*_FAMILIES.values(), "")):
        raise EvaluationError(f"method {name} of a {type(value).__name__}")
    raise NotPlain(f"method {name} of a {type(value).__name__}")


@cache
def _methods(family: str) -> dict[str, str]:
    """Method → function, of the kinds of a family; of "", of all other kinds."""
    found = {"repeat": "array::repeat"}
    for function in sorted(plain_functions()):
        space, _, path = function.partition("::")
        name = path.replace("::", "_")
        if name in _NO_METHODS.get(space, ()) or name.startswith("from_"):
            continue
        match space:
            case "value":
                found.setdefault(name, function)
            case "type" if name.startswith("is_") or name == "of":
                found.setdefault("type_of" if name == "of" else name, function)
            case "type":
                found.setdefault(f"to_{name}", function)
            case "vector" if family == "array":
                found[f"vector_{name}"] = function
            case _ if space == family:
                found[name] = function
    for alias, name in _ALIASES.get(family, {}).items():
        found[alias] = f"{family}::{name}"
    return found


__all__ = ["call_method"]
