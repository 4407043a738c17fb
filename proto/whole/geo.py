"""`geo::*` of points and polygons: great circles by the haversine formula, areas on the sphere, geohashes.

Points are (longitude, latitude) in degrees. The formulas, their order and the two radii are those of the `geo` crate.
Centroids, and whether a geometry is valid, are left to SurrealDB.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from sp00ky.proto.values.kinds import NONE, Geometry, Value
from sp00ky.proto.whole.functions import ANY, GEOMETRY, WHOLE, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_MEAN_RADIUS = 6_371_008.8
_EQUATORIAL_RADIUS = 6_378_137.0
_RADIAN = math.pi / 180
_LETTERS = "0123456789bcdefghjkmnpqrstuvwxyz"
_HASH_LENGTH_MAX = 12

Point: TypeAlias = tuple[float, float]
Ring: TypeAlias = tuple[Point, ...]


def _points(a: Geometry, b: Geometry) -> tuple[Point, Point] | None:
    if a.kind != "Point" or b.kind != "Point":
        return None
    first, second = _finite(a), _finite(b)
    return first, second


def _finite(point: Geometry) -> Point:
    longitude, latitude = point.coordinates
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        raise NotPlain("a point that is nowhere")
    return float(longitude), float(latitude)


@function("geo::distance", kinds=(GEOMETRY, GEOMETRY))
def distance(a: Geometry, b: Geometry) -> Value:
    """Metres between two points; NONE between anything else."""
    points = _points(a, b)
    if points is None:
        return NONE
    (a_longitude, a_latitude), (b_longitude, b_latitude) = points
    vertical = math.sin((b_latitude - a_latitude) * _RADIAN / 2.0)
    horizontal = math.sin((b_longitude - a_longitude) * _RADIAN / 2.0)
    share = vertical * vertical + math.cos(a_latitude * _RADIAN) * math.cos(b_latitude * _RADIAN) * (
        horizontal * horizontal
    )
    return _MEAN_RADIUS * (2.0 * math.asin(math.sqrt(share)))


@function("geo::bearing", kinds=(GEOMETRY, GEOMETRY))
def bearing(a: Geometry, b: Geometry) -> Value:
    """Degrees from north, between -180 and 180."""
    points = _points(a, b)
    if points is None:
        return NONE
    (a_longitude, a_latitude), (b_longitude, b_latitude) = points
    way = b_longitude * _RADIAN - a_longitude * _RADIAN
    begin, end = a_latitude * _RADIAN, b_latitude * _RADIAN
    east = math.sin(way) * math.cos(end)
    north = math.cos(begin) * math.sin(end) - math.sin(begin) * math.cos(end) * math.cos(way)
    degrees = math.fmod(math.atan2(east, north) * (180 / math.pi) + 360.0, 360.0)
    return degrees - 360.0 if degrees > 180.0 else degrees


@function("geo::area", kinds=(GEOMETRY,))
def area(value: Geometry) -> float:
    """Square metres, by the rule of Chamberlain and Duquette."""
    match value.kind:
        case "Polygon":
            return _polygon_area(value.coordinates)
        case "MultiPolygon":
            return sum(map(_polygon_area, value.coordinates), 0.0)
        case "GeometryCollection":
            return sum(map(area, value.coordinates), 0.0)
        case _:
            return 0.0


def _polygon_area(rings: tuple[Ring, ...]) -> float:
    """A hole that runs the way of its outline is taken away, one that runs the other way added."""
    total = _ring_area(rings[0])
    for hole in rings[1:]:
        total -= _ring_area(hole)
    return abs(total)


def _ring_area(ring: Ring) -> float:
    total = 0.0
    count = len(ring)
    if count <= 2:
        return total
    for at in range(count):
        before, point, after = ring[at], ring[(at + 1) % count], ring[(at + 2) % count]
        total += (after[0] * _RADIAN - before[0] * _RADIAN) * math.sin(point[1] * _RADIAN)
    return total * _EQUATORIAL_RADIUS * _EQUATORIAL_RADIUS / -2.0


@function("geo::hash::encode", kinds=(GEOMETRY, WHOLE), optional=1)
def hash_encode(value: Geometry, size: int = _HASH_LENGTH_MAX) -> Value:
    if not 1 <= size <= _HASH_LENGTH_MAX:
        raise EvaluationError("a geohash of this length")
    if value.kind != "Point":
        return NONE
    bounds = [[-180.0, 180.0], [-90.0, 90.0]]
    text = ""
    for at in range(size):
        letter = 0
        for bit in range(5 * at, 5 * at + 5):
            upper = value.coordinates[bit % 2] > _halve(bounds[bit % 2])
            bounds[bit % 2][not upper] = _halve(bounds[bit % 2])
            letter = letter << 1 | upper
        text += _LETTERS[letter]
    return text


@function("geo::hash::decode", kinds=(ANY,))
def hash_decode(value: Value) -> Value:
    """The middle of the hash's cell. A letter that is none of a hash's counts by the low bits of its code point."""
    if type(value) is not str:
        return NONE
    bounds = [[-180.0, 180.0], [-90.0, 90.0]]
    bit = 0
    for letter in value:
        number = _LETTERS.find(letter) if letter in _LETTERS else ord(letter)
        for shift in (4, 3, 2, 1, 0):
            bounds[bit % 2][not number >> shift & 1] = _halve(bounds[bit % 2])
            bit += 1
    return Geometry("Point", (_halve(bounds[0]), _halve(bounds[1])))


def _halve(bounds: list[float]) -> float:
    return (bounds[1] + bounds[0]) / 2.0
