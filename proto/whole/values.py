"""`value::*`: what may be asked of a value of any kind.

The difference of two texts is a patch in the format of diff-match-patch; it is not made here, and no patch applied.
"""

from __future__ import annotations

from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.arrays import same
from sp00ky.proto.whole.functions import ANY, CLOSURE, Lambda, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain


@function("value::chain", kinds=(ANY, CLOSURE))
def chain(value: Value, change: Lambda) -> Value:
    return change(value)


@function("value::expect", kinds=(ANY, CLOSURE, ANY), optional=1)
def expect(value: Value, check: Lambda, *message: Value) -> Value:
    if check(value) is not True:
        raise EvaluationError("a value that is not as expected")
    return value


@function("value::diff", kinds=(ANY, ANY))
def diff(old: Value, new: Value) -> list[Value]:
    """The operations of a JSON patch, of each level: removed, then changed and added by name."""
    return [] if same(old, new) else _changes(old, new, "")


def _changes(old: Value, new: Value, path: str) -> list[Value]:
    if same(old, new):
        return []
    if type(old) is dict and type(new) is dict:
        gone = [_removed(f"{path}/{name}") for name in sorted(old) if name not in new]
        return gone + [
            change
            for name in sorted(new)
            for change in (
                _changes(old[name], new[name], f"{path}/{name}")
                if name in old
                else [_placed("add", f"{path}/{name}", new[name])]
            )
        ]
    if type(old) is list and type(new) is list:
        both = min(len(old), len(new))
        changed = [change for n in range(both) for change in _changes(old[n], new[n], f"{path}/{n}")]
        added = [_placed("add", f"{path}/{n}", new[n]) for n in range(both, len(new))]
        return changed + added + [_removed(f"{path}/{n}") for n in range(both, len(old))]
    if type(old) is str and type(new) is str:
        raise NotPlain("value::diff of texts")
    return [_placed("replace", path, new)]


def _removed(path: str) -> Value:
    return {"op": "remove", "path": path}


def _placed(verb: str, path: str, value: Value) -> Value:
    return {"op": verb, "path": path, "value": value}
