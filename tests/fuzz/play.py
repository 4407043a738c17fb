"""What is held against the engine when a case is played, and what is found: the words that both subjects share.

A subject is a function from a case to its differences. There are two: `views.py`, the SSP's engine, whose views follow
the transactions; `plain.py`, the evaluator of whole queries over the tables as they are after each transaction.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.values.kinds import Value

from tests.fuzz.bench import Bench, SchemaRefused
from tests.fuzz.case import Case, Query
from tests.fuzz.judge import is_fickle, same_answer, shown
from tests.harness.oracle import Refused


@dataclass(frozen=True, slots=True)
class Difference:
    """What a query showed after a transaction, and what the engine answers. `kind` is one of a few words."""

    kind: str
    query: Query
    step: int
    ours: str
    theirs: str


@dataclass
class Tally:
    """What was checked. `reasons`: why a check compared nothing, and how often."""

    checks: int = 0
    compared: int = 0
    errors: int = 0  # of the compared: both refuse
    fickle: int = 0
    queries: set[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass
class Asked:
    """A query of the case on its way: parsed once, its parameters evaluated once."""

    query: Query
    name: str
    params: Mapping[str, Value]
    select: ast.Select | None

    @staticmethod
    def of(query: Query, name: str, bench: Bench) -> Asked:
        try:
            select = parse_select(query.text)
        except ParseError:
            select = None
        return Asked(query, name, bench.params(query), select)

    def answer(self, bench: Bench, text: str) -> Value | Refused:
        """The engine's, to this text in the query's place."""
        return bench.answer(text, self.params, self.query.auth)


Subject = Callable[[Case, Bench, Tally], Iterator[Difference]]


def differences(subject: Subject, case: Case, bench: Bench, tally: Tally) -> Iterator[Difference]:
    """What differs in the case; if the subject itself breaks, that is the last of it. Raises SchemaRefused."""
    try:
        yield from subject(case, bench, tally)
    except SchemaRefused:
        raise
    except Exception as crash:
        place = "".join(traceback.format_tb(crash.__traceback__)[-1:]).strip()
        yield Difference(f"breaks with {type(crash).__name__}", case.queries[-1], len(case.steps), repr(crash), place)


def held_against(
    asked: Asked, step: int, answers: tuple[Value | Refused, Value | Refused], bench: Bench, tally: Tally
) -> Iterator[Difference]:
    """`answers`: ours, the engine's."""
    ours, theirs = answers
    ask = partial(asked.answer, bench)
    tally.compared += 1
    kind = ""
    if isinstance(ours, Refused):
        tally.errors += isinstance(theirs, Refused)
        kind = "" if isinstance(theirs, Refused) else "refuses what the engine answers"
    elif isinstance(theirs, Refused):
        kind = "answers what the engine refuses"
    elif not same_answer(ours, theirs, asked.select, ask, indexed=bench.indexed):
        kind = "differs"
    if kind and is_fickle(asked.query.text, theirs, ask):
        tally.fickle += 1
    elif kind:
        yield Difference(kind, asked.query, step, shown(ours), shown(theirs))
