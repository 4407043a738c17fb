"""A run over many cases: what to draw next, what was found, how much was checked.

Queries come from one stream: each choice of each clause dimension alone, then rows of a covering array of pairs, then
of triples, then random rows for ever. A case takes the next of them and a history of its own; case `n` of a seed is the
same case in every run.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from tests.fuzz.bench import Bench
from tests.fuzz.case import Case, Query
from tests.fuzz.covering import Row, covering, each_alone, random_rows
from tests.fuzz.play import Difference, Subject, Tally, differences
from tests.fuzz.selects import DIMENSIONS, Selects
from tests.fuzz.shrink import Shrinking, constructs, error_of
from tests.fuzz.tables import drawn_history
from tests.fuzz.users import with_users

QUERIES = 20
STEPS = 5
CASES_A_USERS = 4
_BENCH_CASES = 200  # an engine is replaced after so many


def choices(seed: int) -> Iterator[Row]:
    """The stream of clause choices."""
    draw = random.Random(seed)
    return chain(
        each_alone(DIMENSIONS), covering(DIMENSIONS, 2, draw), covering(DIMENSIONS, 3, draw),
        random_rows(DIMENSIONS, draw),
    )  # fmt: skip


def cases(seed: int, first: int = 0, *, users_each: int = CASES_A_USERS) -> Iterator[tuple[int, Case]]:
    """The cases of a seed with their numbers, from the `first` on. Of each so many, the last has users."""
    stream = choices(seed)
    for number, rows in enumerate(iter(lambda: list(islice(stream, QUERIES)), [])):
        if number >= first:
            users = number % users_each == users_each - 1
            yield number, drawn_case(random.Random(f"{seed}/{number}"), rows, users=users)


def drawn_case(draw: random.Random, rows: list[Row], *, users: bool) -> Case:
    """A quarter of the queries is registered before the data, a quarter somewhere in the history. `users` ask them."""
    tables, case = drawn_history(draw, STEPS)
    selects = Selects(draw, tables)
    queries: dict[str, Query] = {}
    for row in rows:
        since = draw.choice((0, 1, 1, draw.randint(1, max(len(case.steps), 1))))
        query = selects.query(row, since)
        queries[query.text] = query
    case = replace(case, queries=tuple(queries.values()))
    return with_users(draw, tables, case) if users else case


@dataclass(frozen=True, slots=True)
class Found:
    """One failing construct: the first case that showed it, made small."""

    kind: str
    constructs: frozenset[str]
    case: Case
    difference: Difference

    def explains(self, difference: Difference, made_of: frozenset[str]) -> bool:
        """The difference may well be this one once more."""
        same = self.kind == difference.kind and error_of(self.difference.theirs) == error_of(difference.theirs)
        return same and bool(self.constructs) and self.constructs <= made_of

    @property
    def name(self) -> str:
        return f"{self.kind}: {' '.join(sorted(self.constructs))}"


@dataclass
class Campaign:
    """`run` until the time or the cases are over. `found` counts differences by what they are made of."""

    subject: Subject
    seed: int
    tally: Tally = field(default_factory=Tally)
    found: dict[str, Found] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    played: int = 0
    began: float = field(default_factory=time.monotonic)
    _bench: Bench = field(default_factory=Bench)

    def play(self, case: Case) -> list[Found]:
        """One case; what is new in it, made small."""
        if self.played and self.played % _BENCH_CASES == 0:
            self._bench = Bench()
        self.played += 1
        first: dict[str, Difference] = {}
        for difference in differences(self.subject, case, self._bench, self.tally):
            first.setdefault(difference.query.text, difference)
        return [new for difference in first.values() if (new := self._noted(case, difference)) is not None]

    def _noted(self, case: Case, difference: Difference) -> Found | None:
        """A difference of known constructs is counted only."""
        made_of = constructs(difference.query, case)
        known = [each for each in self.found.values() if each.explains(difference, made_of)]
        if known:
            self.counts[max(known, key=lambda each: len(each.constructs)).name] += 1
            return None
        small, shown = Shrinking(self.subject, self._bench, difference).shrunk(case)
        found = Found(difference.kind, constructs(small.queries[0], small), small, shown)
        self.counts[found.name] += 1
        return None if found.name in self.found else self.found.setdefault(found.name, found)

    def progress(self) -> dict[str, object]:
        seconds = time.monotonic() - self.began
        tally = self.tally
        return {
            "seconds": round(seconds, 1),
            "cases": self.played,
            "queries": len(tally.queries),
            "checks": tally.checks,
            "compared": tally.compared,
            "share": round(tally.compared / max(tally.checks, 1), 3),
            "checks_per_second": round(tally.checks / max(seconds, 0.001)),
            "errors_on_both_sides": tally.errors,
            "fickle": tally.fickle,
            "reasons": dict(tally.reasons.most_common(40)),
            "differences": dict(self.counts.most_common()),
        }
