"""Recursion: `@.{1..3}->knows->person`, the same steps over and over.

Plain, it follows the steps until nothing new comes or the upper bound is reached, and yields where it is then. It may
also `+collect` all that it passes, list every `+path`, find the `+shortest` one, or, with `.@` inside the steps, build
a tree. Only records are walked on from; NONE, NULL and arrays of these are dead ends.

A recursion without an upper bound ends at the 256th step, and what SurrealDB does there is not reproduced; nor is one
that has grown beyond all use before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from sp00ky.proto.surrealql import ast
from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.proto.whole import expr as expressions
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope

_STEPS_MAX = 256
_VALUES_MAX = 100_000

Follow = Callable[[Value, Scope], Value]  # the repeated steps, taken once


class _PathEnds(Exception):
    """A branch of a tree that is not as deep as it must be."""


def recurse(start: Value, part: ast.RecursePart, follow: Follow, is_tree: bool, scope: Scope) -> Value:
    """What a recursion yields from `start`. `is_tree`: there is a `.@` in its steps."""
    low = 1 if part.low is None else part.low
    if low < 1 or (part.high is not None and part.high > _STEPS_MAX):
        raise EvaluationError("a recursion of no steps, or of too many")
    walk = _Walk(low, part.high, follow, scope)
    if is_tree:
        if part.instruction:
            raise EvaluationError(f"+{part.instruction} of a recursion with .@")
        return walk.tree(start)
    match part.instruction:
        case "collect":
            return walk.collected(start, part.inclusive)
        case "path":
            return walk.paths(start, part.inclusive)
        case "shortest":
            assert part.target is not None, "the parser demands one"
            return walk.shortest(start, expressions.evaluate(part.target, start, scope), part.inclusive)
    return walk.end(start)


class _Walk:
    def __init__(self, low: int, high: int | None, follow: Follow, scope: Scope) -> None:
        self._low, self._high, self._follow, self._scope = low, high, follow, scope
        self._steps = _STEPS_MAX if high is None else high
        self._values = 0

    def end(self, start: Value) -> Value:
        current = start
        for depth in range(1, self._steps + 1):
            found = _clean(self._next(current))
            if _is_final(found) or order.equal(found, current):
                return current if depth > self._low else _nothing(found)
            if not _is_target(found):
                raise EvaluationError("recursion to something other than a record")
            current = found
        self._check_end(True)
        return current if self._steps >= self._low else NONE

    def collected(self, start: Value, inclusive: bool) -> list[Value]:
        """Each record once, in the order in which it is come to."""
        collected = {order.hash_key(start): start} if inclusive else {}
        expanded: set[object] = set()
        frontier = [start]
        for depth in range(1, self._steps + 1):
            level: dict[object, Value] = {}
            for target in (target for value in frontier for target in self._targets(value)):
                key = order.hash_key(target)
                if depth >= self._low:
                    collected.setdefault(key, target)
                    if key in expanded:
                        continue
                    expanded.add(key)
                level.setdefault(key, target)
            frontier = list(level.values())
        self._check_end(bool(frontier))
        return list(collected.values())

    def paths(self, start: Value, inclusive: bool) -> list[Value]:
        """Every way, in order of length, and among those that end at the bound in order of their branches."""
        done: list[Value] = []
        active: list[list[Value]] = [[start]] if inclusive else [[]]
        for depth in range(self._steps):
            longer: list[list[Value]] = []
            for path in active:
                targets = list(self._targets(path[-1] if path else start))
                longer.extend([*path, target] for target in targets)
                if not targets and path and depth >= self._low:
                    done.append(path)
            active = longer
        self._check_end(bool(active))
        if self._steps >= self._low:
            done.extend(path for path in active if path)
        return done

    def shortest(self, start: Value, target: Value, inclusive: bool) -> Value:
        """The first of the shortest ways to the target; if there is none, the ways that go on at the bound."""
        seen = {order.hash_key(start)}
        queue: list[tuple[Value, list[Value]]] = [(start, [start] if inclusive else [])]
        for depth in range(1, self._steps + 1):
            following: list[tuple[Value, list[Value]]] = []
            for value, path in queue:
                for found in self._targets(value):
                    if depth >= self._low and order.equal(found, target):
                        return [*path, found]
                    if order.hash_key(found) not in seen:
                        seen.add(order.hash_key(found))
                        following.append((found, [*path, found]))
            queue = following
        self._check_end(bool(queue))
        return [path for _, path in queue] or NONE

    def tree(self, value: Value, depth: int = 0) -> Value:
        if _is_final(value):
            return _nothing(value)
        if depth >= self._steps:
            self._check_end(True)
            return value
        try:
            return self._follow(value, replace(self._scope, repeat=lambda inner: self._repeated(inner, depth + 1)))
        except _PathEnds:
            return NONE

    def _repeated(self, value: Value, depth: int) -> Value:
        """What `.@` yields: the tree from each record."""
        if type(value) is list:
            branches = [self.tree(item, depth) for item in value if self._goes_on(item)]
            result = _clean(branches)
        else:
            result = self.tree(value, depth) if self._goes_on(value) else NONE
        if _is_final(result) and depth < self._low:
            raise _PathEnds
        return result

    def _goes_on(self, value: Value) -> bool:
        self._count()
        if not _is_final(value) and not _is_target(value):
            raise EvaluationError("recursion to something other than a record")
        return not _is_final(value)

    def _targets(self, value: Value) -> Iterator[Value]:
        found = self._next(value)
        for item in found if type(found) is list else [found]:
            if self._goes_on(item):
                yield item

    def _next(self, value: Value) -> Value:
        self._count()
        return self._follow(value, self._scope)

    def _count(self) -> None:
        self._values += 1
        if self._values > _VALUES_MAX:
            raise NotPlain("a recursion over very many values")

    def _check_end(self, unfinished: bool) -> None:
        if unfinished and self._high is None:
            raise NotPlain("a recursion without a bound that does not end")


def _is_final(value: Value) -> bool:
    if type(value) is list:
        return all(item is NONE or item is None for item in value)
    return value is NONE or value is None


def _nothing(value: Value) -> Value:
    return [] if type(value) is list else None if value is None else NONE


def _clean(value: Value) -> Value:
    """Without dead ends, and one level flatter."""
    if type(value) is not list:
        return value
    kept = [item for item in value if not _is_final(item)]
    return [inner for item in kept for inner in (item if type(item) is list else [item])]


def _is_target(value: Value) -> bool:
    return any(map(_is_target, value)) if type(value) is list else type(value) is RecordId
