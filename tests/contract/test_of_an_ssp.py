"""`/reset`, `/log`, `/debug/deps`: what only an SSP's API has."""

from __future__ import annotations

import logging

import pytest
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.translate.client_log import DATA_BYTES_MAX, MESSAGE_CHARS_MAX
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, common_pb2, views_pb2

from tests.harness.fake_mesh import ssp_status
from tests.harness.served_gateway import Serve, Served
from tests.unit.gateway.tokens import SHARED, token


@pytest.mark.parametrize("state", ["ready", "bootstrapping", "failed"])
async def test_reset_has_the_scheduler_tell_this_ssp_to_load_anew(ssp: Served, state: str) -> None:
    client, scheduler = ssp
    assert scheduler.ssp is not None
    scheduler.ssp.answers["GetStatus"] = ssp_status(state)
    async with client.post("/reset") as response:
        assert (response.status, await response.json()) == (200, {"marked_for_resync": 1, "ssp_ids": ["ssp-1"]})
    assert scheduler.asked == [admin_pb2.ResyncSspsRequest(ssp_id="ssp-1")]
    scheduler.answers["ResyncSsps"] = Fault(Code.NOT_FOUND, 'ssp "ssp-1" is not known')
    async with client.post("/reset") as response:
        assert response.status == 404


async def test_reset_and_dumps_are_the_admins(serve: Serve) -> None:
    client, _ = await serve("ssp", secret="all", admin_secret="root")
    for method, path in (("POST", "/reset"), ("GET", "/debug/deps")):
        for bearer, status in (("all", 403), ("root", 200)):
            headers = {"Authorization": f"Bearer {bearer}"}
            async with client.request(method, path, headers=headers) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("level", "logged"),
    [("error", "ERROR"), ("warn", "WARNING"), ("DEBUG", "DEBUG"), ("trace", "DEBUG"), ("odd", "INFO"), (None, "INFO")],
)
async def test_a_clients_line_has_the_clients_level(
    ssp: Served, level: str | None, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = ssp
    with caplog.at_level(logging.DEBUG, "sp00ky.client"):
        body = {"message": "it\nbroke", "level": level, "data": {"at": [1, None]}}
        async with client.post("/log", json=body) as response:
            assert (response.status, await response.read()) == (200, b"")
    (line,) = [record for record in caplog.records if record.name == "sp00ky.client"]
    assert (line.levelname, line.getMessage()) == (logged, r'a service says "it\nbroke" {"at":[1,null]}')


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"message": 1}, 422),
        ({"message": "a", "level": 1}, 422),
        ({"message": "m" * MESSAGE_CHARS_MAX}, 200),
        ({"message": "m" * (MESSAGE_CHARS_MAX + 1)}, 413),
        ({"message": "m", "data": "d" * (DATA_BYTES_MAX - 2)}, 200),
        ({"message": "m", "data": "d" * DATA_BYTES_MAX}, 413),
    ],
)
async def test_a_line_is_bounded(ssp: Served, body: object, status: int, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = ssp
    caplog.set_level(logging.INFO, "sp00ky.client")
    async with client.post("/log", json=body) as response:
        assert response.status == status
    assert len([record for record in caplog.records if record.name == "sp00ky.client"]) == (status == 200)


async def test_lines_have_a_rate_of_their_own_and_say_whose_they_are(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sp00ky.client")
    client, _ = await serve("ssp", limits=Limits(rate_log=1), jwt_secret=SHARED)
    ada = {"Authorization": f"Bearer {token(ID='user:ada')}"}
    statuses = []
    for _ in range(10):
        async with client.post("/log", json={"message": "m"}, headers=ada) as response:
            statuses.append(response.status)
    assert statuses[:2] == [200, 200] and 429 in statuses
    assert "user:ada says" in caplog.text
    async with client.get("/view/v1", headers=ada) as response:
        assert response.status == 200, "reads go on"


async def test_dependencies_by_table_and_by_view(ssp: Served) -> None:
    client, scheduler = ssp
    assert scheduler.ssp is not None
    response = views_pb2.GetDependenciesResponse(tables_held=["note", "person"])
    response.views.add(key=common_pb2.ViewKey(id="v"), tables=["person"])
    response.views.add(
        key=common_pb2.ViewKey(id="w", auth_id="user:1"), tables=["note", "person"], records=["note:1"], record_count=3
    )
    response.views.add(key=common_pb2.ViewKey(id="x"), any_table=True)
    scheduler.ssp.answers["GetDependencies"] = response
    async with client.get("/debug/deps") as answer:
        dumped = await answer.json()
    assert dumped["dependency_map"] == {"note": ["w"], "person": ["v", "w"]}
    assert (dumped["tables_in_store"], dumped["view_count"]) == (["note", "person"], 3)
    assert dumped["views"][1] == {
        "id": "w", "auth": "user:1", "tables": ["note", "person"], "any_table": False, "records": ["note:1"],
        "record_count": 3,
    }  # fmt: skip
    assert dumped["views"][2]["any_table"] is True
