"""`spky verify`: SurrealDB, the scheduler's replica, the SSPs' views and their edges, held against one another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sp00ky.deploy import cli_replica
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json, print_table
from sp00ky.proto.faults import Code, Fault

if TYPE_CHECKING:
    from sp00ky.proto.v1 import integrity_pb2

VERIFY_SECONDS = 3600.0
COUNTS = frozenset({
    *("database_rows", "replica_rows", "differing", "repaired", "nodes", "read_bytes", "members", "edges"),
    *("differing_members", "differing_edges"),
})  # fmt: skip


def verify(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="none, and no --view: every captured one")
    ] = None,
    *,
    views: Annotated[
        list[str] | None, typer.Option("--view", metavar="ID", help="none, and no TABLE: every one; may be repeated")
    ] = None,
    auth: Annotated[str, typer.Option("--auth", help="the record id of the user whose views these are")] = "",
    repair: Annotated[bool, typer.Option("--repair", help="write anew what differs, and nothing else")] = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Compare SurrealDB with the replica, views with a fresh evaluation, and edges with views; name what differs.

    Ends 1 if something differs and is not repaired, or could not be compared. A view that has failed by its own query
    has no result to compare: it is skipped, and fails nothing."""
    if auth and not views:
        raise Fault(
            Code.INVALID, "--auth says whose a view is: it needs --view", "or leave it out, to compare everything"
        )
    from google.protobuf.json_format import MessageToDict
    from sp00ky.proto.v1 import common_pb2, integrity_pb2, integrity_pb2_grpc

    asks_all = not tables and not views
    of_tables = integrity_pb2.VerifyTablesRequest(tables=tables or [], repair=repair)
    keys = [common_pb2.ViewKey(id=each, auth_id=auth) for each in views or ()]
    of_views = integrity_pb2.VerifyViewsRequest(views=keys, repair=repair)

    async def ask(stub: Any) -> tuple[Any, Any]:
        told, shown = integrity_pb2.VerifyTablesResponse(), integrity_pb2.VerifyViewsResponse()
        if asks_all or tables:
            told = await stub.VerifyTables(of_tables, timeout=VERIFY_SECONDS)
        if asks_all or views:
            shown = await stub.VerifyViews(of_views, timeout=VERIFY_SECONDS)
        return told, shown

    told, shown = cli_replica.asked(url, secret, ask, integrity_pb2_grpc.IntegrityServiceStub)
    failed = _failed(url, secret) if any(each.skipped for each in shown.views) else {}
    for each in shown.views:
        if (reason := failed.get(_key(each))) is not None:
            each.skipped = f"failed: {reason or each.skipped}"
    if as_json:
        options: dict[str, Any] = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
        print_json(_counted({**MessageToDict(told, **options), **MessageToDict(shown, **options)}))
    else:
        _print(told, shown)
    left = [each for each in told.tables if each.differing > each.repaired]
    unseen = [each for each in shown.views if each.skipped and _key(each) not in failed]
    wrong = [each for each in shown.views if _differs(each) and not each.repairing]
    raise typer.Exit(1 if left or unseen or wrong else 0)


def _key(view: integrity_pb2.VerifiedView) -> tuple[str, str]:
    return view.key.id, view.key.auth_id


def _failed(url: str, secret: str) -> dict[tuple[str, str], str]:
    """The views that have failed by their own query, and why."""
    from sp00ky.proto.v1 import views_pb2, views_pb2_grpc

    async def ask(stub: Any) -> Any:
        return await stub.ListViews(views_pb2.ListViewsRequest(), timeout=cli_replica.ANSWER_SECONDS)

    views = cli_replica.asked(url, secret, ask, views_pb2_grpc.ViewServiceStub).views
    return {(view.key.id, view.key.auth_id): view.reason for view in views if view.state == views_pb2.VIEW_STATE_FAILED}


def _counted(value: Any) -> Any:
    """With numbers as numbers: protobuf writes what has 64 bits as text."""
    if isinstance(value, dict):
        return {name: int(each) if name in COUNTS else _counted(each) for name, each in value.items()}
    return [_counted(each) for each in value] if isinstance(value, list) else value


def _differs(view: integrity_pb2.VerifiedView) -> bool:
    return bool(view.differing_members or view.differing_edges)


def _print(told: integrity_pb2.VerifyTablesResponse, shown: integrity_pb2.VerifyViewsResponse) -> None:
    if told.tables:
        columns = ["table", "rows in SurrealDB", "rows here", "differing", "repaired", "bytes read"]
        rows = [
            [each.name, each.database_rows, each.replica_rows, each.differing, each.repaired, each.read_bytes]
            for each in told.tables
        ]
        print_table(columns, rows)
    if shown.views:
        columns = ["view", "user", "ssp", "members", "edges", "differing members", "differing edges", "state"]
        print_table(columns, [_view_row(each) for each in shown.views])
    differences = [
        *((each.name, difference) for each in told.tables for difference in each.differences),
        *((each.key.id, difference) for each in shown.views for difference in each.differences),
    ]
    if differences:
        print_table(["in", "what", "id", "should be", "is"], list(_difference_rows(differences)))


def _view_row(view: integrity_pb2.VerifiedView) -> list[Any]:
    skipped = f"skipped, {view.skipped}" if view.skipped else ""
    state = skipped or ("being repaired" if view.repairing else "differs" if _differs(view) else "right")
    counts = [view.members, view.edges, view.differing_members, view.differing_edges]
    return [view.key.id, view.key.auth_id or "-", view.ssp_id, *counts, state]


def _difference_rows(differences: Iterable[tuple[str, integrity_pb2.Difference]]) -> Iterable[list[str]]:
    for where, each in differences:
        yield [where, each.what, each.id, each.expected or "(nothing)", each.found or "(nothing)"]
