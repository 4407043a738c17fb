"""The Python client against a real mesh: what a watch has folded is what SurrealDB answers, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sp00ky.gateway.client import Code, Delta, Fault, Mesh, Step
from sp00ky.gateway.event_reader import EventReader

from tests.harness.eventually import eventually
from tests.harness.mesh import SECRET, running_mesh
from tests.harness.mesh import Mesh as RunningMesh

pytestmark = [
    pytest.mark.processes,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
QUERIES: Mapping[str, str] = {
    "all": "SELECT * FROM account",
    "poor": "SELECT * FROM account WHERE money < 50",
    "rich": "SELECT * FROM account WHERE money >= 50",
    "top": "SELECT id, owner, money FROM account ORDER BY money DESC, id LIMIT 3",
}
TOTAL = 500
README = Path(__file__).parents[2] / "gateway" / "README.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningMesh]:
    async with running_mesh(tmp_path_factory.mktemp("client"), ssps=2) as mesh:
        await mesh.sql("FOR $n IN 0..10 { CREATE type::record('account', $n) SET owner = 'ann', money = 50 };")
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(running: RunningMesh) -> AsyncIterator[Mesh]:
    async with Mesh(running.url, token=SECRET) as mesh:
        for view, surql in QUERIES.items():
            await mesh.register(view, surql)
        yield mesh


class Following:
    """Watches until it is closed."""

    def __init__(self, client: Mesh, *views: str) -> None:
        self.names = views
        self.views: dict[str, Delta] = {}
        self.steps: list[Step] = []
        self._task = asyncio.create_task(self._follow(client, views))

    async def _follow(self, client: Mesh, views: tuple[str, ...]) -> None:
        async for step in client.watch_together(views):
            self.steps.append(step)
            self.views.update(step.deltas)
            self.judge(step)

    def judge(self, step: Step) -> None:
        """What holds at every step."""

    async def reaches(self, view: str, expected: Any) -> None:
        async def reached() -> bool:
            if self._task.done():
                self._task.result()
            return view in self.views and self.views[view].hash == expected["hash"]

        await eventually(reached, 60, what=f"{view} to be {expected}")
        assert self.views[view].rows == expected["rows"]
        assert [each.id for each in self.views[view].members] == [each["id"] for each in expected["members"]]

    async def close(self) -> None:
        self._task.cancel()
        (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


async def pay(running: RunningMesh, times: int) -> None:
    """Money goes from account to account, each time in one transaction."""
    database = await running.database()
    for number in range(times):
        await database.query(
            "BEGIN; UPDATE type::record('account', $a) SET money -= 10;"
            " UPDATE type::record('account', $b) SET money += 10; COMMIT;",
            {"a": number * 7 % 10, "b": number * 3 % 10},
        )


async def test_a_watch_tells_the_result_and_what_changes(running: RunningMesh, client: Mesh) -> None:
    deltas = client.watch("top")
    first = await anext(deltas)
    assert first.state == "live" and len(first.rows) == len(first.members) == len(first.added) == 3
    await running.sql("CREATE account:rich SET owner = 'eve', money = 1000")
    second = await anext(deltas)
    assert [each.id for each in second.added] == ["account:rich"] and len(second.removed) == 1
    assert second.rows[0] == {"id": "account:rich", "owner": "eve", "money": 1000} and len(second.rows) == 3
    assert second.revision > first.revision
    await running.sql("UPDATE account:rich SET owner = 'bob'")
    third = await anext(deltas)
    assert [each.id for each in third.updated] == ["account:rich"] and third.rows[0]["owner"] == "bob"
    await running.sql("DELETE account:rich")
    assert [each.id for each in (await anext(deltas)).removed] == ["account:rich"]
    await deltas.aclose()  # type: ignore[attr-defined]


async def test_views_that_are_watched_together_are_at_one_revision(running: RunningMesh, client: Mesh) -> None:
    """Poor and rich have everybody's money between them, at every step, wherever each of them is kept."""

    class Judged(Following):
        def judge(self, step: Step) -> None:
            assert set(self.views) == {"poor", "rich"}
            both = [*self.views["poor"].rows, *self.views["rich"].rows]
            assert sum(row["money"] for row in both) == TOTAL
            assert len({row["id"] for row in both}) == len(both) == 10

    following = Judged(client, "poor", "rich")
    await asyncio.gather(pay(running, 60), pay(running, 60))
    for view in ("poor", "rich"):
        await following.reaches(view, await running.consistent(view))
    assert len(following.steps) > 3
    await following.close()


@pytest.mark.parametrize("victim", ["gateway", "ssps", "scheduler"])
async def test_a_watch_goes_on_when_a_process_is_killed(running: RunningMesh, client: Mesh, victim: str) -> None:
    following = [Following(client, view) for view in QUERIES] + [Following(client, "poor", "rich")]
    for each in following:
        for view in each.names:
            await each.reaches(view, await running.consistent(view))
    payments = asyncio.create_task(pay(running, 120))
    for name in [ssp["id"] for ssp in running.ready["ssps"]] if victim == "ssps" else [victim]:
        running.kill(name)
    await payments
    for each in following:
        for view in each.names:
            await each.reaches(view, await running.consistent(view))
        await each.close()


async def test_a_view_that_is_gone_ends_its_watch(client: Mesh) -> None:
    await client.register("short", "SELECT * FROM account LIMIT 1")
    deltas = client.watch("short")
    await anext(deltas)
    await client.unregister("short")
    with pytest.raises(Fault) as caught:
        await anext(deltas)
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(Fault) as caught:
        await anext(client.watch("never"))
    assert caught.value.code is Code.NOT_FOUND


async def test_who_comes_back_to_an_id_that_has_another_query_now_must_fetch_again(
    running: RunningMesh, client: Mesh
) -> None:
    await running.sql("CREATE part:1 SET n = 1; CREATE part:2 SET n = 2")
    await client.register("parts", "SELECT * FROM part WHERE n = 1")
    await running.consistent("parts")
    deltas = client.watch("parts")
    had = await anext(deltas)
    assert [row["n"] for row in had.rows] == [1]
    await deltas.aclose()  # type: ignore[attr-defined]
    await client.unregister("parts")
    await client.register("parts", "SELECT * FROM part WHERE n = 2")
    await running.consistent("parts")
    for since in (had.revision, await client.revision()):
        told = []
        asked = {"rows": "1", "since": since}
        async with running.http.get(f"{running.url}/view/parts/events", params=asked) as response:
            reader = EventReader()
            async for piece in response.content.iter_any():
                told += reader.feed(piece)
                if any(event.name in ("snapshot", "up-to-date") for event in told):
                    break
        names = [event.name for event in told]
        if since == had.revision:
            assert names[:2] == ["must-refetch", "snapshot"]
            assert [row["n"] for row in json.loads(told[1].data)["rows"]] == [2]
        else:
            assert "must-refetch" not in names, "that revision is of the query it has now"


async def test_the_example_and_the_command_tell_what_a_view_holds(running: RunningMesh, client: Mesh) -> None:
    """The Python of gateway/README.md as it is written, and `spky view watch`."""
    await running.sql("CREATE product:tea SET price = 4; CREATE product:pot SET price = 30")
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    address = '"http://localhost:7667"'
    assert example.count(address) == 1
    program = example.replace(address, f'"{running.url}", token="{SECRET}"')
    told = await first_line(sys.executable, "-u", "-c", program)
    assert "[{'id': 'product:tea', 'price': 4}]" in told and "['product:tea']" in told
    spky = (sys.executable, "-m", "sp00ky.deploy.cli", "view", "watch", "cheap", "--rows", "-n", "1")
    asked = ("--url", running.url, "--secret", SECRET)
    assert "1 member" in await first_line(*spky, *asked)
    body = json.loads(await first_line(*spky, "--json", *asked))
    assert body["rows"] == [{"id": "product:tea", "price": 4}] and body["added"][0]["id"] == "product:tea"


async def first_line(*command: str) -> str:
    """Of what it prints, within a bounded time; then it is ended."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return line.decode()


async def test_calls(client: Mesh) -> None:
    revision = await client.ingest(
        {"table": "note", "op": "CREATE", "id": "note:1", "record": {"text": "x"}}, idempotency_key="one"
    )
    await client.register("notes", "SELECT * FROM note")
    view = await client.view("notes", consistency="at_least_as_fresh", revision=revision)
    assert view.rows == [{"id": "note:1", "text": "x"}] and view.revision >= revision
    assert await client.revision() >= revision
    with pytest.raises(Fault) as caught:
        await client.register("bad", "SELEC * FROM note")
    assert caught.value.code is Code.INVALID or caught.value.code is Code.UNSUPPORTED_QUERY
    async with Mesh("http://127.0.0.1:9", token=SECRET) as nobody:
        with pytest.raises(Fault) as caught:
            await nobody.revision()
    assert caught.value.code is Code.UNAVAILABLE
