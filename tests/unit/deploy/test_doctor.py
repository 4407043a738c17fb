"""`spky doctor`: each thing that can be wrong is found and named, what is well is told too, and nothing is changed."""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sp00ky.deploy.cli import app
from sp00ky.deploy.doctor.finding import Finding, Level
from sp00ky.deploy.doctor.host import directory_findings, port_findings, secret_findings, upkeep_findings
from sp00ky.deploy.doctor.mesh import NAMED_MAX, mesh_findings
from sp00ky.deploy.doctor.source import source_findings
from sp00ky.deploy.remote import Remote
from sp00ky.deploy.surreal.definitions import read_part
from sp00ky.deploy.surreal.deployment import Wanted, deploy
from sp00ky.deploy.surreal.install import bring_to
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import Loaded
from sp00ky.scheduler.config import SchedulerSettings
from typer.testing import CliRunner

from tests.conftest import DB_PASS, DB_USER, FreshDatabase
from tests.harness.served_gateway import Served, scheduler, serve  # noqa: F401


def settings_of(url: str, namespace: str = "", **more: Any) -> SchedulerSettings:
    place = {"db_ws": url, "db_user": DB_USER, "db_pass": DB_PASS, "db_ns": namespace or f"doctor_{uuid4().hex}"}
    return SchedulerSettings.model_validate({**place, "db_name": "main", **more})


def of(findings: Any, level: Level) -> dict[str, str]:
    return {finding.check: finding.said for finding in findings if finding.level is level}


def todos(findings: list[Finding]) -> None:
    assert all(bool(finding.todo) == (finding.level is not Level.OK) for finding in findings)


async def test_what_is_not_there_is_not_made(database_url: str, database: Database) -> None:
    settings = settings_of(database_url)
    findings = await source_findings(settings)
    assert of(findings, Level.FAIL) == {"namespace": f"{settings.db_ns}/main does not exist"}
    assert set(of(findings, Level.OK)) == {"database", "version", "clock"}
    info: Any = (await database.query("INFO FOR ROOT"))[0]
    assert settings.db_ns not in info["namespaces"]
    todos(findings)


async def test_a_deployed_database_is_well_and_stays_as_it_is(database_url: str, fresh_database: FreshDatabase) -> None:
    settings = settings_of(database_url)
    await deploy(settings, Wanted())
    database = await fresh_database(settings.db_ns)
    everything = "INFO FOR NS; INFO FOR DB; SELECT * FROM _00_migrations; INFO FOR TABLE _00_query"
    before = await database.query(everything)
    findings = await source_findings(settings)
    assert {finding.level for finding in findings} == {Level.OK}, findings
    checks = ["database", "version", "clock", "namespace", "changefeed", "installed version", "events", "tables"]
    assert [finding.check for finding in findings] == checks
    assert await database.query(everything) == before


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DEFINE DATABASE OVERWRITE main", (Level.FAIL, "changefeed", "has none")),
        ("DEFINE DATABASE OVERWRITE main CHANGEFEED 1d", (Level.FAIL, "changefeed", "without INCLUDE ORIGINAL")),
        ("DEFINE DATABASE OVERWRITE main CHANGEFEED 5m INCLUDE ORIGINAL", (Level.WARN, "changefeed", "0.0833333 h")),
        ("REMOVE TABLE _00_query", (Level.WARN, "installed version", "TABLE _00_query")),
        ("REMOVE TABLE _00_migrations", (Level.FAIL, "installed version", "nothing is installed")),
        (
            "ALTER TABLE _00_list_ref PERMISSIONS FULL",
            (Level.WARN, "definitions", "TABLE _00_list_ref was altered by hand"),
        ),
        ("DEFINE TABLE _00_old; DEFINE TABLE _spooky_query", (Level.WARN, "tables", "_00_old, _spooky_query")),
        ("DEFINE TABLE _00_list_ref_user_ann; DEFINE TABLE a", (Level.OK, "tables", "none unknown")),
    ],
)
async def test_what_was_done_to_the_database_is_named(
    database_url: str, fresh_database: FreshDatabase, statement: str, found: tuple[Level, str, str]
) -> None:
    level, check, said = found
    settings = settings_of(database_url)
    await deploy(settings, Wanted())
    await (await fresh_database(settings.db_ns)).query(statement)
    findings = await source_findings(settings)
    assert said in of(findings, level)[check]
    assert all(finding.level is Level.OK for finding in findings if finding.check != check)
    todos(findings)


async def test_a_newer_database_is_a_failure(database_url: str, fresh_database: FreshDatabase) -> None:
    settings = settings_of(database_url)
    await deploy(settings, Wanted())
    newer = read_part("views", 99, "DEFINE TABLE IF NOT EXISTS _00_query")
    await bring_to(await fresh_database(settings.db_ns), [newer])
    assert "newer version of the mesh" in of(await source_findings(settings), Level.FAIL)["installed version"]


async def test_events_are_there_exactly_when_they_are_asked_for(
    database_url: str, fresh_database: FreshDatabase
) -> None:
    settings = settings_of(database_url, auth_secret="the secret of all")
    database = await fresh_database(settings.db_ns)
    await database.query("DEFINE TABLE person; DEFINE TABLE knows TYPE RELATION")
    await deploy(settings, Wanted(secret="the secret of all"))
    by_events = settings.model_copy(update={"capture": "events"})
    assert of(await source_findings(by_events), Level.FAIL) == {"events": "2 tables without: knows, person"}
    await deploy(settings, Wanted(events=True, secret="the secret of all"))
    assert of(await source_findings(by_events), Level.OK)["events"] == "on each of 2 tables"
    assert of(await source_findings(settings), Level.WARN)["events"].startswith(
        "2 tables with events that post changes"
    )
    await database.query("DEFINE TABLE later")
    assert of(await source_findings(by_events), Level.FAIL) == {"events": "1 table without: later"}
    other = by_events.model_copy(update={"auth_secret": "another one of them"})
    told = await source_findings(other)
    assert of(told, Level.FAIL)["events"] == "they present another secret than SPKY_AUTH_SECRET"
    assert "the secret of all" not in str(told)
    changing = other.model_copy(update={"auth_secret_previous": "the secret of all"})
    assert set(of(await source_findings(changing), Level.FAIL).values()) == {"1 table without: later"}


async def test_a_database_that_is_away_or_refuses_is_one_finding(database_url: str) -> None:
    [away] = await source_findings(settings_of("127.0.0.1:1"))
    [refused] = await source_findings(settings_of(database_url, db_pass="wrong"))
    assert (away.level, away.check) == (Level.FAIL, "database")
    assert (refused.level, refused.check, refused.todo) == (
        Level.FAIL,
        "sign-in",
        "check SPKY_DB_USER and SPKY_DB_PASS",
    )


def test_directories_are_judged_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SchedulerSettings(data_dir=tmp_path / "data")
    assert of(directory_findings(settings), Level.OK)["data directory"].endswith("can be made")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.chdir(tmp_path)
    here = SchedulerSettings(data_dir=Path("data"))
    here.replica_dir.mkdir(parents=True)
    assert of(directory_findings(here), Level.OK)["data directory"] == f"{here.replica_dir} can be written"
    (tmp_path / "file").write_text("")
    below = SchedulerSettings(data_dir=tmp_path / "file" / "data")
    assert "cannot be written" in of(directory_findings(below), Level.FAIL)["data directory"]
    greedy = SchedulerSettings(data_dir=tmp_path, replica_log_max_bytes=2**60)
    assert "the log may grow to" in of(directory_findings(greedy), Level.WARN)["free space"]


def test_what_one_could_go_back_to_is_told(tmp_path: Path) -> None:
    settings = SchedulerSettings(data_dir=tmp_path, replica_snapshots_max=1)
    assert of(upkeep_findings(settings, ""), Level.OK)["backup"].startswith(
        f"no store is in {settings.replica_dir} yet"
    )
    settings.replica_dir.mkdir(parents=True)
    (settings.replica_dir / "CURRENT").write_text("")
    assert of(upkeep_findings(settings, ""), Level.OK)["backup"].startswith("the store keeps 1 snapshot;")
    told = list(upkeep_findings(SchedulerSettings(otel_endpoint="http://collector:4317"), "http://mesh:1"))
    assert of(told, Level.OK)["monitoring"] == "metrics are pushed to http://collector:4317"
    assert "backup" in of(told, Level.OK)
    told = list(upkeep_findings(SchedulerSettings(replica_engine="memory"), "http://mesh:1"))
    assert of(told, Level.OK) == {"monitoring": "metrics are at http://mesh:1/metrics/prometheus"}
    lost = of(directory_findings(SchedulerSettings(replica_engine="memory")), Level.WARN)
    assert "is lost" in lost["backup"]


def test_ports_and_secrets(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        stated = SchedulerSettings(listen_addr=address, grpc_addr="127.0.0.1:0")
        loaded = Loaded(stated, {"listen_addr": "flag", "grpc_addr": "flag"})
        found = of(port_findings(loaded, False, lambda url: []), Level.FAIL)
        assert found == {"ports": f"{address} is taken, and not by a scheduler"}
        assert list(port_findings(loaded, True, lambda url: [])) == []
    fields = ("listen_addr",)

    def told(stated: str, secret: str, **more: Any) -> Any:
        settings = SchedulerSettings(listen_addr=stated, auth_secret=secret, **more)
        return list(secret_findings({"scheduler": (Loaded(settings, {"listen_addr": "flag"}), fields)}))

    assert {finding.level for finding in told("127.0.0.1:1", "")} == {Level.OK}
    assert "refusing to listen" in of(told("0.0.0.0:1", ""), Level.FAIL)["secrets"]
    assert "without a secret" in of(told("0.0.0.0:1", "", insecure_dev=True), Level.FAIL)["secrets"]
    assert of(told("0.0.0.0:1", "short"), Level.WARN) == {"secrets": "SPKY_AUTH_SECRET has 5 characters"}
    assert {finding.level for finding in told("0.0.0.0:1", "x" * 32)} == {Level.OK}
    both = {name: (Loaded(SchedulerSettings(auth_secret=name * 4), {}), ()) for name in ("scheduler", "other")}
    assert "different SPKY_AUTH_SECRETs" in of(secret_findings(both), Level.FAIL)["secrets"]


class Api(Remote):
    """Answers from a table of paths; a Fault in it is raised."""

    answers: dict[str, Any]

    def get(self, path: str, **arguments: str) -> Any:
        answer = self.answers.get(f"{self.url}{path}", self.answers.get(path))
        if isinstance(answer, Fault):
            raise answer
        return answer


def told_of(**changed: Any) -> list[Finding]:
    own = {"entity": "scheduler", "id": "s", "status": "ready", "version": "1"}
    ssp = {"entity": "ssp", "id": "a", "status": "ready", "views": 2, "url": "http://127.0.0.1:2"}
    answers = {"/info": [own, ssp], "/views": [], "/metrics": {}, "/dead-letters": {"total": 0}}
    made = type("Made", (Api,), {"answers": {**answers, **{f"/{k}": v for k, v in changed.items()}}})
    findings = list(mesh_findings("http://127.0.0.1:1", "x", "1", made))
    todos(findings)
    return findings


@pytest.mark.parametrize(
    ("own", "level", "said"),
    [
        ({"entity": "scheduler", "id": "s"}, Level.WARN, "{http} has scheduler s, and --url is elsewhere"),
        ({"entity": "scheduler", "id": "s"}, Level.OK, "{grpc} has scheduler s"),
        (
            {"entity": "scheduler", "id": "s", "grpc_address": "h:1"},
            Level.FAIL,
            "{grpc} is taken, and not by scheduler s",
        ),
        ({"entity": "ssp", "id": "a"}, Level.FAIL, "{http} is taken, by ssp a"),
    ],
)
def test_who_has_the_ports_is_told_also_where_the_url_is_another(own: dict[str, str], level: Level, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as grpc:
        places = {name: f"127.0.0.1:{each.getsockname()[1]}" for name, each in (("http", http), ("grpc", grpc))}
        settings = SchedulerSettings(listen_addr=places["http"], grpc_addr=places["grpc"])
        loaded = Loaded(settings, {"listen_addr": "flag", "grpc_addr": "flag"})
        at = {f"http://{places['http']}": [{"grpc_address": places["grpc"], **own}]}
        told = list(port_findings(loaded, False, lambda url: at.get(url, [])))
    assert any(finding.level is level and finding.said.startswith(said.format(**places)) for finding in told)
    todos(told)


def test_the_running_mesh() -> None:
    own = {"entity": "scheduler", "id": "s", "status": "cloning", "version": "2", "detail": "t: 4 rows"}
    away = {"entity": "ssp", "id": "a", "status": "stale", "views": 0, "url": ""}
    ready = {**away, "id": "b", "status": "ready"}
    assert {finding.level for finding in told_of()} == {Level.OK}
    assert (
        "connection refused" in of(told_of(info=Fault(Code.UNAVAILABLE, "connection refused")), Level.FAIL)["scheduler"]
    )
    told = told_of(info=[own])
    assert of(told, Level.FAIL) == {"scheduler": "s is cloning: t: 4 rows", "ssps": "the scheduler knows none"}
    assert of(told, Level.WARN) == {"program": "the scheduler is of version 2, this is 1"}
    assert of(told_of(info=[{**own, "status": "ready"}, away]), Level.FAIL) == {"ssps": "a is stale"}
    assert of(told_of(info=[own, away, ready]), Level.WARN)["ssps"] == "a is stale"
    assert "3 changes" in of(told_of(**{"dead-letters": {"total": 3}}), Level.WARN)["dead letters"]
    refused = Fault(Code.UNAUTHENTICATED, "no")
    assert of(told_of(views=refused), Level.FAIL) == {"secrets": "scheduler refuses the secret"}
    assert of(told_of(metrics=refused), Level.FAIL) == {"secrets": "a refuses the secret"}
    assert of(told_of(metrics=Fault(Code.UNAVAILABLE, "gone")), Level.WARN) == {
        "ports": "a at http://127.0.0.1:2: gone"
    }
    views = [
        {"id": "it's", "auth": "user:a", "state": "failed", "mode": None, "reason": "no such table"},
        {"id": "w", "state": "live", "mode": "incremental", "reason": "refused"},
        {"id": "x", "state": "lagging", "mode": "reevaluated", "reason": "GROUP BY"},
    ]
    told = told_of(views=views)
    assert {finding.said for finding in told if finding.level is Level.FAIL} == {
        'edges of "w" are not written: refused',
    }
    [failed, late] = [finding for finding in told if finding.level is Level.WARN]
    assert failed.said == '"it\'s" of user:a failed: no such table'
    for what in ("get", "unregister"):
        command = shlex.join(["spky", "view", what, "it's", "--auth", "user:a"])
        assert f"`{command}`" in failed.todo
    assert late.said == "1 view lagging behind"
    assert not any(finding.level is Level.FAIL for finding in told_of(views=views[:1])), "one user's mistake"
    assert len(told_of(views=views[:1] * 12)) == len(told_of(views=[])) + NAMED_MAX, "the others are one line"


def test_what_is_no_scheduler_is_said() -> None:
    ssp = {"entity": "ssp", "id": "a", "status": "ready", "version": "1"}
    told = told_of(info=[ssp], **{"dead-letters": Fault(Code.INVALID, "is an SSP's API")})
    assert [(finding.level, finding.check) for finding in told if "SSP's API" in finding.said] == [
        (Level.WARN, "scheduler")
    ]
    assert of(told, Level.OK)["ssp"].startswith("a at") and of(told, Level.FAIL) == {}
    elsewhere = of(told_of(info={}), Level.FAIL)
    assert elsewhere == {"scheduler": "http://127.0.0.1:1 is not an API of the mesh"}


def test_a_mesh_that_answers_outside_without_a_secret_is_a_failure() -> None:
    own = {"entity": "scheduler", "id": "s", "status": "ready", "version": "1"}
    made = type("Made", (Api,), {"answers": {"/info": [own], "/views": [], "/dead-letters": {"total": 0}}})
    told = list(mesh_findings("http://mesh.example:9667", "x", "1", made))
    assert "answers without a secret" in of(told, Level.FAIL)["secrets"]


async def test_a_served_gateway_is_asked_as_it_is(scheduler: Served) -> None:  # noqa: F811
    session, _ = scheduler
    told = await asyncio.to_thread(lambda: list(mesh_findings(str(session._base_url), "", "0.1")))
    assert of(told, Level.OK)["scheduler"].endswith("is ready")
    assert {"dead letters", "views"} <= {finding.check for finding in told}
    assert not any("1 views" in finding.said for finding in told)
    todos(told)


async def test_the_command_ends_with_its_verdict(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DB_WS": database_url, "DB_USER": DB_USER, "DB_PASS": DB_PASS}.items():
        monkeypatch.setenv(f"SPKY_{name}", value)
    words = [
        "doctor",
        "--url",
        "http://127.0.0.1:1",
        "--data-dir",
        str(tmp_path / "d"),
        "--ns",
        f"doctor_{uuid4().hex}",
    ]
    result = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--json"])
    told = json.loads(result.output)
    assert (result.exit_code, told["ok"]) == (1, False)
    assert {finding["check"] for finding in told["findings"] if finding["level"] == "fail"} == {
        "namespace",
        "scheduler",
    }
    lines = (await asyncio.to_thread(CliRunner().invoke, app, words)).output.splitlines()
    assert len(lines) == len(told["findings"]) and any("-> run `spky deploy`" in line for line in lines)
    misspelt = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--set", "capture=bogus"])
    assert misspelt.exit_code == 1 and misspelt.output.startswith("fail  settings: ")
