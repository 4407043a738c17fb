"""The command: what it prints, and the small parsers behind it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from sp00ky.deploy.cli import app
from sp00ky.deploy.cli_client import BATCH_LINES, batches
from sp00ky.deploy.cli_view import parse_auth, parse_params
from sp00ky.deploy.environment import parse_assignments
from sp00ky.deploy.remote import Remote, fault_of_response, view_path
from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings
from typer.testing import CliRunner

from tests.harness.processes import running


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_documented_command_is_there() -> None:
    assert all(name in run("--help") for name in ("serve", "dev", "status", "view", "ingest", "demo", "config"))
    assert all(name in run("serve", "--help") for name in ("db", "scheduler", "ssp", "gateway", "all"))
    assert all(
        name in run("view", "--help") for name in ("register", "get", "list", "watch", "unregister", "explain", "why")
    )


def test_what_one_starts_with_comes_first_and_defaults_are_shown() -> None:
    names = [line.split()[1] for line in run("--help").splitlines() if line.startswith("│ ") and line[2] != " "]
    assert names[names.index("dev") :][:2] == ["dev", "serve"]
    stated = SchedulerSettings()
    for command in (["deploy"], ["doctor"], ["serve", "scheduler"]):
        shown = "".join(run(*command, "--help").replace("│", "").split())
        for field in ("db_ws", "db_ns", "db_name", *([] if "serve" in command else ["db_user"])):
            assert f"SPKY_{field.upper()},or{getattr(stated, field)}" in shown, field
    assert "{SURQL}" in run("view", "explain", "--help") and "{FILE}" in run("ingest", "--help")


def test_the_version_is_an_option_and_a_command() -> None:
    assert run("--version") == run("version")
    assert json.loads(run("version", "--json"))["version"] in run("--version")


def test_client_commands_import_no_server() -> None:
    """They start fast because of it."""
    heavy = ("grpc", "aiohttp", "rocksdict", "surrealdb", "structlog")
    script = f"import sys, sp00ky.deploy.cli; print([name for name in {heavy} if name in sys.modules])"
    with running([sys.executable, "-c", script]) as child:
        assert child.wait_line().strip() == "[]"


def test_version() -> None:
    assert run("version").startswith("spky 0.")
    assert set(json.loads(run("version", "--json"))) == {"version"}


def test_config_show_tells_values_and_where_they_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPKY_AUTH_SECRET", "open sesame")
    monkeypatch.setenv("SPKY_SSP_ID", "ssp-9")
    (tmp_path / "sp00ky.yml").write_text("load_balance: least_queries\n")
    shown = json.loads(run("config", "show", "--json"))
    assert set(shown) == {"db", "scheduler", "ssp", "gateway"}
    assert shown["ssp"]["ssp_id"] == {"value": "ssp-9", "source": "env SPKY_SSP_ID"}
    assert shown["scheduler"]["load_balance"] == {"value": "least_queries", "source": "file sp00ky.yml"}
    assert shown["gateway"]["listen_addr"]["source"] == "default"
    assert shown["scheduler"]["auth_secret"]["value"] == "****"
    assert "sesame" not in run("config", "show", "--redact")
    assert "sesame" in run("config", "show", "--no-redact", "--service", "ssp")


def test_assignments_name_fields() -> None:
    assert parse_assignments(SspSettings, ["query-update-throttle-ms=20", "ref_mode=single"]) == {
        "query_update_throttle_ms": "20",
        "ref_mode": "single",
    }
    with pytest.raises(Fault, match="did you mean ssp_id"):
        parse_assignments(SspSettings, ["ssp_di=x"])
    with pytest.raises(Fault, match="is not name=value"):
        parse_assignments(SspSettings, ["ssp_id"])


def test_params_are_json_or_text() -> None:
    assert parse_params(["n=3", "$name=Ada", 'tags=["a"]', "text=a=b"]) == {
        "n": 3,
        "name": "Ada",
        "tags": ["a"],
        "text": "a=b",
    }
    with pytest.raises(Fault):
        parse_params(["=3"])


def test_auth_is_a_record_id_or_an_object() -> None:
    assert parse_auth("") == {}
    assert parse_auth("user:1") == {"auth": "user:1"}
    assert parse_auth('{"id": "user:1", "claims": {"role": "a"}}') == {
        "auth": {"id": "user:1", "claims": {"role": "a"}}
    }
    with pytest.raises(Fault):
        parse_auth("{user:1}")


WHY = {
    "id": "adults",
    "revision": "v1.x",
    "ssp_id": "ssp-1",
    "record": "person:3",
    "in_view": False,
    "decider": "window",
    "sentence": "person:3 is not in the view: it is row 3 of 3",
    "terms": [
        {"text": "open", "origin": "permission", "holds": True},
        {
            "text": "boss.age > 40",
            "origin": "where",
            "holds": False,
            "values": [{"text": "boss.age", "value": "NONE", "through": ["person:9 is not there"]}],
        },
    ],
    "window": {
        "rank": 3,
        "passing": 3,
        "start": 1,
        "limit": 2,
        "boundary": "person:1",
        "order": [{"text": "age", "value": "50", "boundary": "41"}],
    },
    "below": [{"id": "person:3", "version": 4, "parent": "team:1", "parent_rel": "members"}],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A mesh that answers why; what it was asked."""
    seen: dict[str, object] = {}

    def get(self: Remote, path: str, **arguments: str) -> object:
        seen.update(path=path, **arguments)
        return WHY

    monkeypatch.setattr(Remote, "get", get)
    return seen


def test_why_prints_the_sentence_and_what_it_rests_on(asked: dict[str, object]) -> None:
    printed = run("view", "why", "adults", "person:3", "--auth", "user:1")
    assert asked == {"path": "/view/adults/why", "record": "person:3", "auth": "user:1"}
    assert printed.splitlines() == [
        "person:3 is not in the view: it is row 3 of 3",
        "  holds  open  (permission)",
        "  FAILS  boss.age > 40  (where)",
        "           boss.age = NONE  through person:9 is not there",
        "  row 3 of 3 that pass; LIMIT 2 START 1",
        "           age: 50, at the edge (person:1) 41",
        "  below team:1 as members",
        "  at revision v1.x, by ssp-1",
    ]


def test_why_as_json_is_the_answer(asked: dict[str, object]) -> None:
    assert json.loads(run("view", "why", "adults", "person:3", "--json")) == WHY
    assert asked == {"path": "/view/adults/why", "record": "person:3"}


def test_what_is_likely_a_mistake_is_printed_beside_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"query_id": "v", "ssp_id": "a", "ssp_url": "", "revision": "v1.x", "mode": "incremental", "tables": ["t"]}
    answer |= {"stages": [], "warnings": ["no table t is known yet"]}
    monkeypatch.setattr(Remote, "post", lambda self, path, body: answer)
    for words in (["register", "v", "SELECT * FROM t"], ["explain", "SELECT * FROM t"]):
        told = CliRunner().invoke(app, ["view", *words])
        assert (told.exit_code, told.stderr) == (0, "warning: no table t is known yet\n")
        told = CliRunner().invoke(app, ["view", *words, "--json"])
        assert json.loads(told.stdout) == answer


def test_explain_prints_the_nearest_query(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "mode": "reevaluated",
        "reason": "ties",
        "tables": ["t"],
        "stages": [{"name": "rewrites", "text": "read as SELECT"}],
        "nearest": {"surql": "SELECT 1", "change": "ties are broken"},
    }
    monkeypatch.setattr(Remote, "post", lambda self, path, body: answer)
    assert run("view", "explain", "SELECT 2").splitlines() == [
        *("mode: reevaluated (ties)", "tables: t", "nearest: SELECT 1", "  ties are broken"),
        *("", "-- rewrites", "read as SELECT"),
    ]
    assert run("view", "explain", "SELECT 2", "--stage", "rewrites") == "read as SELECT\n"


def test_lines_are_sent_in_bounded_batches() -> None:
    lines = [b'{"n":%d}\n' % n for n in range(BATCH_LINES + 3)]
    sent = list(batches(io.BytesIO(b"".join(lines).rstrip(b"\n"))))
    assert [first for first, _ in sent] == [1, BATCH_LINES + 1]
    assert [line for _, batch in sent for line in batch] == lines
    assert list(batches(io.BytesIO(b"\n\n"))) == []


def test_an_error_answer_becomes_its_fault() -> None:
    body = json.dumps({"code": "SPKY_NOT_FOUND", "message": 'view "v" is unknown', "hint": "register it"}).encode()
    fault = fault_of_response("http://h/view/v", 404, body)
    assert (fault.code, fault.message, fault.hint) == (Code.NOT_FOUND, 'view "v" is unknown', "register it")
    assert fault_of_response("http://h", 502, b"<html>bad</html>").message == "http://h answers 502: <html>bad</html>"


def test_an_address_needs_no_scheme_and_a_view_any_id() -> None:
    assert Remote("localhost:9667/").url == "http://localhost:9667"
    assert view_path("a/b ⟨c⟩") == "/view/a%2Fb%20%E2%9F%A8c%E2%9F%A9"
