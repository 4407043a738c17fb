"""The feed reader against a feed that does what the real one was seen to do: late commits, cut pages, clock steps."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.deploy.db import feed
from sp00ky.deploy.db.feed import FeedChange, FeedReader, changes_of
from sp00ky.proto.values.kinds import RecordId

NOW_MS = 1_700_000_000_000


class Feed:
    """Rows by stamp; a page of entries = (row, table), cut inside a row when it is full."""

    def __init__(self) -> None:
        self.rows: dict[int, list[RecordId]] = {}

    async def query(self, text):
        since, limit = map(int, re.fullmatch(r"SHOW CHANGES FOR DATABASE SINCE (\d+) LIMIT (\d+)", text).groups())
        page, left = [], limit
        for stamp in sorted(each for each in self.rows if each >= since):
            tables = sorted({record.table for record in self.rows[stamp]})[:left]
            shown = [{"update": {"id": each}} for each in self.rows[stamp] if each.table in tables]
            if not shown:
                break
            page.append({"versionstamp": stamp, "changes": shown})
            left -= len(tables)
        return page


@pytest.fixture
def present(monkeypatch):
    clock = {"ms": NOW_MS}
    monkeypatch.setattr(feed, "_present", lambda: clock["ms"] << 16)
    return clock


def stamp(ms, counter=0):
    return (NOW_MS + ms << 16) + counter


async def test_a_commit_that_shows_late_is_told(present):
    source = Feed()
    reader = FeedReader(source.query)
    source.rows[stamp(10)] = [RecordId("t", 2)]
    assert [each.record.key for each in await reader.read(64)] == [2]
    source.rows[stamp(7)] = [RecordId("t", 1)]
    assert [each.record.key for each in await reader.read(64)] == [1]
    source.rows[stamp(-900)] = [RecordId("t", 0)]
    assert await reader.read(64) == []
    assert [each.record.key for each in await reader.read()] == [0]
    assert await reader.read() == []


async def test_a_clock_that_steps_back_hides_nothing(present):
    source = Feed()
    reader = FeedReader(source.query)
    source.rows[stamp(0)] = [RecordId("t", 1)]
    assert len(await reader.read()) == 1
    present["ms"] = NOW_MS - 3_600_000
    source.rows[stamp(-3_600_000)] = [RecordId("t", 2)]
    assert [each.record.key for each in await reader.read()] == [2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=6), min_size=1, max_size=40), st.integers(8, 20)
)
async def test_every_change_once_whatever_the_pages_cut(transactions, page):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "_present", lambda: NOW_MS << 16)
        patch.setattr(feed, "PAGE_ENTRIES", page)
        source = Feed()
        reader = FeedReader(source.query)
        expected = []
        for number, tables in enumerate(transactions):
            records = [RecordId(table, [number, at]) for at, table in enumerate(sorted(tables))]
            source.rows[stamp(0, number)] = records
            expected += records
            if number % 7 == 3:
                told = [change.record for change in await reader.read()]
                assert told == expected
                expected = []
        assert [change.record for change in await reader.read()] == expected
        assert await reader.read() == []


def test_what_a_row_says():
    one = RecordId("t", 1)
    row = {
        "versionstamp": 1,
        "changes": [
            {"define_table": {"name": "t"}},
            {"update": {"id": one, "n": 1}},
            {"current": {"id": one, "n": 2}, "update": [{"op": "replace"}]},
            {"delete": {"id": one, "original": {"id": one, "n": 2}}},
        ],
    }
    assert changes_of(row) == [
        FeedChange("CREATE", one, {"id": one, "n": 1}, None),
        FeedChange("UPDATE", one, {"id": one, "n": 2}, None),
        FeedChange("DELETE", one, None, {"id": one, "n": 2}),
    ]
