"""Settings: precedence, names, refusals, and what is known to have been stated."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from sp00ky.gateway.config import GatewaySettings
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import Settings, environment_names, find_file, load, mask, setting, shown
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings


class Sample(Settings):
    """One field of each kind."""

    port: int = setting(1, env="SPKY_PORT_NUMBER", aliases=("OLD_PORT",), yaml="net.port", about="a port", gt=0)
    word: str = setting("", env="SPKY_WORD", yaml="word", about="a word")
    secret: str = setting("", env="SPKY_SECRET_WORD", yaml="secret", secret=True, min_length=2, about="a secret")
    mode: str = setting("a", env="SPKY_MODE", later="only a and b work", works=("b",), about="a mode")


def write(directory: Path, text: str) -> Path:
    file = directory / "sp00ky.yml"
    file.write_text(text)
    return file


def refused(*args: object, **kwargs: object) -> Fault:
    with pytest.raises(Fault) as raised:
        load(*args, **kwargs)  # type: ignore[arg-type]
    assert raised.value.code == Code.INVALID
    assert "\n" not in str(raised.value)
    return raised.value


def test_precedence_is_flag_environment_file_default(tmp_path: Path) -> None:
    file = write(tmp_path, "net: {port: 4}\nword: from file\n")
    env = {"SPKY_PORT_NUMBER": "3"}
    assert load(Sample).settings.port == 1
    assert load(Sample, file=file).settings.port == 4
    assert load(Sample, env=env, file=file).settings.port == 3
    loaded = load(Sample, flags={"port": 2, "word": None}, env=env, file=file)
    assert (loaded.settings.port, loaded.settings.word) == (2, "from file")
    assert loaded.sources == {"port": "flag --port", "word": "file sp00ky.yml", "secret": "default", "mode": "default"}


def test_older_names_are_read_after_the_newest(tmp_path: Path) -> None:
    assert load(Sample, env={"OLD_PORT": "7"}).sources["port"] == "env OLD_PORT"
    assert load(Sample, env={"OLD_PORT": "7", "SPKY_PORT_NUMBER": "8"}).settings.port == 8


def test_what_nobody_stated_is_not_among_the_fields_set() -> None:
    assert load(Sample, env={"SPKY_WORD": "x"}).settings.model_fields_set == {"word"}


def test_an_empty_environment_value_is_unset() -> None:
    assert load(Sample, env={"SPKY_PORT_NUMBER": ""}).sources["port"] == "default"


@pytest.mark.parametrize("name", ["SPKY_WRD", "SPKY_WORDS", "SPOOKY_WORD"])
def test_g10_an_unknown_environment_name_refuses_and_suggests(name: str) -> None:
    fault = refused(Sample, env={name: "x"})
    assert name in fault.message
    assert fault.hint == "did you mean SPKY_WORD?"


def test_names_of_other_services_are_known() -> None:
    refused(Sample, env={"SPKY_SSP_ID": "x"})
    assert load(Sample, env={"SPKY_SSP_ID": "x"}, others=(SspSettings,)).settings.port == 1


@pytest.mark.parametrize(
    "name", ["SPKY_SSP_SERVICE_HOST", "SPKY_SSP_SERVICE_PORT_HTTP", "SPKY_SSP_PORT", "SPKY_SSP_PORT_8667_TCP_ADDR"]
)
def test_service_links_of_kubernetes_are_ignored(name: str) -> None:
    assert load(Sample, env={name: "tcp://10.0.0.1:8667"}).settings == Sample()


@pytest.mark.parametrize(("text", "key"), [("wrod: x", "wrod"), ("net: {prt: 1}", "net.prt"), ("net: 3", "net")])
def test_g10_an_unknown_file_key_refuses_and_suggests(tmp_path: Path, text: str, key: str) -> None:
    fault = refused(Sample, file=write(tmp_path, text))
    assert f"unknown setting {key} in sp00ky.yml" in fault.message
    assert fault.hint.startswith("did you mean ")


@pytest.mark.parametrize("text", ["- a\n- b\n", "word: [", "1: 2"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "sp00ky.yml" in refused(Sample, file=write(tmp_path, text)).message


def test_an_empty_file_states_nothing(tmp_path: Path) -> None:
    assert load(Sample, file=write(tmp_path, "")).settings == Sample()


def test_a_wrong_value_is_told_by_the_name_that_was_used(tmp_path: Path) -> None:
    assert refused(Sample, env={"OLD_PORT": "x"}).message.startswith("OLD_PORT 'x': input should be a valid integer")
    assert refused(Sample, file=write(tmp_path, "net: {port: 0}")).message.startswith("net.port in sp00ky.yml 0: ")
    assert refused(Sample, flags={"port": -1}).message.startswith("--port -1: ")


def test_a_wrong_secret_is_not_told() -> None:
    message = refused(Sample, env={"SPKY_SECRET_WORD": "§"}).message
    assert message.startswith("SPKY_SECRET_WORD: ")
    assert "§" not in message


def test_secrets_are_masked_and_never_in_the_text_form() -> None:
    settings = Sample(secret="open sesame")
    assert shown(settings, redact=True)["secret"] == mask("open sesame") == "****"
    assert shown(settings, redact=False)["secret"] == "open sesame"
    assert shown(Sample(), redact=True)["secret"] == ""
    assert "sesame" not in repr(settings)


def test_a_documented_setting_without_effect_says_so() -> None:
    assert load(Sample, env={"SPKY_MODE": "c"}).warnings == ("SPKY_MODE has no effect yet: only a and b work",)
    assert load(Sample, env={"SPKY_MODE": "b"}).warnings == load(Sample, env={"SPKY_MODE": "a"}).warnings == ()
    waiting = {"SPKY_LATER": "SPKY_LATER has no effect yet"}
    assert load(Sample, env={"SPKY_LATER": "1"}, later=waiting).warnings == ("SPKY_LATER has no effect yet",)


def test_models_are_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        Sample(wrod="x")  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Sample().port = 3  # type: ignore[misc]


def test_the_newest_file_name_wins(tmp_path: Path) -> None:
    assert find_file(tmp_path) is None
    (tmp_path / "spooky.yml").touch()
    assert find_file(tmp_path) == tmp_path / "spooky.yml"
    (tmp_path / "sp00ky.yml").touch()
    assert find_file(tmp_path) == tmp_path / "sp00ky.yml"


DOCUMENTED = {
    SspSettings: {
        "SPKY_SSP_LISTEN_ADDR": ("listen_addr", "0.0.0.0:8667"),
        "SPKY_AUTH_SECRET": ("auth_secret", ""),
        "SPKY_DB_WS": ("db_ws", "ws://127.0.0.1:8000"),
        "SPKY_DB_USER": ("db_user", "root"),
        "SPKY_DB_PASS": ("db_pass", "root"),
        "SPKY_DB_NS": ("db_ns", "test"),
        "SPKY_DB_NAME": ("db_name", "test"),
        "SPKY_SCHEDULER_URL": ("scheduler_url", ""),
        "SPKY_SSP_ADVERTISE_ADDR": ("advertise_addr", ""),
        "HEARTBEAT_INTERVAL_MS": ("heartbeat_interval_ms", 5000),
        "SPKY_SSP_REF_MODE": ("ref_mode", "dedicated"),
        "SPKY_SSP_QUERY_UPDATE_THROTTLE_MS": ("query_update_throttle_ms", 100),
        "SPKY_JOB_CONFIG": ("job_config", ""),
        "SPKY_CRDT_CACHE_SIZE": ("crdt_cache_size", 10000),
        "SPKY_CRDT_FIELDS": ("crdt_fields", ""),
        "SPKY_SSP_BOOTSTRAP_PAGE_SIZE": ("bootstrap_page_size", 500),
        "OTEL_EXPORTER_OTLP_ENDPOINT": ("otel_endpoint", ""),
    },
    SchedulerSettings: {
        "SPKY_DB_NS": ("db_ns", "sp00ky"),
        "SPKY_DB_NAME": ("db_name", "sp00ky"),
        "SPKY_SNAPSHOT_UPDATE_INTERVAL_SECS": ("snapshot_update_interval_secs", 300),
        "TTL_CLEANUP_INTERVAL_SECS": ("ttl_cleanup_interval_secs", 60),
        "SPKY_BOOTSTRAP_PAGE_SIZE": ("bootstrap_page_size", 500),
        "SPKY_SCHEDULER_BACKENDS": ("backends", ""),
        "SPKY_SCHEDULER_GRPC_ADDR": ("grpc_addr", "0.0.0.0:9668"),
        "SPKY_SCHEDULER_LISTEN_ADDR": ("listen_addr", "0.0.0.0:9667"),
    },
    GatewaySettings: {"SPKY_GATEWAY_LISTEN_ADDR": ("listen_addr", "0.0.0.0:7667")},
}


@pytest.mark.parametrize("model", DOCUMENTED)
def test_the_documented_names_have_their_defaults(model: type[Settings]) -> None:
    settings = model()
    for name, (field, default) in DOCUMENTED[model].items():
        assert name in environment_names([model])
        assert getattr(settings, field) == default, name


def test_ids_are_drawn() -> None:
    assert SspSettings().ssp_id.startswith("ssp-")
    assert SspSettings().ssp_id != SspSettings().ssp_id
    assert SchedulerSettings().scheduler_id.startswith("scheduler-")


@pytest.mark.parametrize(
    ("env", "field", "value"),
    [
        ({"SURREALDB_ADDR": "localhost:1"}, "db_ws", "localhost:1"),
        ({"LISTEN_ADDR": "127.0.0.1:1"}, "listen_addr", "127.0.0.1:1"),
        ({"SCHEDULER_URL": "http://s:1"}, "scheduler_url", "http://s:1"),
        ({"SSP_ID": "ssp-01"}, "ssp_id", "ssp-01"),
    ],
)
def test_the_older_names_of_an_ssp(env: dict[str, str], field: str, value: str) -> None:
    assert getattr(load(SspSettings, env=env).settings, field) == value


def test_the_older_names_of_a_scheduler() -> None:
    env = {
        "SPOOKY_SCHEDULER_INGEST_PORT": "9700",
        "SPOOKY_SCHEDULER_DB_URL": "surrealdb:8000/rpc",
        "SPOOKY_SCHEDULER_REPLICA_DB_PATH": "r",
        "SPOOKY_SCHEDULER_WAL_PATH": "w",
        "SPOOKY_SCHEDULER_LOAD_BALANCE": "least_queries",
    }
    loaded = load(SchedulerSettings, env=env)
    settings = loaded.settings
    assert (settings.listen_addr, settings.db_ws) == ("0.0.0.0:9700", "surrealdb:8000/rpc")
    assert (settings.replica_db_path, settings.wal_path) == (Path("r"), Path("w"))
    assert loaded.sources["listen_addr"] == "env SPOOKY_SCHEDULER_INGEST_PORT"
    assert loaded.warnings == ()


def test_the_documented_file_of_a_scheduler(tmp_path: Path) -> None:
    text = """
db: {url: "ws://d:8000", namespace: n, database: d, username: u, password: p}
load_balance: least_load
ingest_host: 127.0.0.1
ingest_port: 9999
heartbeat_interval_ms: 1
heartbeat_timeout_ms: 2
bootstrap_timeout_secs: 3
replica_db_path: ./data/replica
wal_path: ./data/wal
ssp_poll_interval_ms: 3000
max_buffer_per_ssp: 5
job_tables: [job]
"""
    loaded = load(SchedulerSettings, file=write(tmp_path, text))
    settings = loaded.settings
    assert (settings.listen_addr, settings.db_user, settings.db_pass) == ("127.0.0.1:9999", "u", "p")
    assert (settings.heartbeat_timeout_ms, settings.max_buffer_per_ssp, settings.job_tables) == (2, 5, ("job",))
    assert not loaded.warnings


def test_listen_addr_wins_over_its_halves() -> None:
    assert SchedulerSettings(listen_addr="127.0.0.1:1", ingest_port=2).listen_addr == "127.0.0.1:1"
    assert SchedulerSettings(ingest_host="127.0.0.1").listen_addr == "127.0.0.1:9667"
