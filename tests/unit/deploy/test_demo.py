"""The demo's data, its history, and the comparison that its exit code rests on."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from sp00ky.deploy.demo.board import Heads
from sp00ky.deploy.demo.changes import WEIGHTS, draw
from sp00ky.deploy.demo.dataset import Record, make_records, read_tables
from sp00ky.deploy.demo.queries import QUERIES
from sp00ky.deploy.demo.verify import compare


@pytest.fixture(scope="module")
def records() -> dict[str, list[Record]]:
    return make_records()


def test_the_extract_is_small_and_whole() -> None:
    packed = files("sp00ky.deploy.demo").joinpath("nycflights.json.gz").read_bytes()
    assert len(packed) <= 2_000_000
    tables = read_tables()
    assert len(tables["flights"]) >= 10_000
    assert len(tables["airlines"]) == 16
    assert len(tables["airports"]) == 1458
    known = {row["tailnum"] for row in tables["planes"]}
    flown = {row["tailnum"] for row in tables["flights"]}
    assert known <= flown
    hours = {(row["origin"], row["time_hour"]) for row in tables["weather"]}
    covered = sum((row["origin"], row["time_hour"]) in hours for row in tables["flights"])
    assert covered / len(tables["flights"]) > 0.98


def test_every_flight_is_a_record_of_its_own_with_links(records: dict[str, list[Record]]) -> None:
    assert len({str(flight["id"]) for flight in records["flight"]}) == len(records["flight"])
    airlines = {str(airline["id"]) for airline in records["airline"]}
    assert {str(flight["carrier"]) for flight in records["flight"]} <= airlines
    cancelled = [flight for flight in records["flight"] if flight["cancelled"]]
    assert cancelled
    assert not any("dep_delay" in flight for flight in cancelled)


def test_one_seed_is_one_history(records: dict[str, list[Record]]) -> None:
    def history(seed: int) -> list[str]:
        return [f"{what.surql} {what.variables}" for what in draw(records, 300, seed)]

    assert history(7) == history(7)
    assert history(7) != history(8)
    happenings = list(draw(records, 600, 7))
    assert len({what.surql for what in happenings}) == len(WEIGHTS)
    assert any(what.records > 1 and "BEGIN" in what.surql for what in happenings)


def test_the_views_are_of_many_kinds() -> None:
    assert len({query.id for query in QUERIES}) == len(QUERIES) >= 8
    text = " ".join(query.surql for query in QUERIES)
    for clause in ("ORDER BY", "LIMIT", "START", "GROUP BY", "carrier.name", "$parent", " OR ", "!(", "$minutes"):
        assert clause in text
    for query in QUERIES:
        assert query.ordered == ("ORDER BY" in query.surql.rpartition("FROM")[2])


ROWS = [{"id": "a:1", "n": 1}, {"id": "a:2", "n": 2}]


@pytest.mark.parametrize(
    ("mine", "ordered", "equal"),
    [
        (ROWS, True, True),
        ([{"n": 1, "id": "a:1"}, ROWS[1]], True, True),
        (ROWS[::-1], True, False),
        (ROWS[::-1], False, True),
        (ROWS[:1], True, False),
        (ROWS[:1], False, False),
        ([*ROWS, ROWS[0]], False, False),
        ([{"id": "a:1", "n": 1.0}, ROWS[1]], False, False),
        ([{"id": "a:1", "n": True}, ROWS[1]], False, False),
    ],
)
def test_results_are_compared_exactly(mine: Any, ordered: bool, equal: bool) -> None:
    assert (compare(mine, ROWS, ordered=ordered) == []) is equal


def test_lag_is_the_age_of_the_first_thing_not_yet_seen() -> None:
    heads = Heads()
    for at, head in ((10.0, 5), (10.5, 5), (11.0, 7), (12.0, 9)):
        heads.note(at, head)
    assert heads.lag_ms(13.0, 9) == 0
    assert heads.lag_ms(13.0, 7) == heads.lag_ms(13.0, 8) == 1000
    assert heads.lag_ms(13.0, 6) == 2000
