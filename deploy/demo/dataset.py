"""The flights as records: typed links between tables, keys as people know them (`airline:UA`, `plane:N14228`).

A link may point to nothing: four airports of the Caribbean and the planes of two airlines are not in the data. That is
how it came, and what SurrealDB does with such links is part of what the demo verifies.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

from surrealdb import RecordID

Record = dict[str, Any]
Row = Mapping[str, Any]

SCHEMA = """
DEFINE TABLE IF NOT EXISTS airline SCHEMALESS;
DEFINE TABLE IF NOT EXISTS airport SCHEMALESS;
DEFINE TABLE IF NOT EXISTS plane SCHEMALESS;
DEFINE TABLE IF NOT EXISTS weather SCHEMALESS;
DEFINE TABLE IF NOT EXISTS flight SCHEMALESS;
DEFINE INDEX IF NOT EXISTS flight_carrier ON flight FIELDS carrier;
"""


def read_tables() -> dict[str, list[Row]]:
    """The shipped extract: table → rows by column name."""
    packed = files(__package__).joinpath("nycflights.json.gz").read_bytes()
    tables = json.loads(gzip.decompress(packed))
    return {
        name: [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] for name, table in tables.items()
    }


def make_records() -> dict[str, list[Record]]:
    """Records by table, in the order they are loaded: what links point to comes first."""
    tables = read_tables()
    return {
        "airline": [{"id": RecordID("airline", row["carrier"]), "name": row["name"]} for row in tables["airlines"]],
        "airport": [_known({**row, "id": RecordID("airport", row["faa"])}, "faa") for row in tables["airports"]],
        "plane": [_known({**row, "id": RecordID("plane", row["tailnum"])}, "tailnum") for row in tables["planes"]],
        "weather": [_weather(row) for row in tables["weather"]],
        "flight": [_flight(row) for row in tables["flights"]],
    }


def _known(row: Row, *dropped: str) -> Record:
    """Without the columns that are empty, as an application would store them."""
    return {name: value for name, value in row.items() if value is not None and name not in dropped}


def _weather(row: Row) -> Record:
    links = {"origin": RecordID("airport", row["origin"]), "at": _instant(row["time_hour"])}
    key = [row["origin"], row["time_hour"]]
    return _known({**row, **links, "id": RecordID("weather", key)}, "time_hour")


def _flight(row: Row) -> Record:
    key = f"{row['carrier']}{row['flight']}_{row['month']:02}{row['day']:02}_{row['origin']}"
    links = {
        "id": RecordID("flight", key),
        "carrier": RecordID("airline", row["carrier"]),
        "origin": RecordID("airport", row["origin"]),
        "dest": RecordID("airport", row["dest"]),
        "plane": RecordID("plane", row["tailnum"]) if row["tailnum"] else None,
        "scheduled": _instant(row["time_hour"]),
        "cancelled": row["dep_time"] is None,
    }
    return _known({**row, **links}, "tailnum", "time_hour")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def batches(rows: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
