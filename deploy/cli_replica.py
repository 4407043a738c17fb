"""`spky replica …`: what the scheduler's store holds, and mending it. `status`, and `gc` without --offline, ask a
serving scheduler; all others work on the files, and are refused while a scheduler has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, print_json, print_table
from sp00ky.deploy.cli_serve import Assignments, Config, DataDir

if TYPE_CHECKING:
    from sp00ky.scheduler.config import SchedulerSettings

app = typer.Typer(help="The scheduler's store: log and replica.", no_args_is_help=True)

ANSWER_SECONDS = 60.0
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")]


def _settings(data_dir: Path | None, config: Path | None, assignments: list[str] | None) -> SchedulerSettings:
    from sp00ky.deploy.environment import load_service, parse_assignments
    from sp00ky.scheduler.config import SchedulerSettings

    stated = {**parse_assignments(SchedulerSettings, assignments or []), **({"data_dir": data_dir} if data_dir else {})}
    return load_service(SchedulerSettings, stated, config).settings


def _existing(settings: SchedulerSettings) -> Path:
    """The directory of the replica, damaged or not. Raises Fault NOT_FOUND."""
    from sp00ky.proto.faults import Code, Fault
    from sp00ky.scheduler.datastore.opening import holds_store

    if not holds_store(settings.replica_dir):
        raise Fault(Code.NOT_FOUND, f"there is no replica in {settings.replica_dir}", "give --data-dir")
    return settings.replica_dir


def asked(url: str, secret: str, ask: Callable[[Any], Awaitable[Any]], stub_of: Any = None) -> Any:
    """What a serving scheduler answers, its AdminService or the one of that stub. Raises Fault."""
    from grpc.aio import AioRpcError
    from sp00ky.deploy.remote import as_told_here
    from sp00ky.proto.channel import fault_of, open_channel
    from sp00ky.proto.v1 import admin_pb2_grpc

    address = url.removeprefix("grpc://") if url.startswith(("grpc://", "unix:")) else _grpc_address(url, secret)

    async def call() -> Any:
        channel = open_channel(address, secret)
        try:
            return await ask((stub_of or admin_pb2_grpc.AdminServiceStub)(channel))
        except AioRpcError as error:
            raise as_told_here(fault_of(error)) from None
        finally:
            await channel.close()

    return asyncio.run(call())


def _grpc_address(url: str, secret: str) -> str:
    """Of the scheduler behind an HTTP API. Raises Fault."""
    from sp00ky.deploy.remote import Remote
    from sp00ky.proto.discovery import with_host_of
    from sp00ky.proto.faults import Code, Fault

    remote = Remote(url, secret)
    entities = remote.get("/info")
    told = entities[0] if isinstance(entities, list) and entities else {}
    address = told.get("grpc_address", "")
    if not address or told.get("entity") != "scheduler":
        what = "an SSP's API, which has no replica" if address else "not an API of the mesh"
        raise Fault(Code.INVALID, f"{remote.url} is {what}", "give the scheduler's or the gateway's as --url")
    return with_host_of(remote.url, address)


@app.command()
def status(url: Url = DEFAULT_URL, secret: Secret = "", as_json: AsJson = False) -> None:
    """What a serving scheduler's store holds: revisions, log, pins, snapshots."""
    from google.protobuf.json_format import MessageToDict
    from sp00ky.proto.v1 import admin_pb2

    request = admin_pb2.GetReplicaRequest()
    answer = asked(url, secret, lambda stub: stub.GetReplica(request, timeout=ANSWER_SECONDS))
    facts = MessageToDict(answer, preserving_proto_field_name=True)
    if as_json:
        print_json(facts)
        return
    lists = {name: facts.pop(name, []) for name in ("tables", "pins", "snapshots")}
    metrics = facts.pop("metrics", {})
    print_table(["fact", "value"], [[name, _plain(value)] for name, value in {**facts, **metrics}.items()])
    for name, found in lists.items():
        if found:
            columns = list(dict.fromkeys(column for item in found for column in item))
            print_table([name, *columns[1:]], [[_plain(item.get(column, "")) for column in columns] for item in found])


def _plain(value: Any) -> Any:
    """A whole number without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@app.command()
def gc(
    *,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    offline: Annotated[bool, typer.Option("--offline", help="on the files, while no scheduler serves them")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    assignments: Assignments = None,
) -> None:
    """Collect garbage once, now: by the serving scheduler, or with --offline on the files, down to the head."""
    if not offline:
        from sp00ky.proto.v1 import admin_pb2

        request = admin_pb2.CollectGarbageRequest()
        answer = asked(url, secret, lambda stub: stub.CollectGarbage(request, timeout=ANSWER_SECONDS))
        facts = {name: getattr(answer, name) for name in ("versions", "log_entries", "floor", "log_floor_seq")}
        print_json({**facts, "seconds": round(answer.seconds, 3)})
        return
    from sp00ky.scheduler.datastore.rocks import RocksDatastore
    from sp00ky.scheduler.upkeep import collect_offline

    settings = _settings(data_dir, config, assignments)
    store = RocksDatastore.open(_existing(settings), settings.wal_path, auto_migrate=settings.replica_auto_migrate)
    try:
        print_json(collect_offline(store))
    finally:
        store.close()


@app.command()
def verify(data_dir: DataDir = None, config: Config = None, assignments: Assignments = None) -> None:
    """Read the whole store, write nothing, and report as JSON. Ends 1 if anything is damaged."""
    from sp00ky.scheduler.datastore.inspection import inspect

    settings = _settings(data_dir, config, assignments)
    report = inspect(_existing(settings), settings.wal_path)
    print_json({"ok": report.ok, "damaged": report.damaged, "damage": report.damage, **report.facts})
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def repair(
    name: Annotated[str, typer.Argument(help="the operation; without one they are listed")] = "",
    *,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    config: Config = None,
    assignments: Assignments = None,
) -> None:
    """Mend one kind of damage that `verify` found."""
    from sp00ky.scheduler.datastore import repairing

    if not name:
        print_table(["repair", "what it does"], [list(item) for item in repairing.described().items()])
        return
    settings = _settings(data_dir, config, assignments)
    findings = repairing.repair(_existing(settings), settings.wal_path, name, dry_run=dry_run)
    print_json({"repair": name, "dry_run": dry_run, "findings": findings})


@app.command()
def restore(
    *,
    snapshot: Annotated[str, typer.Option("--snapshot", help="which one; the newest unless it is named")] = "",
    data_dir: DataDir = None,
    config: Config = None,
    assignments: Assignments = None,
) -> None:
    """Go back to a snapshot. The store becomes another one: old tokens are refused, and every SSP loads anew."""
    from sp00ky.scheduler.datastore.restoring import restore as go_back

    settings = _settings(data_dir, config, assignments)
    done = go_back(settings.replica_dir, settings.wal_path, name=snapshot)
    print_json(
        {
            "snapshot": done.snapshot,
            "store_id": done.store_id,
            "rows_as_of_seq": done.snapshot_head,
            "numbers_on_above": done.head,
            "damaged_files": str(done.damaged) if done.damaged is not None else "",
        }
    )


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="head, or the name of a schema revision")] = "head",
    *,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    config: Config = None,
    assignments: Assignments = None,
) -> None:
    """Bring the store's layout to a schema revision. There is no way back."""
    from sp00ky.scheduler.datastore.migrations import migrate_files

    settings = _settings(data_dir, config, assignments)
    found, steps = migrate_files(_existing(settings), settings.wal_path, revision, dry_run=dry_run)
    print_json({"from": found, "steps": steps, "dry_run": dry_run})


@app.command()
def version(data_dir: DataDir = None, config: Config = None, assignments: Assignments = None) -> None:
    """The schema revision of the store, and this program's."""
    from sp00ky.scheduler.datastore.inspection import revision_of
    from sp00ky.scheduler.datastore.migrations import head_revision

    settings = _settings(data_dir, config, assignments)
    print_json({"stored": revision_of(_existing(settings), settings.wal_path), "head": head_revision()})
