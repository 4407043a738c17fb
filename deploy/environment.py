"""The settings of each service, read from where this process was started: flags, environment, sp00ky.yml.

One environment may configure all services, so each of them knows the names of the others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from sp00ky.deploy.db.config import DbSettings
from sp00ky.gateway.config import GatewaySettings
from sp00ky.proto.failpoints import FAILPOINTS_ENV
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.settings import Loaded, Settings, find_file, load
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.ssp.config import SspSettings

S = TypeVar("S", bound=Settings)

MODELS: Mapping[str, type[Settings]] = {
    "db": DbSettings,
    "scheduler": SchedulerSettings,
    "ssp": SspSettings,
    "gateway": GatewaySettings,
}
CLIENT_NAMES = ("SPKY_URL",)  # read by the client commands, by no service
_NOT_YET = "has no effect yet"
LATER: Mapping[str, str] = {
    name: f"{name} {_NOT_YET}: {why}"
    for why, names in {
        "records are kept in RocksDB or in memory": ("SPKY_REPLICA_URI",),
        "it is only passed on to applications": ("SPKY_ENV",),
        "backups are not made": ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "S3_REGION"),
        "applications are not deployed": (
            *("slug", "mode", "cloudApi", "migrationEngine", "surrealkit", "surrealdb", "version", "schema"),
            *("buckets", "clientTypes", "logLevel", "deployment"),
        ),
    }.items()
    for name in names
}


def load_service(model: type[S], flags: Mapping[str, Any], config: Path | None) -> Loaded[S]:
    """The settings of one service as this process is to run it. Raises Fault INVALID."""
    if config is not None and not config.is_file():
        raise Fault(Code.INVALID, f"settings file {config} does not exist")
    env = {name: value for name, value in os.environ.items() if name not in (*CLIENT_NAMES, FAILPOINTS_ENV)}
    others = [other for other in MODELS.values() if other is not model]
    return load(model, flags=flags, env=env, file=config or find_file(Path.cwd()), others=others, later=LATER)


def parse_assignments(model: type[Settings], assignments: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as flags of the model. Raises Fault INVALID."""
    flags: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        field = name.strip().replace("-", "_")
        if not equals:
            raise Fault(Code.INVALID, f'--set "{text}" is not name=value')
        if field not in model.model_fields:
            close = get_close_matches(field, model.model_fields, n=1, cutoff=0.0)
            raise Fault(Code.INVALID, f'--set names no setting "{field}"', f"did you mean {close[0]}?" if close else "")
        flags[field] = value
    return flags
