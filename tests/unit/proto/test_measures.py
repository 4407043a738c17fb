"""The list of metrics: well-formed, and all that services count is in it."""

from __future__ import annotations

import re

import pytest
from sp00ky.proto.measures import MEASURES, Distribution, Kind, Measure


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_a_metric_is_named_as_prometheus_and_opentelemetry_want_it(measure: Measure) -> None:
    assert re.fullmatch(r"spky(_[a-z]+)+", measure.name), measure.name
    assert measure.about.endswith(".")
    assert measure.name.endswith("_total") is (measure.kind is Kind.COUNTER)
    assert not set(measure.labels) & {"view", "view_id", "user", "auth", "auth_id", "client"}
    for labels in measure.keys.values():
        assert set(labels) <= set(measure.labels)


def test_names_and_keys_are_there_once() -> None:
    names = [measure.name for measure in MEASURES]
    dotted = [measure.dotted for measure in MEASURES]
    keys = [key for measure in MEASURES for key in measure.keys]
    for listed in (names, dotted, keys):
        assert sorted(listed) == sorted(set(listed))


def test_a_unit_is_said_apart() -> None:
    said = {measure.name: (measure.dotted, measure.unit) for measure in MEASURES}
    assert said["spky_wal_fsync_duration_seconds"] == ("spky.wal.fsync.duration", "s")
    assert said["spky_audit_read_bytes_total"] == ("spky.audit.read", "By")
    assert said["spky_wal_appended_total"] == ("spky.wal.appended", "1")


def test_a_distribution_counts_each_size_in_the_first_bucket_that_holds_it() -> None:
    distribution = Distribution((1.0, 2.0))
    for size in (0.5, 1.0, 1.5, 2.5, 9.0):
        distribution.observe(size)
    assert (distribution.counts, distribution.sum) == ([2, 1, 2], 14.5)
    more = Distribution((1.0, 2.0))
    more.add(distribution)
    more.observe(2.0)
    message = more.message("spky_x", stage="a")
    assert (list(message.counts), message.sum, dict(message.labels)) == ([2, 2, 2], 16.5, {"stage": "a"})
