"""A short slice of `python -m tests.edge`: the described API is the served one, for requests right and wrong."""

from __future__ import annotations

from functools import partial

import pytest
from sp00ky.gateway.endpoints import endpoints_of
from sp00ky.gateway.exchange import Api

from tests.edge.attack import attack
from tests.edge.served import before_fake_mesh, before_scheduler, in_thread

SEED = 7
# The server under attack is in this process and draws its pauses by `random`, which hypothesis takes for its own draws.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)


@pytest.mark.parametrize("api", ["scheduler", "ssp"])
def test_i1_no_request_gets_an_answer_that_is_not_described(api: Api) -> None:
    with in_thread(partial(before_fake_mesh, api)) as url:
        outcomes = list(attack(url, cases=4, seed_=SEED))
    assert [outcome.failed for outcome in outcomes if outcome.failed] == []
    assert {outcome.name for outcome in outcomes} == {endpoint.name for endpoint in endpoints_of(api)}
    answered = {status for outcome in outcomes for status in outcome.statuses}
    assert {200, 400} <= answered, "requests of both kinds were made"


def test_i1_neither_does_one_that_a_real_scheduler_answers() -> None:
    with in_thread(partial(before_scheduler, "scheduler")) as url:
        asked = ("/ingest", "/proxy/query", "/view/register", "GET /view/{id}")
        outcomes = [outcome for only in asked for outcome in attack(url, cases=8, seed_=SEED, only=only)]
    assert [outcome.failed for outcome in outcomes if outcome.failed] == []
    assert 200 in outcomes[0].statuses, "something was appended"
