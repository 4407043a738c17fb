"""`spky replica drift`: the serving scheduler compares its replica with SurrealDB, by digests."""

from __future__ import annotations

from typing import Annotated

import typer
from sp00ky.deploy import cli_replica
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json, print_table

CHECK_SECONDS = 3600.0


def drift(
    tables: Annotated[list[str] | None, typer.Argument(metavar="[TABLE]...", help="none: every captured one")] = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="read the records that differ again, and log them")] = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Compare the replica with SurrealDB. Ends 1 if something differs and was not mended."""
    from google.protobuf.json_format import MessageToDict
    from sp00ky.proto.v1 import admin_pb2

    asked = admin_pb2.CheckDriftRequest(tables=tables or [], repair=repair)
    answer = cli_replica.asked(url, secret, lambda stub: stub.CheckDrift(asked, timeout=CHECK_SECONDS))
    if as_json:
        print_json(MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))
    else:
        rows = [
            [each.name, each.database_rows, each.replica_rows, each.differing, each.repaired] for each in answer.tables
        ]
        print_table(["table", "rows in SurrealDB", "rows here", "differing", "repaired"], rows)
    raise typer.Exit(1 if any(each.differing > each.repaired for each in answer.tables) else 0)
