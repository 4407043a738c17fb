"""Geometries written as objects: `{ type: 'Point', coordinates: [1, 2] }`.

SurrealDB decides this while it parses: exactly the two keys, in either order, and nothing but numbers written out, no
decimals. Any other object is an object, also if its values turn out to be numbers when it is evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from sp00ky.proto.surrealql.ast import Array, Expr, Literal
from sp00ky.proto.values.kinds import Geometry

Coordinates = tuple[Any, ...]


def geometry_of(items: tuple[tuple[str, Expr], ...]) -> Geometry | None:
    """The geometry that an object literal is, None if it is none."""
    entries = dict(items)
    kind = entries.pop("type", None)
    if len(items) != 2 or len(entries) != 1 or not isinstance(kind, Literal) or not isinstance(kind.value, str):
        return None
    name, shape = next(iter(entries.items()))
    if kind.value == "GeometryCollection":
        return _collection(shape) if name == "geometries" else None
    read = SHAPES.get(kind.value)
    found = read(shape) if read is not None and name == "coordinates" else None
    return None if found is None else Geometry(kind.value, found)


def point_of(longitude: Expr, latitude: Expr) -> Geometry | None:
    """The geometry `(longitude, latitude)`."""
    found = _point(Array((longitude, latitude)))
    return None if found is None else Geometry("Point", found)


def is_finite(geometry: Geometry) -> bool:
    """Whether its text reads back: `1e999` is a number here, and infinite."""
    return _all_finite(geometry.coordinates)


def _all_finite(item: Any) -> bool:
    match item:
        case Geometry():
            return is_finite(item)
        case tuple():
            return all(map(_all_finite, item))
        case _:
            return math.isfinite(item)


def _collection(shape: Expr) -> Geometry | None:
    """Its members are geometries written as objects themselves."""
    if not isinstance(shape, Array):
        return None
    members = tuple(item.value for item in shape.items if isinstance(item, Literal) and not item.spelling)
    whole = len(members) == len(shape.items) and all(isinstance(member, Geometry) for member in members)
    return Geometry("GeometryCollection", members) if whole else None


def _point(shape: Expr) -> Coordinates | None:
    if not isinstance(shape, Array) or len(shape.items) != 2:
        return None
    numbers = [item.value for item in shape.items if isinstance(item, Literal) and not item.spelling]
    plain = [float(number) for number in numbers if type(number) in (int, float)]
    return tuple(plain) if len(plain) == 2 else None


def _several(of: Callable[[Expr], Coordinates | None]) -> Callable[[Expr], Coordinates | None]:
    def read(shape: Expr) -> Coordinates | None:
        if not isinstance(shape, Array):
            return None
        found = tuple(of(item) for item in shape.items)
        return None if any(item is None for item in found) else found

    return read


def _ring(shape: Expr) -> Coordinates | None:
    """A line that ends where it began; SurrealDB adds the end if it is missing."""
    line = _line(shape)
    return line if not line or line[0] == line[-1] else (*line, line[0])


def _polygon(shape: Expr) -> Coordinates | None:
    return _several(_ring)(shape) or None


_line = _several(_point)

SHAPES: Final[dict[str, Callable[[Expr], Coordinates | None]]] = {
    "Point": _point,
    "LineString": _line,
    "Polygon": _polygon,
    "MultiPoint": _several(_point),
    "MultiLineString": _several(_line),
    "MultiPolygon": _several(_polygon),
}
