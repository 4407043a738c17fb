"""Where a mesh on one machine puts its processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.deploy.plan import Plan, Wanted, make_plan
from sp00ky.gateway.exposure import split_address
from sp00ky.proto.faults import Code, Fault


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def listening(plan: Plan) -> list[str]:
    processes = [*([plan.db] if plan.db else []), plan.scheduler, *plan.ssps, plan.gateway]
    return [value for process in processes for field, value in process.fields.items() if field in LISTENING]


LISTENING = ("listen_addr", "grpc_addr")


def test_every_process_gets_ports_of_its_own() -> None:
    places = listening(make_plan(Wanted(ssps=3, ports_auto=True)))
    assert len(places) == 1 + 2 + 3 * 2 + 1
    assert len({split_address(place)[1] for place in places}) == len(places)


def test_g10_without_a_secret_all_listen_on_loopback() -> None:
    assert {split_address(place)[0] for place in listening(make_plan(Wanted(ports_auto=True)))} == {"127.0.0.1"}


def test_with_a_secret_the_defaults_stand_and_the_secret_is_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPKY_AUTH_SECRET", "open sesame")
    monkeypatch.setenv("SPKY_DB_PASS", "do not tell")
    plan = make_plan(Wanted(ports_auto=True))
    assert split_address(plan.scheduler.fields["grpc_addr"])[0] == "0.0.0.0"
    assert plan.ssps[0].fields["scheduler_url"].startswith("grpc://127.0.0.1:")
    words = [word for process in (plan.scheduler, *plan.ssps, plan.gateway) for word in process.spec(None).arguments]
    assert not {"open sesame", "do not tell"} & set(words)


def test_a_database_that_is_pointed_at_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPKY_DB_WS", "db.example:8000")
    plan = make_plan(Wanted(ports_auto=True))
    assert plan.db is None
    assert plan.db_ws == plan.scheduler.fields["db_ws"] == plan.ssps[0].fields["db_ws"] == "ws://db.example:8000/rpc"


def test_the_whole_mesh_works_in_one_database(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = make_plan(Wanted(ports_auto=True)).ssps[0].fields
    assert (fields["db_ns"], fields["db_name"]) == ("sp00ky", "sp00ky")
    monkeypatch.setenv("SPKY_DB_NS", "mine")
    plan = make_plan(Wanted(ports_auto=True))
    assert plan.scheduler.fields["db_ns"] == plan.ssps[0].fields["db_ns"] == "mine"


def test_ssps_on_default_ports_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPKY_SSP_LISTEN_ADDR", "127.0.0.1:18667")
    monkeypatch.setenv("SPKY_SSP_GRPC_ADDR", "127.0.0.1:18668")
    for name, port in (("DB_LISTEN", 18000), ("SCHEDULER_LISTEN", 19667), ("SCHEDULER_GRPC", 19668)):
        monkeypatch.setenv(f"SPKY_{name}_ADDR", f"127.0.0.1:{port}")
    monkeypatch.setenv("SPKY_GATEWAY_LISTEN_ADDR", "127.0.0.1:17667")
    ssps = make_plan(Wanted(ssps=2)).ssps
    assert [ssp.fields["listen_addr"] for ssp in ssps] == ["127.0.0.1:18667", "127.0.0.1:18677"]
    assert [ssp.fields["grpc_addr"] for ssp in ssps] == ["127.0.0.1:18668", "127.0.0.1:18678"]


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fault, match=r"data directory .*file/data cannot be written: not a directory") as raised:
        make_plan(Wanted(ports_auto=True, data_dir=tmp_path / "file" / "data"))
    assert raised.value.code == Code.INVALID
