"""Pieces of the composition: which address is advertised, which database an SSP works in."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sp00ky.deploy.compose import (
    adopt_database,
    advertised,
    bind_address,
    decided_address,
    ensure_directory,
    identified,
)
from sp00ky.proto.channel import Server
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import load
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc
from sp00ky.ssp.config import SspSettings


@pytest.mark.parametrize(
    ("stated", "listening", "told"),
    [
        ("", "http://127.0.0.1:8667", "http://127.0.0.1:8667"),
        ("", "http://10.0.0.3:8667", "http://10.0.0.3:8667"),
        ("", "http://0.0.0.0:8667", f"http://{socket.gethostname()}:8667"),
        ("ssp-1:8667", "http://127.0.0.1:8667", "http://ssp-1:8667"),
        ("https://ssp.example:443", "http://127.0.0.1:8667", "https://ssp.example:443"),
    ],
)
def test_the_url_that_others_reach_an_ssp_at(stated: str, listening: str, told: str) -> None:
    assert advertised(stated, listening) == told


def test_port_zero_becomes_a_port_that_can_be_named() -> None:
    loaded = load(SspSettings, flags={"listen_addr": "127.0.0.1:0"})
    host, _, port = bind_address(loaded, "listen_addr").rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


def test_g10_a_default_address_binds_loopback_until_there_is_a_secret() -> None:
    assert decided_address(load(SspSettings), "grpc_addr") == "127.0.0.1:8668"
    assert decided_address(load(SspSettings, env={"SPKY_AUTH_SECRET": "s"}), "grpc_addr") == "0.0.0.0:8668"


def test_a_single_node_that_nobody_named_keeps_its_name() -> None:
    assert identified(load(SspSettings).settings).ssp_id == identified(load(SspSettings).settings).ssp_id
    assert identified(load(SspSettings, env={"SPKY_SSP_ID": "mine"}).settings).ssp_id == "mine"
    beside = {"SPKY_SCHEDULER_URL": "http://127.0.0.1:9667"}
    named = [identified(load(SspSettings, env=beside).settings).ssp_id for _ in range(2)]
    assert named[0] != named[1]  # many SSPs of one scheduler never share a default name


def test_a_directory_is_made_and_proved(tmp_path: Any) -> None:
    assert ensure_directory(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


class Admin(admin_pb2_grpc.AdminServiceServicer):
    async def GetStatus(self, request: Any, context: Any) -> admin_pb2.GetStatusResponse:
        return admin_pb2.GetStatusResponse(service="scheduler", namespace="theirs", database="main")


@pytest.fixture
async def scheduler() -> AsyncIterator[str]:
    server = Server("127.0.0.1:0", "secret")
    server.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, Admin(), "sp00ky.v1.AdminService")
    yield await server.start()
    await server.stop(0)


async def test_an_ssp_adopts_the_database_of_its_scheduler(scheduler: str) -> None:
    settings = await adopt_database(SspSettings(auth_secret="secret"), scheduler)
    assert (settings.db_ns, settings.db_name) == ("theirs", "main")
    stated = SspSettings(auth_secret="secret", db_ns="theirs", db_name="main")
    assert await adopt_database(stated, scheduler) == stated


async def test_an_ssp_that_states_another_database_is_refused(scheduler: str) -> None:
    settings = SspSettings(auth_secret="secret", ssp_id="a", db_ns="mine")
    with pytest.raises(Fault, match='ssp "a" is set to namespace "mine", its scheduler to "theirs"') as raised:
        await adopt_database(settings, scheduler)
    assert raised.value.code == Code.CONFLICT


async def test_a_wrong_secret_is_told(scheduler: str) -> None:
    with pytest.raises(Fault, match="bearer token is missing or wrong") as raised:
        await adopt_database(SspSettings(auth_secret="another"), scheduler)
    assert raised.value.code == Code.UNAUTHENTICATED
