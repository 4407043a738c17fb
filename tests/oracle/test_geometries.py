"""Points and small shapes on a grid, where many a point lies on an edge: CONTAINS, INSIDE, INTERSECTS, OUTSIDE."""

from __future__ import annotations

import random

import pytest
from sp00ky.proto.values.kinds import Geometry
from sp00ky.proto.whole.operators import binary
from sp00ky.proto.whole.scope import NotPlain

from tests.harness.oracle import Oracle, Refused

PAIRS = 2_000
OPERATORS = ["CONTAINS", "IN", "INTERSECTS", "OUTSIDE", "CONTAINSNOT"]


def _point(draw: random.Random) -> tuple[float, float]:
    step = draw.choice([1.0, 0.5, 0.1])
    return draw.randrange(5) * step, draw.randrange(5) * step


def _ring(draw: random.Random) -> tuple[tuple[float, float], ...]:
    points = [_point(draw) for _ in range(draw.randint(3, 6))]
    return (*points, points[0])


def _shape(draw: random.Random) -> Geometry:
    match draw.choice(["Point", "LineString", "Polygon", "Polygon", "MultiPoint"]):
        case "Point":
            return Geometry("Point", _point(draw))
        case "LineString":
            return Geometry("LineString", tuple(_point(draw) for _ in range(draw.randint(2, 5))))
        case "MultiPoint":
            return Geometry("MultiPoint", tuple(_point(draw) for _ in range(draw.randint(1, 4))))
        case _:
            return Geometry("Polygon", tuple(_ring(draw) for _ in range(draw.choice([1, 1, 2]))))


@pytest.mark.parametrize("operator", OPERATORS)
def test_shapes_and_points(operator: str) -> None:
    """The shape is on the left, and in half of the pairs on the right as well."""
    draw = random.Random(5)
    oracle = Oracle()
    pairs = [(_shape(draw), Geometry("Point", _point(draw))) for _ in range(PAIRS)]
    pairs += [(point, shape) for shape, point in pairs[: PAIRS // 2]]
    question = f"RETURN array::map($pairs, |$pair| $pair[0] {operator} $pair[1])"
    theirs = oracle.ask(question, pairs=[list(pair) for pair in pairs])
    assert not isinstance(theirs, Refused)
    ours: list[bool | None] = []
    for left, right in pairs:
        try:
            ours.append(binary(operator, left, right))
        except NotPlain:
            ours.append(None)
    found = zip(pairs, ours, theirs, strict=True)
    assert not [(pair, mine, other) for pair, mine, other in found if mine is not None and mine != other]
    assert sum(mine is not None for mine in ours) > PAIRS
