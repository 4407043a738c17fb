"""The evaluator of whole queries, over the tables as they are after each transaction, held against the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sp00ky.proto.surrealql import ast
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.rules import auth_params
from sp00ky.proto.whole.scope import EvaluationError, NotPlain, Scope
from sp00ky.proto.whole.select import run_select

from tests.fuzz.bench import Bench
from tests.fuzz.case import DEFINE_INDEX, Case
from tests.fuzz.judge import shown
from tests.fuzz.play import Asked, Difference, Tally, held_against
from tests.harness.oracle import Refused


def plain(case: Case, bench: Bench, tally: Tally) -> Iterator[Difference]:
    """Every query after every transaction, by `run_select`. Which index SurrealDB reads by is the plan's business: here
    there are none."""
    case = replace(case, schema=tuple(each for each in case.schema if not each.startswith(DEFINE_INDEX)))
    bench.begin(case)
    asked = [Asked.of(query, f"v{number}", bench) for number, query in enumerate(case.queries)]
    for step, statements in enumerate(case.transactions):
        bench.write(statements)
        for each in asked:
            if step >= each.query.since - 1:
                yield from _plain_check(each, step, bench, tally)


def _plain_check(asked: Asked, step: int, bench: Bench, tally: Tally) -> Iterator[Difference]:
    theirs = asked.answer(bench, asked.query.text)
    tally.checks += 1
    tally.queries.add((asked.query.text, asked.query.params))
    if asked.select is None:
        if not isinstance(theirs, Refused):
            yield Difference("not parsed", asked.query, step, "not parsed", shown(theirs))
        tally.reasons["not parsed"] += 1
        return
    try:
        ours = run_select(asked.select, _scope(asked, asked.select, bench))
    except EvaluationError as error:
        ours = Refused(error.name)
    except NotPlain as refusal:
        tally.reasons[refusal.name] += 1
        return
    except Exception as crash:
        yield Difference(f"{type(crash).__name__} instead of an answer", asked.query, step, repr(crash), shown(theirs))
        return
    yield from held_against(asked, step, (ours, theirs), bench, tally)


def _scope(asked: Asked, select: ast.Select, bench: Bench) -> Scope:
    """The tables, as far as the query's user may see them. Raises NotPlain if that cannot be said."""
    if not asked.query.auth:
        return Scope(asked.params, bench.source())
    params = {**asked.params, **auth_params(bench.viewer(asked.query.auth))}
    permitted = Permitted(bench.source(), bench.rules, params)
    permitted.check_query(select)
    return Scope(params, permitted)
