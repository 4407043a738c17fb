"""G8: jobs of a real mesh, against a backend over real HTTP that counts, with kill -9 of the SSPs that run them.

The database itself counts successes: an event on the outbox table notes each row that becomes `success`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import wasmtime
import yaml
from aiohttp import web
from sp00ky.proto.database import Database

from tests.harness.eventually import eventually
from tests.harness.job_backend import JobBackend, job_backend
from tests.harness.mesh import SECRET, Mesh, running_mesh
from tests.harness.processes import SPKY

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(170)]
README = Path(__file__).parents[2] / "ssp" / "README.md"
SCHEMA = """
DEFINE TABLE job SCHEMALESS; DEFINE TABLE recorded SCHEMALESS;
DEFINE EVENT succeeded ON job WHEN $before.status != 'success' AND $after.status = 'success'
    THEN { CREATE recorded SET job = $after.id };
"""
LEASE_S = 1.0 + 5.0  # the timeout below, and the margin


def config(url: str, **stated: Any) -> dict[str, str]:
    backend = {"base_url": url, "timeout": 1, "concurrency": 8, "healthcheck": "/up", **stated}
    return {"SPKY_JOB_CONFIG": json.dumps({"job_tables": {"job": backend}})}


@dataclass(frozen=True, slots=True)
class Scene:
    """A mesh of two SSPs; the tests of it each bring jobs of their own. Table `few` has two slots."""

    mesh: Mesh
    database: Database
    served: JobBackend
    few: JobBackend
    armed: Path  # the file that arms failpoints

    async def begin(self) -> None:
        await self.database.query("DELETE job; DELETE recorded")
        self.served.calls.clear()
        self.served.answer = None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("jobs")
    armed = folder / "failpoints"
    armed.write_text("")
    async with job_backend() as served, job_backend() as few:
        tables = {
            "job": {"base_url": served.url, "timeout": 1, "concurrency": 8},
            "few": {"base_url": few.url, "timeout": 1, "concurrency": 2},
        }
        extra = {"SPKY_JOB_CONFIG": json.dumps({"job_tables": tables}), "SPKY_FAILPOINTS": f"@{armed}"}
        async with running_mesh(folder / "mesh", ssps=2, extra=extra) as mesh:
            database = await mesh.database()
            await database.query(SCHEMA)
            await database.query("DEFINE TABLE few SCHEMALESS")
            yield Scene(mesh, database, served, few, armed)


@pytest_asyncio.fixture(loop_scope="module")
async def served() -> AsyncIterator[JobBackend]:
    async with job_backend() as backend:
        yield backend


async def statuses(database: Database) -> Counter[str]:
    return Counter((await database.query("SELECT VALUE status FROM job"))[0])


async def recorded(database: Database) -> Counter[str]:
    return Counter(str(job.key) for job in (await database.query("SELECT VALUE job FROM recorded"))[0])


async def run_under_fire(scene: Scene, jobs: int, kills: int, every_s: float) -> None:
    """Every job succeeds once in the database, however often the SSPs that run them are killed."""
    await scene.begin()
    mesh, database, served, dice = scene.mesh, scene.database, scene.served, random.Random(7)

    async def answer(request: web.Request) -> web.StreamResponse:
        if dice.random() < 0.05:
            return web.Response(status=500, text="now and then")
        return web.json_response({"path": request.path})

    served.answer = answer
    rows = [{"id": f"n{n}", "path": "/work", "max_retries": 20, "delay": n * 40} for n in range(jobs)]
    await database.insert("job", rows)
    for number in range(kills):
        if len(served.keys) == jobs:
            break  # what is left are leases that run out
        before = len(served.calls)
        await eventually(lambda before=before: len(served.calls) > before, 60.0, what="further attempts")
        await fire(mesh, f"ssp-{number % 2 + 1}", every_s)

    async def done() -> bool:
        return (await statuses(database))["success"] == jobs

    await eventually(done, 100.0, what=f"{jobs} successes", every_s=0.1)
    assert await recorded(database) == {f"n{n}": 1 for n in range(jobs)}
    assert set(served.keys) == {f"job:n{n}" for n in range(jobs)}
    assert sum(served.keys.values()) >= jobs


async def fire(mesh: Mesh, name: str, every_s: float) -> None:
    """kill -9, and wait until it runs again and `every_s` have passed."""
    loop = asyncio.get_running_loop()
    pid, begun = mesh.pid_of(name), loop.time()
    mesh.kill(name)
    await eventually(lambda: mesh.pid_of(name) != pid, 60.0, what=f"{name} to run again", every_s=0.05)
    await eventually(lambda: loop.time() - begun >= every_s, every_s + 1, what="the next shot", every_s=0.05)


async def test_c10_every_job_succeeds_once_while_ssps_are_killed(scene: Scene) -> None:
    await run_under_fire(scene, jobs=60, kills=2, every_s=0.2)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_c10_a_thousand_jobs_while_ssps_are_killed_every_two_seconds(scene: Scene) -> None:
    await run_under_fire(scene, jobs=1_000, kills=12, every_s=2.0)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("jobs.before_call", marks=pytest.mark.long),
        "jobs.after_call",
        pytest.param("jobs.recorded", marks=pytest.mark.long),
    ],
)
async def test_c10_kill_before_and_after_the_call(scene: Scene, place: str) -> None:
    """Killed at that place by itself: the other SSP takes over within the lease, with the same key."""
    await scene.begin()
    mesh, database, served, armed = scene.mesh, scene.database, scene.served, scene.armed
    await database.query("CREATE job:warm SET path = '/warm'")
    await eventually(lambda: "job:warm" in served.keys, 30.0, what="jobs to be run", every_s=0.05)
    armed.write_text(f"{place}=abort")
    pids = {name: mesh.pid_of(name) for name in ("ssp-1", "ssp-2")}
    await database.query("CREATE job:a SET path = '/work'")

    def died() -> bool:
        return any(mesh.pid_of(name) != pid for name, pid in pids.items())

    await eventually(died, 30.0, what="an SSP to die", every_s=0.02)
    armed.write_text("")

    async def succeeded() -> bool:
        return (await recorded(database))["a"] == 1

    await eventually(succeeded, LEASE_S + 10.0, what="the job's success", every_s=0.05)
    calls = {"jobs.before_call": 1, "jobs.after_call": 2, "jobs.recorded": 1}[place]
    row = (await database.query("SELECT * FROM ONLY job:a"))[0]
    assert row["status"] == "success" and served.keys["job:a"] >= calls
    assert (row["lease_epoch"] > 1) is (place != "jobs.recorded")


async def test_no_more_run_at_once_on_all_ssps_than_the_table_allows_when_one_is_killed(scene: Scene) -> None:
    """Two slots: those of the SSP that is killed stay taken until its leases are over."""
    mesh, database, few = scene.mesh, scene.database, scene.few
    few.held.clear()
    await database.insert("few", [{"id": n, "path": "/work", "max_retries": 50} for n in range(12)])
    await eventually(lambda: few.inflight == 2, 30.0, what="two attempts", every_s=0.01)
    running = (await database.query("SELECT VALUE assignee FROM few WHERE status = 'processing'"))[0]
    assert len(running) == 2
    await fire(mesh, running[0], 0.0)
    few.held.set()

    async def done() -> bool:
        return set((await database.query("SELECT VALUE status FROM few"))[0]) == {"success"}

    await eventually(done, 60.0, what="every success", every_s=0.1)
    assert few.inflight_most == 2 and len(few.keys) == 12


async def schedule_under_fire(folder: Path, served: JobBackend, times: int, kills: int) -> None:
    """A schedule that is due every second makes each of its jobs once, however often the SSPs are killed; then a
    scheduler that has none of their configuration lists it."""
    stated = {"tick": {"every": "1s", "backend": "job", "route": "/tick", "payload": {"n": 1}, "concurrency": "allow"}}
    extra = {**config(served.url), "SPKY_SCHEDULES": json.dumps(stated)}
    async with running_mesh(folder, ssps=2, extra=extra) as mesh:
        database = await mesh.database()
        await database.query(SCHEMA)
        for number in range(kills):
            before = len(served.keys)
            await eventually(lambda before=before: len(served.keys) > before, 30.0, what="further due times")
            await fire(mesh, f"ssp-{number % 2 + 1}", 0.1)
        await eventually(lambda: len(served.keys) >= times, 60.0, what=f"{times} due times")
        [row] = (await mesh.get("/schedules"))["schedules"]
        assert row["made"] >= times and row["next_at"] > row["last_at"] and row["error"] is None
        jobs = (await database.query("SELECT VALUE id FROM job ORDER BY id"))[0]
        assert all(re.fullmatch(r"tick_\d{8}T\d{6}Z", str(job.key)) for job in jobs)
        assert abs(len(jobs) - row["made"]) <= 2, "a row for each that is counted, but for those made since"
        assert "every 1s" in await spky(mesh, "schedules")

        async def each_succeeded() -> bool:
            made = {str(job.key) for job in jobs}
            return made <= {name for name, times in (await recorded(database)).items() if times == 1}

        await eventually(each_succeeded, LEASE_S + 20.0, what="one success of each")


async def test_g8_a_schedule_makes_each_job_once_while_ssps_are_killed(tmp_path: Path, served: JobBackend) -> None:
    await schedule_under_fire(tmp_path, served, times=3, kills=1)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_g8_a_schedule_makes_each_job_once_while_ssps_are_killed_again_and_again(
    tmp_path: Path, served: JobBackend
) -> None:
    await schedule_under_fire(tmp_path, served, times=60, kills=20)


async def test_operators_see_kill_and_retry_jobs(tmp_path: Path, served: JobBackend) -> None:
    served.held.clear()
    async with running_mesh(tmp_path, ssps=1, extra=config(served.url, timeout=30)) as mesh:
        database = await mesh.database()
        await database.query(SCHEMA)
        assert await spky(mesh, "run", "job", "/charge", '{"amount": 7}', "--id", "job:a") == "job:a: pending\n"
        await eventually(lambda: "job:a" in served.keys, 30.0, what="the attempt", every_s=0.05)
        assert await spky(mesh, "kill", "job:a") == "job:a: cancelled\n"
        await eventually(lambda: served.keys["job:a"] == 1 and served.inflight <= 1, 10.0, what="the kill")
        served.held.set()
        assert json.loads(await spky(mesh, "show", "job:a", "--json"))["status"] == "cancelled"
        assert await spky(mesh, "retry", "job:a") == "job:a: pending\n"

        async def succeeded() -> bool:
            return bool((await mesh.get("/job/job:a") or {}).get("status") == "success")

        await eventually(succeeded, 20.0, what="the success", every_s=0.05)
        listed = json.loads(await spky(mesh, "list", "--json", "--status", "success"))
        assert [job["id"] for job in listed["jobs"]] == ["job:a"] and listed["counts"] == {"job": {"success": 1}}
        assert "job:a" in await spky(mesh, "list")
        for path, body, status in (
            ("kill", {"job_id": "job:a"}, 409),
            ("retry", {"job_id": "job:a"}, 409),
            ("retry", {"job_id": "job:none"}, 404),
            ("kill", {"job_id": "user:1"}, 404),
            ("dispatch", {"table": "job", "job_id": "job:a"}, 409),
            ("dispatch", {"table": "user"}, 404),
            ("result", {"job_id": "job:a", "status": "running"}, 200),
            ("result", {"job_id": "job:a", "status": "completed"}, 409),
            ("result", {"job_id": "job:a", "status": "odd"}, 400),
        ):
            async with mesh.http.post(f"{mesh.url}/job/{path}", json=body) as response:
                assert response.status == status, (path, body, await response.text())
        await backends_are_shown(mesh, served)
        await jobs_are_shown(mesh, served)


async def jobs_are_shown(mesh: Mesh, served: JobBackend) -> None:
    """In /info, /metrics and `spky job list`: how many, what runs, what the backend said last, and its breaker."""
    told = (await mesh.get("/metrics"))["scheduler"]["running_jobs"]
    assert told == 0, "of what has ended nothing runs"
    served.held.clear()
    for name in ("x", "y"):
        await spky(mesh, "run", "job", "/charge", "--id", f"job:{name}")

    async def running() -> bool:
        return int((await mesh.get("/metrics"))["scheduler"]["running_jobs"]) == 2

    await eventually(running, 20.0, what="two running jobs", every_s=0.05)

    async def backend() -> dict[str, Any]:
        return next(each for each in await mesh.get("/info") if each["entity"] == "backend" and each["id"] == "job")

    async def shown() -> bool:
        found = await backend()
        told = (found["running"], found["runners"], found["jobs"]["processing"], found["breaker"])
        return told == (2, 1, 2, "closed")

    await eventually(shown, 20.0, what="the backend's jobs", every_s=0.05)

    async def sick(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="no money today")

    served.answer = sick
    served.held.set()

    async def broken() -> bool:
        found = await backend()
        return found["last_error"] == "no money today" and found["breaker"] in {"open", "half_open"}

    await eventually(broken, 20.0, what="the breaker", every_s=0.05)
    served.answer = None


async def backends_are_shown(mesh: Mesh, served: JobBackend) -> None:
    async def backends() -> dict[str, str]:
        return {each["id"]: each["status"] for each in await mesh.get("/info") or [] if each["entity"] == "backend"}

    async def shown(**expected: str) -> None:
        async def are() -> bool:
            return await backends() == expected

        await eventually(are, 30.0, what=f"{expected}", every_s=0.05)

    await shown(job="healthy")
    more = [{"name": "mail", "url": "http://127.0.0.1:1", "healthcheck": "/up", "env": ["API_KEY=x"]}]
    async with mesh.http.put(f"{mesh.url}/backends", json=more) as response:
        assert response.status == 200, await response.text()
    await shown(job="healthy", mail="unreachable")
    health = await mesh.get("/health")
    assert health["status"] == "degraded"
    assert health["backends"] == {"healthy": 1, "unhealthy": 0, "unreachable": 1, "total": 2}
    pid = mesh.pid_of("scheduler")
    mesh.kill("scheduler")
    await eventually(lambda: mesh.pid_of("scheduler") != pid, 30.0, what="the scheduler again")
    await shown(job="healthy", mail="unreachable")
    async with mesh.http.put(f"{mesh.url}/backends", json=[{"name": "mail"}]) as response:
        assert response.status == 400 and "base_url" in await response.text()


async def spky(mesh: Mesh, *arguments: str) -> str:
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", SPKY, "job", *arguments, "--url", mesh.url, "--secret", SECRET],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return ran.stdout


async def test_the_example_of_the_readme_is_run_as_it_is_written(tmp_path: Path) -> None:
    section = README.read_text().partition("## Jobs")[2].partition("\n### ")[0]
    (module,) = re.findall(r"```python\n# shop.py\n(.*?)```", section, re.DOTALL)
    (sql,) = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    (settings,) = re.findall(r"export SPKY_JOB_CONFIG='(.*)'", section)
    commands = re.findall(r"^spky (job .*)$", section, re.MULTILINE)
    (tmp_path / "shop.py").write_text(module)
    extra = {"SPKY_JOB_CONFIG": settings, "PYTHONPATH": str(tmp_path)}
    async with running_mesh(tmp_path / "mesh", ssps=1, extra=extra) as mesh:
        database = await mesh.database()
        await database.query(sql)
        said = ""

        async def succeeded() -> bool:
            return set((await database.query("SELECT VALUE status FROM job"))[0]) == {"success"}

        for command in commands:
            said += await spky(mesh, *shlex.split(command)[1:])
            await eventually(succeeded, 30.0, what="the jobs' success", every_s=0.05)
        rows = (await database.query("SELECT id, result FROM job ORDER BY id"))[0]
    assert [row["result"] for row in rows] == [{"charged": 5, "key": "job:first"}, {"charged": 7, "key": "job:second"}]
    assert len(commands) == 3 and "job:second: pending" in said and "2 success" in said


async def test_the_examples_of_schedules_and_webassembly_are_run_as_they_are_written(tmp_path: Path) -> None:
    text = README.read_text()
    clock = text.partition("### On a clock")[2].partition("\n### ")[0]
    wasm = text.partition("### WebAssembly")[2].partition("\n## ")[0]
    stated = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", clock, re.DOTALL)[0])
    (settings,) = re.findall(r"export SPKY_JOB_CONFIG='(.*)'", wasm)
    (module,) = re.findall(r"```python\n# shop.py\n(.*?)```", text, re.DOTALL)
    (tmp_path / "shop.py").write_text(module)
    file = tmp_path / "shop.wasm"
    file.write_bytes(wasmtime.wat2wasm(re.findall(r"```wat\n(.*?)```", wasm, re.DOTALL)[0]))
    extra = {
        "SPKY_APPS": json.dumps(stated["apps"]),
        "SPKY_SCHEDULES": json.dumps(stated["schedules"]),
        "SPKY_JOB_CONFIG": settings.replace("wasm:shop.wasm", f"wasm:{file}"),
        "PYTHONPATH": str(tmp_path),
    }
    async with running_mesh(tmp_path / "mesh", ssps=1, extra=extra) as mesh:
        database = await mesh.database()
        await database.query("DEFINE TABLE job SCHEMALESS; DEFINE TABLE task SCHEMALESS;")
        await spky(mesh, "run", "task", "/echo", '{"amount": 7}', "--id", "task:a")

        async def results() -> list[Any]:
            answers = await database.query(
                "SELECT VALUE result FROM job WHERE status = 'success' LIMIT 1;"
                "SELECT VALUE result FROM task WHERE status = 'success'"
            )
            return [answer[0] for answer in answers] if all(answers) else []

        charged, echoed = await eventually(results, 40.0, what="a job of a schedule, and one in WebAssembly")
        assert charged["charged"] == 2 and charged["key"].startswith("job:often_")
        assert echoed == {"payload": {"amount": 7}, "key": "task:a", "attempt": 1}
        for line in re.findall(r"^spky job (.*)$", clock, re.MULTILINE):
            listed = await spky(mesh, *shlex.split(line))
            assert re.search(r"^nightly\t0 3 \* \* \*\tEurope/Berlin", listed, re.MULTILINE), listed
            assert re.search(r"^often\tevery 2s\tUTC", listed, re.MULTILINE), listed
