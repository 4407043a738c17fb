"""`GET /openapi.json`: the table as OpenAPI 3.1. Nothing is described here that a row or a type does not say.

Schemas of answers are printed from the types that the translating functions are checked against, schemas of requests
from the fields they read. Refusals that every row of a kind has follow from the kind: one behind a bearer may answer
401 and 403, one with a body 408, 413, 415 and 422, one that calls a service 503 and 504. 429 may come from any, and so
may 400, since HTTP itself may be broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from sp00ky.gateway.endpoint import Endpoint
from sp00ky.gateway.errors import HTTP_STATUS, PROBLEM, RETRYABLE
from sp00ky.gateway.exchange import CBOR, NDJSON, TEXT, Api
from sp00ky.gateway.translate.answers import Error
from sp00ky.gateway.translate.fields import Body, Field, Schema
from sp00ky.proto.faults import Code

OPENMETRICS: Final = "application/openmetrics-text"
PROMETHEUS: Final = (TEXT, OPENMETRICS)
_SCHEMAS: Final = "#/components/schemas/{name}"
_BEHIND_BEARER: Final = frozenset({401, 403})
_OF_BODY: Final = frozenset({408, 413, 415, 422})
_OF_ANY: Final = frozenset({400, 429})
_OF_CALL: Final = frozenset({HTTP_STATUS[Code.UNAVAILABLE], HTTP_STATUS[Code.TIMEOUT]})
_PATH_FIELDS: Final[Mapping[str, Schema]] = {
    "id": {"type": "string", "minLength": 1, "maxLength": 512},
    "table": {"type": "string", "minLength": 1, "maxLength": 512},
    "file": {"type": "string", "minLength": 1, "maxLength": 64},
}


def openapi(api: Api, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document of one API."""
    types = [endpoint.result for endpoint in endpoints if endpoint.result is not None]
    schemas, components = msgspec.json.schema_components([Error, *types], ref_template=_SCHEMAS)
    schema_of = dict(
        zip([endpoint.name for endpoint in endpoints if endpoint.result is not None], schemas[1:], strict=True)
    )
    paths: dict[str, dict[str, Any]] = {}
    refusals: set[int] = set()
    for endpoint in endpoints:
        statuses = statuses_of(endpoint, api)
        refusals |= statuses - {endpoint.status}
        operation = _operation(endpoint, api, schema_of.get(endpoint.name), statuses)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Sp00ky Mesh, {'SSP' if api == 'ssp' else 'scheduler'} API", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {str(status): _refusal(status) for status in sorted(refusals)},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def statuses_of(endpoint: Endpoint, api: Api) -> frozenset[int]:
    """Every status that the endpoint may answer, except 500, which is a bug."""
    statuses = set(_OF_ANY) | {HTTP_STATUS[code] for code in endpoint.may}
    statuses.add(501 if endpoint.later else endpoint.status)
    if endpoint.status == HTTPStatus.SWITCHING_PROTOCOLS:
        statuses.add(426)
    if api not in endpoint.open_on:
        statuses |= _BEHIND_BEARER
    if endpoint.body is not None:
        statuses |= _OF_BODY
    if endpoint.rpc is not None:
        statuses |= _OF_CALL
    return frozenset(statuses)


def _operation(endpoint: Endpoint, api: Api, result: Schema | None, statuses: Iterable[int]) -> dict[str, Any]:
    named = [(name, "path", Field(name, "", _PATH_FIELDS[name], required=True)) for name in _names(endpoint.path)]
    named += [(field.name, "query", field) for field in endpoint.asks]
    named += [(field.name, "header", field) for field in endpoint.headers]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_"),
        "summary": endpoint.summary,
        "parameters": [_parameter(name, place, field) for name, place, field in named],
        "responses": {str(status): _response(endpoint, status, result) for status in sorted(statuses)},
    }
    if endpoint.body is not None:
        operation["requestBody"] = _request_body(endpoint.body)
    if api in endpoint.open_on:
        operation["security"] = []
    return operation


def _names(path: str) -> Sequence[str]:
    return re.findall(r"\{(\w+)\}", path)


def _parameter(name: str, place: str, field: Field) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "required": field.required, "schema": field.schema}
    return parameter | ({"description": field.about} if field.about else {})


def _request_body(body: Body) -> dict[str, Any]:
    properties = {field.name: {**field.schema, "description": _described(field)} for field in body.fields}
    one: dict[str, Any] = {"type": "object", "properties": properties}
    if body.closed:  # so every name that is taken has to be there
        also = {name: {**field.schema, "deprecated": True} for field in body.fields for name in field.also}
        one |= {"properties": properties | also, "additionalProperties": False}
    one["required"] = [field.name for field in body.fields if field.required]
    schema = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]} if body.several else one
    lines = {"type": "string", "description": "one JSON object a line"}
    schemas = {media_type: lines if media_type == NDJSON else schema for media_type in body.media_types}
    content = {media_type: {"schema": each} for media_type, each in schemas.items()}
    exact = "CBOR is SurrealDB's, with its exact kinds." if CBOR in body.media_types else ""
    return {"required": True, "content": content} | ({"description": exact} if exact else {})


def _described(field: Field) -> str:
    return f"{field.about} (also: {', '.join(field.also)})" if field.also else field.about


def _response(endpoint: Endpoint, status: int, result: Schema | None) -> dict[str, Any]:
    if status == 503 and endpoint.silent is not None:  # says it in its own form, whoever asks
        either = {"anyOf": [result or {}, {"$ref": _SCHEMAS.format(name="Error")}]}
        return _response_of("not ready, or the service is silent", endpoint.media_types, either)
    if status != endpoint.status:
        return {"$ref": f"#/components/responses/{status}"}
    return _response_of("done", endpoint.media_types, result or {})


def _response_of(description: str, media_types: Iterable[str], schema: Schema) -> dict[str, Any]:
    content = {
        media_type: {"schema": {"type": "string"} if media_type in PROMETHEUS else schema} for media_type in media_types
    }
    return {"description": description} | ({"content": content} if content else {})


def _refusal(status: int) -> dict[str, Any]:
    error = {"schema": {"$ref": _SCHEMAS.format(name="Error")}}
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase.lower(),
        "content": {"application/json": error, PROBLEM: error},
    }
    if status in RETRYABLE:
        response["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    if status == 400:
        response["content"][TEXT] = {"schema": {"type": "string"}}  # HTTP that does not parse at all
    return response
