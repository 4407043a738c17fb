"""The queries that applications write, as views: exact after every step, and nearly all of them kept incrementally.

`corpus/` holds the applications and says what is compared; `python -m tests.oracle.corpus` prints the figures.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.oracle.corpus.application import Query, applications
from tests.oracle.corpus.replay import Replayed, Report, replay

QUERIES_MIN = 600
INCREMENTAL_MIN = 0.95  # share of the queries that are never re-evaluated
PLAIN_MIN = 0.95  # share of the queries that the plain evaluator answers at every step
MOVING_MIN = 0.95  # share of the queries whose answer a step changes
ERRORS_MAX = 10  # queries that SurrealDB answers with an error at some step

APPLICATIONS = {each.name: each for each in applications()}
each_application = pytest.mark.parametrize("name", APPLICATIONS)


@cache
def replayed(name: str) -> Replayed:
    return replay(APPLICATIONS[name])


def _share_answered(reports: list[Report]) -> float:
    return sum(report.answered for report in reports) / sum(len(report.application.queries) for report in reports)


def _aside(reports: list[Report]) -> dict[str, str]:
    return {view: reason for report in reports for view, reason in report.aside.items()}


@each_application
def test_views_equal_a_fresh_query_after_every_step(name: str) -> None:
    report = replayed(name).views
    assert report.compared > 0
    assert not report.wrong, "\n".join(report.wrong.values())


def test_nearly_all_views_are_incremental() -> None:
    reports = [replayed(name).views for name in APPLICATIONS]
    assert all(_aside(reports).values()), "a view is re-evaluated without a reason"
    assert _share_answered(reports) >= INCREMENTAL_MIN, _aside(reports)


@each_application
def test_plain_answers_are_the_engines(name: str) -> None:
    report = replayed(name).plain
    assert report.compared > 0
    assert not report.wrong, "\n".join(report.wrong.values())


def test_nearly_all_queries_are_plain() -> None:
    reports = [replayed(name).plain for name in APPLICATIONS]
    assert _share_answered(reports) >= PLAIN_MIN, _aside(reports)


# --- the corpus itself -----------------------------------------------------------------------------------------------


def _corpus() -> dict[Query, list[str]]:
    return {query: answers for name in APPLICATIONS for query, answers in replayed(name).answers.items()}


def _features() -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / "corpus" / "features.txt").read_text().splitlines()
    parts = [line.split("\t") for line in lines if line and not line.startswith("# ")]
    return [(name, pattern) for name, pattern in parts]


def test_the_corpus_is_large_and_its_queries_differ() -> None:
    texts = [query.text for query in _corpus()]
    assert len(texts) == len(set(texts)) >= QUERIES_MIN


@pytest.mark.parametrize(("name", "pattern"), _features(), ids=[name for name, _ in _features()])
def test_every_feature_is_asked_for(name: str, pattern: str) -> None:
    """In a query that SurrealDB answers."""
    assert any(any(answers) and re.search(pattern, query.written) for query, answers in _corpus().items()), name


def test_steps_change_what_is_asked_for() -> None:
    """A view whose result stands still shows little; so does one that is empty, or an error."""
    corpus = _corpus()
    still = [query.written for query, answers in corpus.items() if len(set(answers)) == 1]
    assert len(still) <= (1 - MOVING_MIN) * len(corpus), still
    empty = [query.written for query, answers in corpus.items() if set(answers) <= {"[]", "NONE", ""}]
    assert not empty
    errors = [query.written for query, answers in corpus.items() if not all(answers)]
    assert len(errors) <= ERRORS_MAX, errors
