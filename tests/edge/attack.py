"""Requests that schemathesis makes of `openapi.json`, sent to a served API: right ones, and ones wrong in every way.

An answer fails if it is no documented status of its operation, has a body that is not as described or a media type
that is not, or takes longer than `TIMEOUT_S`; any 5xx that is not documented fails with that. One seed is one sequence
of requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks

TIMEOUT_S = 10.0
EVENT_STREAM = "text/event-stream"
ACCEPTS = st.sampled_from(["*/*", "application/json", "application/problem+json", "text/plain", EVENT_STREAM])
UNKNOWN = st.dictionaries(st.text(min_size=1, max_size=8).map("x-{}".format), st.text(max_size=8), max_size=2)
CHECKS = (
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)


@dataclass
class Outcome:
    """One operation: what it answered, and the first answer that failed, with the request as a curl command."""

    name: str
    statuses: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0
    failed: str = ""


@schemathesis.serializer("application/cbor")
def _as_cbor(context: object, value: Any) -> bytes:
    return cbor2.dumps(value)


@schemathesis.serializer("application/x-ndjson")
def _as_lines(context: object, value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def attack(
    url: str, *, cases: int, seed_: int, headers: Mapping[str, str] | None = None, only: str = ""
) -> Iterator[Outcome]:
    """Each operation in turn with `cases` requests, half of them against the description."""
    load_all_checks()
    said = requests.get(f"{url}/openapi.json", headers=dict(headers or {}), timeout=TIMEOUT_S)
    schema = schemathesis.openapi.from_dict(said.json())
    schema.config.base_url = url
    with requests.Session() as session:
        session.headers.update(headers or {})
        for found in schema.get_all_operations():
            operation = found.ok()
            if only in operation.label:
                yield _attacked(operation, session, cases, seed_)


def _attacked(operation: Any, session: requests.Session, cases: int, seed_: int) -> Outcome:
    outcome = Outcome(operation.label)
    documented = {int(status) for status in operation.definition.raw["responses"]}
    streams = EVENT_STREAM in str(operation.definition.raw["responses"])

    def judge(case: Case, accept: str, unknown: dict[str, str]) -> None:
        case.headers["Accept"] = accept
        case.query = {**unknown, **(case.query or {})}
        if streams:  # it does not end: its head is the answer
            begun = case.as_transport_kwargs(operation.schema.config.base_url)
            with session.request(**begun, stream=True, timeout=TIMEOUT_S) as head:
                outcome.statuses[head.status_code] += 1
                assert head.status_code in documented, f"{head.status_code}: {case.as_curl_command()}"
            return
        response = case.call(session=session, timeout=TIMEOUT_S)
        outcome.statuses[response.status_code] += 1
        outcome.longest_s = max(outcome.longest_s, response.elapsed)
        case.validate_response(response, checks=list(CHECKS))

    left = cases
    for mode, part in ((GenerationMode.NEGATIVE, 2), (GenerationMode.POSITIVE, 1)):
        quiet = settings(
            max_examples=max(1, left // part),
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        asked = given(case=operation.as_strategy(generation_mode=mode), accept=ACCEPTS, unknown=UNKNOWN)
        try:
            seed(seed_)(quiet(asked(judge)))()
        except Unsatisfiable:
            continue  # it asks for nothing, so nothing can be wrong: every request is a right one
        except Exception as error:
            outcome.failed = outcome.failed or f"{type(error).__name__}: {error}"
        left -= left // part
    return outcome
