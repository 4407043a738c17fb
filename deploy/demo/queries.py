"""The demo's views: one of each kind that an application of this data would hold.

The nested sub-select has no LIMIT: beside an ORDER BY, SurrealDB 3.2.4 answers such a one with too few rows, other ones
at each call, so there would be nothing to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Query:
    """`ordered`: the query states a total order, so its result is compared as a list, not as a bag."""

    id: str
    about: str
    surql: str
    params: Mapping[str, object] = field(default_factory=dict)
    ordered: bool = False


QUERIES: Sequence[Query] = (
    Query(
        "late",
        "filter with parameters",
        "SELECT id, flight, carrier, dep_delay FROM flight WHERE dep_delay >= $minutes AND cancelled = false",
        {"minutes": 90},
    ),
    Query(
        "worst",
        "top n",
        "SELECT id, arr_delay, carrier, plane FROM flight ORDER BY arr_delay DESC, id LIMIT 20",
        ordered=True,
    ),
    Query(
        "medium_haul",
        "range",
        "SELECT id, distance, dep_delay FROM flight WHERE distance >= 1000 AND distance < 1200 AND day <= $day",
        {"day": 3},
    ),
    Query("cancelled", "flag, ordered", "SELECT * FROM flight WHERE cancelled = true ORDER BY id", ordered=True),
    Query(
        "page",
        "third page of a list",
        "SELECT id, scheduled, dest FROM flight WHERE origin = airport:JFK ORDER BY scheduled, id LIMIT 25 START 50",
        ordered=True,
    ),
    Query(
        "logic",
        "AND, OR, NOT",
        "SELECT id, carrier, origin, dep_delay FROM flight"
        " WHERE (carrier = airline:UA OR carrier = airline:AA) AND !(origin = airport:EWR) AND dep_delay > 45",
    ),
    Query(
        "west_coast",
        "membership in a list",
        "SELECT id, dest, dep_delay FROM flight"
        " WHERE dest IN [airport:SFO, airport:LAX, airport:SAN] AND day >= 13 ORDER BY id",
        ordered=True,
    ),
    Query(
        "storm",
        "weather, array keys",
        "SELECT id, origin, wind_speed, visib FROM weather WHERE wind_speed > 25 OR visib < 1",
    ),
    Query("veterans", "planes by age", "SELECT * FROM plane WHERE year < 1985 ORDER BY year, id", ordered=True),
    Query(
        "by_name",
        "record links",
        "SELECT id, carrier.name AS airline, dest.name AS destination, plane.model AS model FROM flight"
        " WHERE carrier.name = $airline AND dep_delay > 30",
        {"airline": "Virgin America"},
    ),
    Query(
        "gusts",
        "nested sub-select",
        "SELECT id, name, (SELECT id, at, wind_speed, wind_gust FROM weather"
        " WHERE origin = $parent.id AND wind_speed > 20 ORDER BY at, id) AS gusts"
        " FROM airport WHERE id IN [airport:EWR, airport:JFK, airport:LGA] ORDER BY id",
        ordered=True,
    ),
    Query(
        "punctuality",
        "group by",
        "SELECT carrier, count() AS flights, math::sum(dep_delay) AS minutes, math::max(dep_delay) AS longest"
        " FROM flight WHERE cancelled = false AND dep_delay != NONE GROUP BY carrier ORDER BY carrier",
        ordered=True,
    ),
)
