"""Read-only SurrealQL on the replica, at any retained revision."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sp00ky.proto.faults import Code
from sp00ky.proto.surrealql import cursor, lexer
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.tokens import Token
from sp00ky.proto.v1 import proxy_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.rpc import proxy

from tests.harness.scheduler import Scheduler, change, fault_from, open_store


@pytest.fixture(params=["memory", "rocksdb"])
async def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scheduler]:
    async with Scheduler(open_store(request.param, tmp_path)) as running:
        for key, name in ((1, "ada"), (2, "bob"), (300, "cleo"), (-5, "dan"), ("x", "eve")):
            boss = RecordId("person", 1)
            ticket = await running.offer(change("person", key, name=name, boss=boss))
            await ticket.seq()
        yield running


async def rows(scheduler: Scheduler, query: str, vars_json: str = "", revision: str = "") -> Value:
    response = await scheduler.proxy.Query(proxy_pb2.QueryRequest(query=query, vars_json=vars_json, revision=revision))
    return unpack(response.result)


async def test_a_query_reads_the_replica_in_id_order(scheduler: Scheduler) -> None:
    assert [row["name"] for row in await rows(scheduler, "SELECT * FROM person")] == [
        "dan",
        "ada",
        "bob",
        "cleo",
        "eve",
    ]
    found = await rows(
        scheduler, "SELECT VALUE name FROM person WHERE name > $least ORDER BY name DESC LIMIT 2", '{"least": "bob"}'
    )
    assert found == ["eve", "dan"]
    assert await rows(scheduler, "SELECT VALUE boss.name FROM person:2") == ["ada"]
    assert await rows(scheduler, "SELECT * FROM nothing") == []


async def test_several_statements_answer_the_first(scheduler: Scheduler) -> None:
    assert await rows(scheduler, "SELECT VALUE name FROM person:1; SELECT * FROM person;") == ["ada"]
    assert await rows(scheduler, "RETURN 1 + 1; SELECT * FROM person") == 2


async def test_g11_a_revision_answers_the_same_for_ever(scheduler: Scheduler) -> None:
    at = scheduler.driver.token(2)
    before = await scheduler.proxy.Query(proxy_pb2.QueryRequest(query="SELECT * FROM person", revision=at))
    await (await scheduler.offer(change("person", 1, op="DELETE"))).seq()
    after = await scheduler.proxy.Query(proxy_pb2.QueryRequest(query="SELECT * FROM person", revision=at))
    assert before == after and after.revision == at
    assert len(unpack(after.result)) == 2
    assert len(await rows(scheduler, "SELECT * FROM person")) == 4


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DELETE person", "line 1, column 1"),
        ("SELECT * FROM person;\n  UPDATE person SET x = 1", "line 2, column 3"),
        ("CREATE person", "line 1, column 1"),
        ("RETURN 1;\nRETURN 2; DELETE person", "line 2, column 11"),
        ("RETURN 1;" * 3_000 + "DELETE person", "line 1, column 27001"),
        ("RETURN 1; RETURN 'open", "line 1, column 18"),
        ("SELECT * FROM (DELETE person)", "line 1"),
        ("SELECT * FORM person", "line 1, column"),
        ("", "empty"),
        (";;", "empty"),
        ("SELECT http::get('x') FROM person", "http::get"),
        ("SELECT fn::mine() FROM person", "fn::mine"),
    ],
)
async def test_what_cannot_be_run_is_refused(scheduler: Scheduler, query: str, words: str) -> None:
    fault = await fault_from(scheduler.proxy.Query(proxy_pb2.QueryRequest(query=query)))
    assert fault.code is Code.INVALID and words in fault.message, fault
    assert scheduler.driver.store.head_seq == 5


async def test_a_revision_that_is_not_retained_names_floor_and_head(scheduler: Scheduler) -> None:
    request = proxy_pb2.QueryRequest(query="SELECT * FROM person", revision=scheduler.driver.token(99))
    fault = await fault_from(scheduler.proxy.Query(request))
    assert fault.code is Code.REVISION_GONE
    assert fault.details["head"] == scheduler.driver.token(5) and fault.details["floor"]


async def test_vars_travel_packed_too(scheduler: Scheduler) -> None:
    query = "SELECT VALUE name FROM person WHERE id = $who"
    request = proxy_pb2.QueryRequest(query=query, vars=pack({"who": RecordId("person", 2)}))
    assert unpack((await scheduler.proxy.Query(request)).result) == ["bob"]
    for broken in (
        proxy_pb2.QueryRequest(query=query, vars_json="[]"),
        proxy_pb2.QueryRequest(query=query, vars=b"\xc1"),
    ):
        assert (await fault_from(scheduler.proxy.Query(broken))).code is Code.INVALID


async def test_a_query_ends_at_its_deadline(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "QUERY_SECONDS_MAX", -1.0)
    fault = await fault_from(scheduler.proxy.Query(proxy_pb2.QueryRequest(query="SELECT * FROM person")))
    assert fault.code is Code.TIMEOUT


@pytest.mark.parametrize("statement", ["RETURN 1;", "SELECT * FROM person;", ";", "RETURN [1, {a: 2}];\n"])
def test_many_statements_take_work_in_proportion_to_their_length(
    monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Every scanner of text is counted: the characters that are read, in all, are few times those of the query."""
    scanned: list[int] = []

    def counting(source: str, before: tuple[Token, ...] = ()) -> tuple[list[Token], ParseError | None]:
        scanned.append(len(source))
        return real(source, before)

    real = lexer.scan
    for module in (lexer, cursor):
        monkeypatch.setattr(module, "scan", counting)
    query = "RETURN 1;" + statement * 1_000
    proxy.first_statement(query)
    assert len(query) < sum(scanned) <= 3 * len(query)


async def test_a_query_is_parsed_beside_the_loop(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed_in: list[str] = []

    def noting(query: str) -> object:
        parsed_in.append(threading.current_thread().name)
        return real(query)

    real = proxy.first_statement
    monkeypatch.setattr(proxy, "first_statement", noting)
    assert await rows(scheduler, "RETURN 1;" * 3_000) == 1
    assert parsed_in == ["proxy query"]


async def test_a_query_that_is_too_long_is_refused(scheduler: Scheduler) -> None:
    query = "RETURN 1;" + " " * (proxy.QUERY_CHARS_MAX - len("RETURN 1;"))
    assert await rows(scheduler, query) == 1
    fault = await fault_from(scheduler.proxy.Query(proxy_pb2.QueryRequest(query=query + " ")))
    assert fault.code is Code.TOO_LARGE
