"""What settings are called: every older name still works, and `spky config show` tells each with its origin."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sp00ky.deploy.cli import app
from sp00ky.deploy.environment import MODELS
from sp00ky.proto.settings import fields_of, load, mask
from typer.testing import CliRunner

TEXTS = {  # of fields that do not take any text
    "SPOOKY_SCHEDULER_INGEST_PORT": "9700",
    "SPOOKY_SCHEDULER_LOAD_BALANCE": "least_queries",
    "SPOOKY_SCHEDULER_HEARTBEAT_INTERVAL_MS": "70",
    "SPOOKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "71",
    "SPOOKY_SCHEDULER_BOOTSTRAP_TIMEOUT_SECS": "72",
    "SPOOKY_SCHEDULER_MAX_BUFFER_PER_SSP": "73",
    "SPOOKY_SCHEDULER_SSP_POLL_INTERVAL_MS": "74",
}
ALIASES = [
    (service, field, alias)
    for service, model in MODELS.items()
    for field, names in fields_of(model).items()
    for alias in names.aliases
]
# By the documents: names of the Deployment page, those that the Architecture page has in its examples, and upstream's.
DOCUMENTED = {
    "scheduler": {
        *("SPKY_SCHEDULER_ID", "SPKY_DB_WS", "SPKY_DB_NS", "SPKY_DB_NAME", "SPKY_DB_USER", "SPKY_DB_PASS"),
        *("SPKY_SNAPSHOT_UPDATE_INTERVAL_SECS", "SPKY_BOOTSTRAP_PAGE_SIZE", "SPKY_AUTH_SECRET"),
        *("SPKY_SCHEDULER_BACKENDS", "SPOOKY_SCHEDULER_INGEST_PORT", "SPOOKY_SCHEDULER_DB_URL"),
        *("SPOOKY_SCHEDULER_REPLICA_DB_PATH", "SPOOKY_SCHEDULER_WAL_PATH", "SPOOKY_SCHEDULER_LOAD_BALANCE"),
        *("SPKY_DB_URL", "SPKY_BACKENDS", "SURREALDB_ADDR", "TTL_CLEANUP_INTERVAL_SECS"),
    },
    "ssp": {
        *("SPKY_SSP_LISTEN_ADDR", "SPKY_AUTH_SECRET", "SPKY_DB_WS", "SPKY_DB_USER", "SPKY_DB_PASS", "SPKY_DB_NS"),
        *("SPKY_DB_NAME", "SPKY_SCHEDULER_URL", "SPKY_SSP_ID", "SPKY_SSP_ADVERTISE_ADDR", "HEARTBEAT_INTERVAL_MS"),
        *("SPKY_SSP_REF_MODE", "SPKY_SSP_QUERY_UPDATE_THROTTLE_MS", "SPKY_JOB_CONFIG"),
        *("SPKY_CRDT_CACHE_SIZE", "SPKY_CRDT_FIELDS", "SPKY_SSP_BOOTSTRAP_PAGE_SIZE", "OTEL_SERVICE_NAME"),
        *("OTEL_EXPORTER_OTLP_ENDPOINT", "SURREALDB_ADDR", "LISTEN_ADDR", "SCHEDULER_URL", "SSP_ID"),
    },
}
FILE_KEYS = {
    *("ingest_host", "ingest_port", "load_balance", "heartbeat_interval_ms", "heartbeat_timeout_ms"),
    *("bootstrap_timeout_secs", "bootstrap_page_size", "bootstrap_chunk_size", "replica_db_path", "wal_path"),
    *("ssp_poll_interval_ms", "max_buffer_per_ssp", "job_tables"),
}


@pytest.mark.parametrize(("service", "field", "alias"), ALIASES)
def test_an_older_name_is_read_and_the_newest_wins(service: str, field: str, alias: str) -> None:
    model, names = MODELS[service], fields_of(MODELS[service])[field]
    text = TEXTS.get(alias, "older:1")
    loaded = load(model, env={alias: text})
    assert str(getattr(loaded.settings, field)) == text
    assert loaded.sources[field] == f"env {alias}"
    both = load(model, env={alias: text, names.env: str(model().model_dump()[field] or "1")})
    assert both.sources[field] == f"env {names.env}"


@pytest.mark.parametrize("service", DOCUMENTED)
def test_every_documented_name_is_a_services_own(service: str) -> None:
    known = {name for names in fields_of(MODELS[service]).values() for name in (names.env, *names.aliases)}
    assert DOCUMENTED[service] <= known


def test_every_documented_key_of_the_file_is_the_schedulers() -> None:
    assert {key for names in fields_of(MODELS["scheduler"]).values() for key in names.yaml} >= FILE_KEYS


def test_the_older_file_is_found_and_its_keys_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spooky.yml").write_text("load_balance: least_load\nbootstrap_chunk_size: 7\n")
    shown = json.loads(CliRunner().invoke(app, ["config", "show", "--service", "scheduler", "--json"]).output)
    facts = shown["scheduler"]
    assert facts["load_balance"] == {"value": "least_load", "source": "file spooky.yml"}
    assert facts["bootstrap_page_size"] == {"value": 7, "source": "file spooky.yml"}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("SPKY_", "SPOOKY_"))]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("alone")
def test_config_show_tells_each_setting_and_its_origin_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPKY_AUTH_SECRET", "open sesame")
    monkeypatch.setenv("SSP_ID", "mine")
    told = CliRunner().invoke(app, ["config", "show", "--redact", "--json"])
    assert told.exit_code == 0 and "sesame" not in told.output
    shown = json.loads(told.output)
    for service, model in MODELS.items():
        assert shown[service].keys() == model.model_fields.keys()
        for field, facts in shown[service].items():
            assert facts.keys() == {"value", "source"}, field
    assert shown["ssp"]["ssp_id"] == {"value": "mine", "source": "env SSP_ID"}
    assert shown["ssp"]["auth_secret"] == {"value": mask("x"), "source": "env SPKY_AUTH_SECRET"}
    assert shown["ssp"]["listen_addr"]["source"] == "default"
    table = CliRunner().invoke(app, ["config", "show", "--redact"]).output
    assert "sesame" not in table
    for model in MODELS.values():
        assert all(field in table for field in model.model_fields)
    assert "open sesame" in CliRunner().invoke(app, ["config", "show", "--no-redact"]).output
