"""What keeps a process from starting is told in one clear line, with a non-zero exit and no traceback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sp00ky.deploy.ports import free_ports

from tests.harness.processes import running, spawn

SERVICES = ("scheduler", "ssp", "all")


def complaints(arguments: list[str], env: dict[str, str], data_dir: Path) -> str:
    """The line that `spky` ended with; asserts that it is one, that it came in time, and that nothing crashed."""
    child = spawn(arguments, {"SPKY_DATA_DIR": str(data_dir), "SPKY_LOG_LEVEL": "error", **env})
    try:
        code = child.wait(20)
        said = child.said()
    finally:
        child.close()
    assert code == 1, said
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "spky: " in line]
    assert len(lines) == 1, said
    return lines[0].removeprefix("spky: ").removeprefix("scheduler: ")


def addresses() -> dict[str, str]:
    names = ("SPKY_SCHEDULER_LISTEN_ADDR", "SPKY_SCHEDULER_GRPC_ADDR", "SPKY_SSP_LISTEN_ADDR", "SPKY_SSP_GRPC_ADDR")
    names += ("SPKY_GATEWAY_LISTEN_ADDR", "SPKY_DB_LISTEN_ADDR")  # type: ignore[assignment]
    return {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_missing_database(service: str, tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    line = complaints(["serve", service], {**addresses(), "SPKY_DB_WS": nowhere}, tmp_path)
    assert "database" in line
    assert line.count(nowhere) == 2 and f"nothing listens at {nowhere}" in line


@pytest.mark.parametrize("service", ["ssp", "all"])
def test_a_taken_port(service: str, tmp_path: Path, taken: str) -> None:
    name = "SPKY_SSP_LISTEN_ADDR" if service == "ssp" else "SPKY_SCHEDULER_GRPC_ADDR"
    line = complaints(["serve", service], {**addresses(), name: taken}, tmp_path)
    assert line == f"cannot listen on {taken}: address already in use"


@pytest.mark.parametrize("service", ["scheduler", "all", "db"])
def test_a_data_directory_that_cannot_be_written(service: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = complaints(["serve", service], addresses(), tmp_path / "file" / "data")
    assert line.startswith(f"data directory {tmp_path}/file/data")
    assert "cannot be written: not a directory (set SPKY_DATA_DIR)" in line


@pytest.mark.parametrize("service", ["ssp", "all"])
def test_g10_an_unknown_setting(service: str, tmp_path: Path) -> None:
    line = complaints(["serve", service], {"SPKY_SSP_LISTEN_ADRR": "x"}, tmp_path)
    assert line == "unknown setting SPKY_SSP_LISTEN_ADRR in the environment (did you mean SPKY_SSP_LISTEN_ADDR?)"


@pytest.mark.parametrize("service", ["ssp", "all"])
def test_g10_an_outside_address_without_a_secret(service: str, tmp_path: Path) -> None:
    name = "SPKY_SSP_LISTEN_ADDR" if service == "ssp" else "SPKY_SCHEDULER_LISTEN_ADDR"
    line = complaints(["serve", service], {**addresses(), name: "0.0.0.0:19999"}, tmp_path)
    assert line.startswith('refusing to listen on "0.0.0.0:19999" without SPKY_AUTH_SECRET')


def test_a_client_without_a_mesh() -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    child = spawn(["status", "--url", nowhere])
    assert child.wait() == 1
    assert child.said() == f"spky: cannot reach {nowhere}: connection refused (is it running? see --url, SPKY_URL)\n"
    child.close()


def test_a_first_signal_drains_and_ends_well(tmp_path: Path) -> None:
    import sys

    arguments = [sys.executable, "-m", "sp00ky.deploy.cli", "serve", "db", "--path", "mem", "--listen", "127.0.0.1:0"]
    with running(arguments) as child:
        assert child.wait_json_line()["event"] == "listening"
        assert child.stop(10) == 0


def test_g10_a_database_with_the_password_everybody_knows(tmp_path: Path) -> None:
    env = {"SPKY_DB_LISTEN_ADDR": "0.0.0.0:19999", "SPKY_AUTH_SECRET": "s", "SPKY_DB_PATH": "mem"}
    line = complaints(["serve", "db"], env, tmp_path)
    assert line.startswith('refusing to listen on "0.0.0.0:19999" without SPKY_DB_PASS')
