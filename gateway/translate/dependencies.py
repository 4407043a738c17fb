"""`GET /debug/deps` ↔ `ViewService.GetDependencies`."""

from __future__ import annotations

from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers_of_ssps import Dependencies, ViewDependencies
from sp00ky.proto.v1 import views_pb2


def dependencies_request(asked: Asked) -> views_pb2.GetDependenciesRequest:
    return views_pb2.GetDependenciesRequest()


def dependencies_answer(asked: Asked, response: views_pb2.GetDependenciesResponse) -> Answer:
    """As documented, by table, and of ours by view."""
    by_table: dict[str, list[str]] = {}
    for view in response.views:
        for table in view.tables:
            by_table.setdefault(table, []).append(view.key.id)
    body: Dependencies = {
        "dependency_map": dict(sorted(by_table.items())),
        "tables_in_store": list(response.tables_held),
        "view_count": len(response.views),
        "views": [_view(view) for view in response.views],
    }
    return json_answer(body)


def _view(view: views_pb2.ViewDependencies) -> ViewDependencies:
    said: ViewDependencies = {
        "id": view.key.id,
        "tables": list(view.tables),
        "any_table": view.any_table,
        "records": list(view.records),
        "record_count": view.record_count,
    }
    if view.key.auth_id:
        said["auth"] = view.key.auth_id
    return said
