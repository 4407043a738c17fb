"""What a revision promises, asked over HTTP of a real mesh: a write's own reader sees it, the past does not change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from sp00ky.proto.database import Database

from tests.harness.mesh import Mesh, running_mesh

pytestmark = [
    pytest.mark.processes,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
QUERIES: Mapping[str, str] = {
    "filter": "SELECT * FROM book WHERE pages > 20",
    "window": "SELECT title, pages FROM book ORDER BY pages DESC LIMIT 3",
    "link": "SELECT title, author.name AS name FROM book WHERE author.name = 'ada'",
    "nested": "SELECT name, (SELECT title FROM book WHERE author = $parent.id ORDER BY title) AS books FROM author",
    "groups": "SELECT author, count() AS n, math::sum(pages) AS pages FROM book GROUP BY author",
}
FIELDS = ("revision", "hash", "state", "mode", "members", "rows")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path_factory.mktemp("revisions"), ssps=2) as running:
        await running.sql(
            "DEFINE TABLE author; DEFINE TABLE book;"
            "CREATE author:a SET name = 'ada'; CREATE author:b SET name = 'bob';"
            "CREATE book:1 SET title = 'one', pages = 10, author = author:a;"
        )
        for view, surql in QUERIES.items():
            await running.register(view, surql)
            await running.consistent(view)
        yield running


async def barrier(mesh: Mesh) -> str:
    """A token that holds everything committed before the call."""
    async with mesh.http.get(f"{mesh.url}/revision") as response:
        answer = await response.json()
        assert response.status == 200, answer
        assert response.headers["Spky-Revision"] == answer["revision"]
        return str(answer["revision"])


async def steps(database: Database) -> AsyncIterator[None]:
    """Changes, each of which moves some of the views, by links and sub-selects too."""
    for text in (
        "CREATE book:2 SET title = 'two', pages = 30, author = author:b",
        "UPDATE book:1 SET pages = 25",
        "UPDATE author:b SET name = 'ada'",
        "CREATE book:3 SET title = 'three', pages = 40, author = author:b; DELETE book:2",
        "UPDATE author:a SET name = 'eve'; UPDATE book SET pages += 1",
        "DELETE book:1",
    ):
        await database.query(f"BEGIN; {text}; COMMIT;" if ";" in text else text)
        yield


async def test_read_your_writes_by_token(mesh: Mesh) -> None:
    """Written through SurrealDB, token taken, view read at least as fresh as it: contains the write, every time."""
    database = await mesh.database()
    await mesh.register("mine", "SELECT VALUE n FROM note WHERE n >= 0")
    for number in range(20):
        await database.query("CREATE note SET n = $n", {"n": number})
        token = await barrier(mesh)
        status, answer = await mesh.view("mine", rows="1", consistency="at_least_as_fresh", revision=token)
        assert status == 200, answer
        assert set(answer["rows"]) == set(range(number + 1))
        assert answer["revision"] >= token, "tokens of one store sort as their revisions do"


async def test_g11_an_exact_read_answers_the_same_for_ever(mesh: Mesh) -> None:
    """What each view was at each revision is asked again after all later changes, twice, and of a restarted SSP."""
    database = await mesh.database()
    seen: list[tuple[str, dict[str, Any]]] = []
    async for _ in steps(database):
        token = await barrier(mesh)
        for view in QUERIES:
            status, answer = await mesh.view(view, rows="1", consistency="at_exact_snapshot", revision=token)
            assert status == 200, answer
            assert answer["revision"][:26] == token[:26], "the same store and epoch"
            seen.append((token, {"view": view, **{field: answer[field] for field in FIELDS}}))
    assert len({answer["hash"] for _, answer in seen}) > len(QUERIES), "the views moved"

    async def ask_again() -> None:
        for token, before in seen:
            answer = await mesh.exact(before["view"], token)
            assert {"view": before["view"], **{field: answer[field] for field in FIELDS}} == before

    await ask_again()
    await ask_again()
    mesh.kill(mesh.ready["ssps"][0]["id"])
    await ask_again()


async def test_exact_reads_of_the_replica_are_the_database_at_that_moment(mesh: Mesh) -> None:
    database = await mesh.database()
    query = "SELECT * FROM diary ORDER BY id"
    moments = []
    for number in range(5):
        await database.query("UPSERT type::record('diary', $n) SET n = $n; UPDATE diary SET seen = $n", {"n": number})
        moments.append((await barrier(mesh), (await mesh.sql(query))[0]))
    for token, expected in moments:
        body = {"query": query, "revision": token}
        async with mesh.http.post(f"{mesh.url}/proxy/query", json=body) as response:
            assert await response.json() == expected
            assert response.headers["Spky-Revision"][27:] == token[27:]


async def test_revisions_that_are_not_ours_are_refused_by_name(mesh: Mesh) -> None:
    database = await mesh.database()
    await database.query("CREATE pair:a")
    await barrier(mesh)
    await database.query("BEGIN; CREATE pair:b; CREATE pair:c; CREATE pair:d; COMMIT;")
    token = await barrier(mesh)
    store, epoch, seq = token.split(".")[1:]
    foreign = f"v1.{'0' * 8 if store != '0' * 8 else '1' * 8}.{epoch}.{seq}"
    future = f"v1.{store}.{epoch}.{int(seq) + 10_000:020d}"
    unborn = f"v1.{store}.{int(epoch, 16) + 7:08x}.{seq}"
    inside = f"v1.{store}.{epoch}.{int(seq) - 1:020d}"

    async def refused(consistency: str, revision: str, status: int, reason: str) -> None:
        answered, answer = await mesh.view("filter", consistency=consistency, revision=revision)
        assert (answered, answer.get("details", {}).get("reason", "")) == (status, reason), answer
        body = {"query": "SELECT * FROM book", "consistency": consistency, "revision": revision}
        async with mesh.http.post(f"{mesh.url}/proxy/query", json=body) as response:
            answer = await response.json()
            assert (response.status, answer.get("details", {}).get("reason", "")) == (status, reason), answer
            if status == 410:
                assert answer["details"]["head"] >= token > answer["details"]["floor"], answer

    for consistency in ("at_least_as_fresh", "at_exact_snapshot"):
        await refused(consistency, foreign, 410, "foreign")
        await refused(consistency, future, 410, "future")
        await refused(consistency, unborn, 410, "lost_branch")
        await refused(consistency, "v1.nonsense", 400, "")
    await refused("at_exact_snapshot", inside, 400, "")


async def test_exact_reads_beside_writes_are_never_mixed(mesh: Mesh) -> None:
    """A transfer keeps the sum; every revision that is handed out shows a state between two transfers."""
    database = await mesh.database()
    await database.query("CREATE account:a SET v = 500; CREATE account:b SET v = 500")
    await mesh.register("accounts", "SELECT VALUE v FROM account ORDER BY id")
    await mesh.consistent("accounts")
    done = asyncio.Event()

    async def transfer() -> None:
        while not done.is_set():
            await database.query("BEGIN; UPDATE account:a SET v -= 1; UPDATE account:b SET v += 1; COMMIT;")

    writing = asyncio.create_task(transfer())
    try:
        for _ in range(15):
            token = await barrier(mesh)
            status, answer = await mesh.view("accounts", rows="1", consistency="at_exact_snapshot", revision=token)
            assert status == 200, answer
            assert sum(answer["rows"]) == 1000, answer
    finally:
        done.set()
        await writing
