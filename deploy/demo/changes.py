"""What happens at an airport, drawn from a seed: delays, cancellations, other planes, gusts, storms that hold flights.

One seed is one history. Each change is one statement or one transaction of several records.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sp00ky.deploy.demo.dataset import Record
from surrealdb import RecordID

HELD_FLIGHTS = 5

Tables = Mapping[str, Sequence[Record]]


@dataclass(frozen=True, slots=True)
class Happening:
    """`surql` with its variables; `records`: how many records it changes."""

    surql: str
    variables: dict[str, Any] = field(default_factory=dict)
    records: int = 1


DELAY = "UPDATE $flight SET dep_delay = $minutes, arr_delay = $minutes - $made_up RETURN NONE"
CANCEL = "UPDATE $flight SET cancelled = true, dep_delay = NONE, arr_delay = NONE, dep_time = NONE RETURN NONE"
REINSTATE = "UPDATE $flight SET cancelled = false, dep_delay = $minutes RETURN NONE"
REASSIGN = "UPDATE $flight SET plane = $plane RETURN NONE"
RENAME = "UPDATE $airport SET name = $name RETURN NONE"
EXTRA = "CREATE $flight CONTENT $record RETURN NONE"
WITHDRAW = "DELETE $flight RETURN NONE"
GUST = "UPDATE $hour SET wind_speed = $speed, visib = $miles RETURN NONE"
HOLD = "BEGIN; UPDATE $flights SET dep_delay = (dep_delay ?? 0) + $minutes RETURN NONE; COMMIT;"
SWAP = (
    "BEGIN; LET $first_plane = $first.plane; UPDATE $first SET plane = $second.plane RETURN NONE;"
    " UPDATE $second SET plane = $first_plane RETURN NONE; COMMIT;"
)

WEIGHTS: Mapping[str, int] = {
    "delay": 56,
    "reassign": 14,
    "cancel": 8,
    "hold": 6,
    "reinstate": 4,
    "swap": 4,
    "extra": 4,
    "gust": 4,
    "withdraw": 3,
    "rename": 1,
}


def draw(records: Tables, count: int, seed: int) -> Iterator[Happening]:
    """That many happenings."""
    dice = random.Random(seed)
    for number in range(count):
        kind = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        yield _happening(kind, number, dice, records)


def _happening(kind: str, number: int, dice: random.Random, records: Tables) -> Happening:
    flights = records["flight"]
    flight = dice.choice(flights)["id"]
    minutes = int(dice.expovariate(1 / 45)) - 5
    match kind:
        case "delay":
            return Happening(DELAY, {"flight": flight, "minutes": minutes, "made_up": dice.randrange(20)})
        case "cancel":
            return Happening(CANCEL, {"flight": flight})
        case "reinstate":
            return Happening(REINSTATE, {"flight": flight, "minutes": minutes})
        case "reassign":
            return Happening(REASSIGN, {"flight": flight, "plane": dice.choice(records["plane"])["id"]})
        case "hold":
            held = [record["id"] for record in dice.sample(flights, HELD_FLIGHTS)]
            return Happening(HOLD, {"flights": held, "minutes": 30}, HELD_FLIGHTS)
        case "swap":
            first, second = dice.sample(flights, 2)
            return Happening(SWAP, {"first": first["id"], "second": second["id"]}, 2)
        case "gust":
            hour, speed = dice.choice(records["weather"])["id"], round(dice.uniform(0, 40), 2)
            return Happening(GUST, {"hour": hour, "speed": speed, "miles": dice.randrange(11)})
        case "extra":
            like = {name: value for name, value in dice.choice(flights).items() if name != "id"}
            return Happening(EXTRA, {"flight": RecordID("flight", f"extra_{number}"), "record": like})
        case "withdraw":
            return Happening(WITHDRAW, {"flight": flight})
        case "rename":
            return Happening(RENAME, {"airport": dice.choice(flights)["dest"], "name": f"Terminal {number}"})
    raise AssertionError(kind)
