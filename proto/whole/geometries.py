"""Which geometries contain and meet which, where one of the two is a point.

A polygon contains the points inside it, not those on its outline or on the outline of a hole; it meets those too. A
line contains its points without the two ends, unless it is closed. Orientation is decided exactly, in fractions, as
SurrealDB does it with adaptive floats. Two geometries of which neither is a point are NotPlain.

Source: core 3.2 (`tests/oracle/test_geometries.py`); the terms are those of DE-9IM: interior, boundary, exterior.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum, auto
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

from sp00ky.proto.values.kinds import Geometry
from sp00ky.proto.whole.scope import NotPlain

_Point: TypeAlias = tuple[float, float]
_Line: TypeAlias = tuple[_Point, ...]

RING_MIN = 4  # points of a ring; a shorter one has no inside


class Place(Enum):
    INTERIOR = auto()
    BOUNDARY = auto()
    EXTERIOR = auto()


def contains(outer: Geometry, inner: Geometry) -> bool:
    if outer.kind in ("Point", "MultiPoint") and inner.kind in ("LineString", "Polygon"):
        return False
    if inner.kind != "Point":
        raise NotPlain(f"containment of a {inner.kind}")
    return _place(outer, inner.coordinates) is Place.INTERIOR


def intersects(left: Geometry, right: Geometry) -> bool:
    if right.kind != "Point":
        left, right = right, left
    if right.kind != "Point":
        raise NotPlain(f"intersection of a {left.kind} and a {right.kind}")
    return _place(left, right.coordinates) is not Place.EXTERIOR


def _place(geometry: Geometry, point: _Point) -> Place:
    """Where the point lies."""
    match geometry.kind:
        case "Point":
            return _interior(geometry.coordinates == point)
        case "MultiPoint":
            return _interior(point in geometry.coordinates)
        case "LineString":
            return _on_line(geometry.coordinates, point)
        case "Polygon":
            return _in_polygon(geometry.coordinates, point)
        case _:
            raise NotPlain(f"a point in a {geometry.kind}")


def _interior(inside: bool) -> Place:
    return Place.INTERIOR if inside else Place.EXTERIOR


def _on_line(line: _Line, point: _Point) -> Place:
    if not line or not _finite((*line, point)):
        raise NotPlain("a line without points, or with one that is not finite")
    if point in (line[0], line[-1]):
        return _interior(True) if line[0] == line[-1] else Place.BOUNDARY
    return _interior(any(_on_segment(a, b, point) for a, b in pairwise(line)))


def _in_polygon(rings: tuple[_Line, ...], point: _Point) -> Place:
    if not all(len(ring) >= RING_MIN and ring[0] == ring[-1] and _finite((*ring, point)) for ring in rings):
        raise NotPlain("a polygon with an unusual ring")
    outline, *holes = rings
    place = _in_ring(outline, point)
    if place is not Place.INTERIOR:
        return place
    for hole in holes:
        in_hole = _in_ring(hole, point)
        if in_hole is not Place.EXTERIOR:
            return Place.EXTERIOR if in_hole is Place.INTERIOR else Place.BOUNDARY
    return Place.INTERIOR


def _in_ring(ring: _Line, point: _Point) -> Place:
    """By the winding number: how often the ring goes round the point."""
    winding = 0
    for a, b in pairwise(ring):
        if _on_segment(a, b, point):
            return Place.BOUNDARY
        if a[1] <= point[1] < b[1] and _turn(a, b, point) > 0:
            winding += 1
        elif b[1] <= point[1] < a[1] and _turn(a, b, point) < 0:
            winding -= 1
    return _interior(winding != 0)


def _on_segment(a: _Point, b: _Point, point: _Point) -> bool:
    within = min(a[0], b[0]) <= point[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= point[1] <= max(a[1], b[1])
    return within and _turn(a, b, point) == 0


def _turn(a: _Point, b: _Point, c: _Point) -> Fraction:
    """Above zero if a, b, c turn left."""
    (ax, ay), (bx, by), (cx, cy) = ((Fraction(x), Fraction(y)) for x, y in (a, b, c))
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


def _finite(points: Iterable[_Point]) -> bool:
    return all(math.isfinite(x) and math.isfinite(y) for x, y in points)
