"""`openapi.json`: each row of the table is in it, with what its functions read and answer."""

from __future__ import annotations

import orjson
import pytest
from sp00ky.gateway.endpoints import endpoints_of
from sp00ky.gateway.exchange import Api
from sp00ky.gateway.openapi import openapi

from tests.harness.served_gateway import Served

APIS: list[Api] = ["scheduler", "ssp", "gateway"]


@pytest.mark.parametrize("api", APIS)
def test_every_endpoint_of_an_api_is_described_and_no_other(api: Api) -> None:
    document = openapi(api, endpoints_of(api))
    described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert described == {endpoint.name for endpoint in endpoints_of(api)}
    orjson.dumps(document)


@pytest.mark.parametrize("api", APIS)
def test_every_reference_leads_somewhere(api: Api) -> None:
    document = openapi(api, endpoints_of(api))

    def follow(node: object) -> None:
        match node:
            case {"$ref": str(reference)}:
                target: object = document
                for step in reference.removeprefix("#/").split("/"):
                    assert isinstance(target, dict)
                    target = target[step]
            case dict():
                for inner in node.values():
                    follow(inner)
            case list():
                for inner in node:
                    follow(inner)

    follow(document["paths"])
    follow(document["components"])


def test_a_view_is_described_with_its_parameters_and_refusals() -> None:
    operation = openapi("scheduler", endpoints_of("scheduler"))["paths"]["/view/{id}"]["get"]
    places = {parameter["name"]: parameter["in"] for parameter in operation["parameters"]}
    assert places == {"id": "path", "rows": "query", "consistency": "query", "revision": "query", "auth": "query"}
    assert {"200", "400", "401", "403", "404", "410", "429", "503", "504"} <= operation["responses"].keys()
    assert "security" not in operation


def test_a_registration_is_described_with_every_name_it_has_had() -> None:
    document = openapi("scheduler", endpoints_of("scheduler"))
    newer, older = (
        document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for path in ("/view/register", "/query/register")
    )
    assert newer["required"] == ["id", "surql"]
    assert older["required"] == ["query_id", "view_plan"]
    assert "query_id" in newer["properties"]["id"]["description"]
    assert newer["additionalProperties"] is older["additionalProperties"] is False
    assert newer["properties"].keys() == older["properties"].keys() > {"query_id", "surreal_ql", "last_active_at"}


def test_open_endpoints_are_described_as_open_where_they_are() -> None:
    for api in ("scheduler", "ssp"):
        document = openapi(api, endpoints_of(api))
        opened = {path for path, item in document["paths"].items() if item.get("get", {}).get("security") == []}
        assert "/health" in opened and "/views" not in opened
        assert ("/metrics" in opened) == (api == "scheduler")


async def test_it_is_served(scheduler: Served) -> None:
    client, _ = scheduler
    async with client.get("/openapi.json") as response:
        document = await response.json()
        assert (response.status, document["openapi"]) == (200, "3.1.0")
    assert document == openapi("scheduler", endpoints_of("scheduler"))
