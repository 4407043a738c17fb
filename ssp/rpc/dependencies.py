"""`ViewService.GetDependencies`: what each view depends on, as a message."""

from __future__ import annotations

from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.text import record_id_text
from sp00ky.ssp.engine.dependencies import Dependencies


def dependencies_response(dependencies: Dependencies) -> views_pb2.GetDependenciesResponse:
    response = views_pb2.GetDependenciesResponse(tables_held=dependencies.tables_held)
    for view in dependencies.views:
        said = response.views.add(
            tables=sorted(view.tables or ()),
            any_table=view.tables is None,
            records=map(record_id_text, view.records),
            record_count=view.record_count,
        )
        said.key.id, said.key.auth_id = view.key
    return response
