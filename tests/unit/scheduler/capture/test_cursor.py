"""Overlap windows, clock steps, the feed's definition, progress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.scheduler.capture.cursor import (
    CLOCK_MARGIN_MS,
    NEAR_MS,
    OVERLAP_MS,
    PATIENCE_MS,
    Cursor,
    Island,
    back,
    clock_went_back,
    is_behind_retention,
    ms_of_stamp,
    stamp_of_ms,
)
from sp00ky.scheduler.capture.definition import retention_of, with_feed
from sp00ky.scheduler.capture.progress import Progress, progress_of

NOW = 1_800_000_000_000


def test_a_stamp_holds_milliseconds() -> None:
    assert ms_of_stamp(stamp_of_ms(NOW) + 65_535) == NOW
    assert back(stamp_of_ms(NOW), 5) == stamp_of_ms(NOW - 5)
    assert back(3, 5) == 0 == stamp_of_ms(-7)


def test_a_poll_reads_near_and_a_sweep_what_two_seconds_may_hide() -> None:
    cursor = Cursor(stamp_of_ms(NOW))
    cursor.polled(0)
    cursor.saw(stamp_of_ms(NOW + 900))
    cursor.polled(1000)
    cursor.saw(stamp_of_ms(NOW + 100_000))  # the database's clock leaps; ours does not
    cursor.polled(1100)
    cursor.swept(1100)
    assert cursor.near_since == stamp_of_ms(NOW + 100_000 - NEAR_MS)
    assert cursor.sweep_since == stamp_of_ms(NOW - NEAR_MS)
    cursor.polled(9000)
    cursor.swept(1000 + OVERLAP_MS - 1)
    assert cursor.sweep_since == stamp_of_ms(NOW - NEAR_MS)
    cursor.swept(1000 + OVERLAP_MS)
    assert cursor.sweep_since == stamp_of_ms(NOW + 900 - NEAR_MS)
    cursor.swept(1100 + OVERLAP_MS)
    assert cursor.sweep_since == cursor.near_since


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(-5000, 5000), st.booleans()), max_size=60))
def test_windows_only_move_on_and_sweeps_hold_two_seconds(polls: list[tuple[int, int, bool]]) -> None:
    cursor = Cursor(stamp_of_ms(NOW))
    now, stamp_ms, floor = 0, NOW, 0
    history = [(-OVERLAP_MS, cursor.last)]
    for passed, step, is_sweep in polls:
        now += passed
        stamp_ms = max(0, stamp_ms + step)
        cursor.saw(stamp_of_ms(stamp_ms))
        cursor.polled(now)
        history.append((now, cursor.last))
        if is_sweep:
            cursor.swept(now)
            settled = max(last for at, last in history if at <= now - OVERLAP_MS)
            assert cursor.sweep_since == back(settled, NEAR_MS)
        assert floor <= cursor.sweep_since <= cursor.near_since
        floor = cursor.sweep_since


@pytest.mark.parametrize("sweep_every_ms", [20, 1000, 7000])
def test_a_commit_seen_two_seconds_late_is_in_the_next_sweep(sweep_every_ms: int) -> None:
    cursor = Cursor.resumed(stamp_of_ms(NOW), None)
    swept_ms = 0
    for tick in range(0, 15_000, 20):
        cursor.saw(stamp_of_ms(NOW + tick))
        cursor.polled(tick)
        if tick - swept_ms >= sweep_every_ms:
            just_after_the_last_sweep = stamp_of_ms(NOW + swept_ms + 1 - OVERLAP_MS)
            assert cursor.sweep_since < just_after_the_last_sweep
            cursor.swept(tick)
            swept_ms = tick


@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 200_000)), max_size=40))
def test_patience_reaches_a_minute_back_where_it_costs_little_and_never_falls(sweeps: list[tuple[int, int]]) -> None:
    cursor = Cursor(stamp_of_ms(NOW))
    now, patient = 0, cursor.patient_since
    for passed, crowded_ms in sweeps:
        now += passed
        cursor.saw(stamp_of_ms(NOW + now))
        cursor.polled(now)
        cursor.swept(now)
        crowded = stamp_of_ms(NOW + now - crowded_ms)
        cursor.relent(crowded)
        wanted = min(cursor.sweep_since, max(crowded, back(cursor.sweep_since, PATIENCE_MS)))
        assert cursor.patient_since == max(patient, wanted) <= cursor.sweep_since
        patient = cursor.patient_since


def test_reading_jumps_over_the_island() -> None:
    cursor = Cursor(10, Island(100, 200))
    assert [cursor.jump(since) for since in (99, 100, 150, 200, 201)] == [99, 201, 201, 201, 201]
    assert [cursor.on_island(stamp) for stamp in (99, 100, 200, 201)] == [False, True, True, False]
    assert Cursor(10).jump(150) == 150


def test_a_clock_that_went_back() -> None:
    last = stamp_of_ms(NOW)
    assert not clock_went_back(NOW - CLOCK_MARGIN_MS, last)
    assert clock_went_back(NOW - CLOCK_MARGIN_MS - 1, last)


def test_a_feed_forgets_without_a_word() -> None:
    assert not is_behind_retention(NOW, NOW - 3_600_000 + OVERLAP_MS, 3_600_000)
    assert is_behind_retention(NOW, NOW - 3_600_000 + OVERLAP_MS - 1, 3_600_000)


@pytest.mark.parametrize(
    ("definition", "statement", "retention_ms"),
    [
        ("DEFINE DATABASE d", "DEFINE DATABASE OVERWRITE d CHANGEFEED 1d INCLUDE ORIGINAL", None),
        ("DEFINE DATABASE d CHANGEFEED 1d INCLUDE ORIGINAL", None, 86_400_000),
        ("DEFINE DATABASE d COMMENT 'x' CHANGEFEED 1w2d3h4m5s6ms INCLUDE ORIGINAL", None, 788_645_006),
        (
            "DEFINE DATABASE d CHANGEFEED 3h COMMENT 'CHANGEFEED 3h'",
            "DEFINE DATABASE OVERWRITE d CHANGEFEED 3h INCLUDE ORIGINAL COMMENT 'CHANGEFEED 3h'",
            10_800_000,
        ),
        (
            r"DEFINE DATABASE `CHANGEFEED 9h` COMMENT 'it\'s CHANGEFEED 1h INCLUDE ORIGINAL'",
            "DEFINE DATABASE OVERWRITE `CHANGEFEED 9h` COMMENT 'it\\'s CHANGEFEED 1h INCLUDE ORIGINAL'"
            " CHANGEFEED 1d INCLUDE ORIGINAL",
            None,
        ),
    ],
)
def test_a_definition_gets_its_clause_and_keeps_the_rest(
    definition: str, statement: str | None, retention_ms: int | None
) -> None:
    assert with_feed(definition, "1d") == statement
    assert retention_of(definition) == retention_ms


@pytest.mark.parametrize("island", [None, Island(5, 9)])
def test_progress_survives_its_meta_value(island: Island | None) -> None:
    progress = Progress(True, 3, stamp_of_ms(NOW), True, NOW, "abc", island)
    assert progress_of(progress.as_meta().value) == progress
    assert progress_of(None) is None
