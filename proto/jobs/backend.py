"""Backends and their outbox tables, from whichever of the documented forms somebody wrote: one checked model.

* `SPKY_JOB_CONFIG`: an array `[{"name", "table", "base_url", …}]`, or an object `{"job_tables": {table: {…}}}`;
* `SPKY_SCHEDULER_BACKENDS`: an array `[{"name", "url", "healthcheck", "table"?, …}]`;
* `sp00ky.yml`: `apps.<name>` with `type: backend` and `method: {type: outbox, table}`.

Invariant: a table has one backend. Two descriptions of one name and table are folded into one, the later's fields
winning where it states them; everything unknown, missing or out of bounds is refused, naming the backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs.target import Network, trusted_networks

TIMEOUT_S = 10.0
TIMEOUT_S_MAX = 3_600.0
CONCURRENCY = 16
CONCURRENCY_MAX = 1_024
RESPONSE_BYTES_MAX = 1024 * 1024
PYTHON = "python:"
WASM = "wasm:"
MEMORY_BYTES = 1024 * 1024 * 1024
WASM_MEMORY_BYTES_MAX = 2**31 - 1  # so that a pointer has 31 bits
FUEL = 1_000_000_000
_URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")
_MODULE = re.compile(r"python:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_WASM_FILE = re.compile(r"wasm:[^\x00-\x1f\x7f]+\.wasm")
_TABLE = re.compile(r"(?!_00_)[A-Za-z_]\w*")
_RENAMED = {"url": "base_url", "baseUrl": "base_url", "timeoutOverridable": "timeout_overridable"}


def _token(value: object) -> object:
    """No line break may come into a header."""
    if isinstance(value, str) and not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError("a token has printable characters only")
    return value


class Backend(BaseModel):
    """Who runs the jobs of a table. `table` empty: a service whose health alone is asked for.

    `timeout`: seconds that an attempt may take; a row's own counts where `timeout_overridable`, up to an hour.
    `concurrency`: attempts at the same time on all SSPs. `retain_success_secs`, `retain_failed_secs`: how long finished
    rows stay, 0 for ever. `memory_bytes_max`, `fuel`: of functions, the memory of a worker, or of an instance of a
    WebAssembly module, and how many instructions a call of the latter may last."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=100)
    table: str = ""
    base_url: str
    auth_token: Annotated[str, BeforeValidator(_token)] = Field(default="", repr=False)
    timeout: float = Field(default=TIMEOUT_S, gt=0, le=TIMEOUT_S_MAX)
    timeout_overridable: bool = False
    concurrency: int = Field(default=CONCURRENCY, gt=0, le=CONCURRENCY_MAX)
    response_bytes_max: int = Field(default=RESPONSE_BYTES_MAX, gt=0, le=64 * 1024 * 1024)
    allowed_networks: tuple[str, ...] = ()
    healthcheck: str = ""
    retain_success_secs: int = Field(default=6 * 3600, ge=0)
    retain_failed_secs: int = Field(default=14 * 86_400, ge=0)
    memory_bytes_max: int = Field(default=MEMORY_BYTES, ge=16 * 1024 * 1024, le=2**40)
    fuel: int = Field(default=FUEL, gt=0, le=2**62)
    port: int | None = Field(default=None, gt=0, le=65_535)
    env: tuple[str, ...] = Field(default=(), repr=False)

    @property
    def trusted(self) -> tuple[Network, ...]:
        return trusted_networks(self.base_url, self.allowed_networks)

    @property
    def is_function(self) -> bool:
        """Whether paths are functions, of a Python module or a WebAssembly file, that run in workers of the SSP."""
        return self.base_url.startswith((PYTHON, WASM))


def backends_of(job_config: str = "", services: str = "", apps: Any = None) -> tuple[Backend, ...]:
    """Every backend that is configured, by name. Raises Fault INVALID."""
    stated: dict[str, dict[str, Any]] = {}
    everything = (
        *_of_job_config(_json(job_config, "SPKY_JOB_CONFIG")),
        *_listed(_json(services, "SPKY_SCHEDULER_BACKENDS"), "SPKY_SCHEDULER_BACKENDS"),
        *_of_apps(_json(apps, "SPKY_APPS") if isinstance(apps, str) else apps),
    )
    for where, fields in everything:
        renamed = {_RENAMED.get(key, key): value for key, value in fields.items()}
        name = str(renamed.get("name") or renamed.get("table") or "")
        found = stated.setdefault(name, {})
        found |= {"name": name, **renamed, "where": where}
    backends = tuple(_checked(fields) for fields in stated.values())
    tables = [backend.table for backend in backends if backend.table]
    for table in tables:
        if tables.count(table) > 1:
            raise Fault(Code.INVALID, f'outbox table "{table}" has two backends', "a table has one")
    return backends


def checked_backends(listed: str) -> tuple[Backend, ...]:
    """Services as `PUT /backends` states them. Raises Fault INVALID."""
    return backends_of(services=listed)


def _checked(fields: Mapping[str, Any]) -> Backend:
    where = fields["where"]
    try:
        backend = Backend(**{key: value for key, value in fields.items() if key != "where"})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Fault(Code.INVALID, f'{where}: backend "{fields["name"]}", {place}: {first["msg"].lower()}') from None
    said = f'{where}: backend "{backend.name}"'
    if not any(form.fullmatch(backend.base_url) for form in (_URL, _MODULE, _WASM_FILE)):
        hint = "write http://host:port/path without user, query or .., python:package.module, or wasm:file.wasm"
        raise Fault(Code.INVALID, f'{said}: "{backend.base_url}" is no address of a backend', hint)
    if ".." in backend.base_url and not backend.is_function:
        raise Fault(Code.INVALID, f'{said}: "{backend.base_url}" has a segment ..')
    if backend.table and not _TABLE.fullmatch(backend.table):
        raise Fault(Code.INVALID, f'{said}: "{backend.table}" is no name of an outbox table')
    if backend.healthcheck and not backend.healthcheck.startswith("/"):
        raise Fault(Code.INVALID, f"{said}: healthcheck is a path that begins with /")
    if backend.base_url.startswith(WASM) and backend.memory_bytes_max > WASM_MEMORY_BYTES_MAX:
        raise Fault(
            Code.INVALID, f"{said}: memory_bytes_max of a WebAssembly module is at most {WASM_MEMORY_BYTES_MAX}"
        )
    assert backend.trusted is not None  # raises where a network is none
    return backend


def _json(text: str, where: str) -> Any:
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Fault(Code.INVALID, f"{where} is not JSON: {error}") from None


def _of_job_config(value: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    where = "SPKY_JOB_CONFIG"
    if not isinstance(value, dict):
        return _listed(value, where)
    if value.keys() != {"job_tables"} or not isinstance(value["job_tables"], dict):
        raise Fault(Code.INVALID, f'{where} is an array of backends or an object {{"job_tables": {{…}}}}')
    tables = value["job_tables"]
    return _listed([{"table": table, **_mapping(entry, where)} for table, entry in tables.items()], where)


def _listed(value: Any, where: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Fault(Code.INVALID, f"{where} is not an array of backends")
    return [(where, _mapping(entry, where)) for entry in value]


def _mapping(entry: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise Fault(Code.INVALID, f"{where}: a backend is an object")
    return entry


def _of_apps(apps: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Of applications in sp00ky.yml those that are told of their work by an outbox table."""
    if apps is None:
        return
    if not isinstance(apps, dict):
        raise Fault(Code.INVALID, "apps in sp00ky.yml is not a mapping of names to applications")
    for name, app in apps.items():
        where = f"apps.{name} in sp00ky.yml"
        method = _mapping(app, where).get("method") or {}
        if app.get("type") != "backend" or _mapping(method, where).get("type") != "outbox":
            continue
        deploy, auth = _mapping(app.get("deploy") or {}, where), _mapping(app.get("auth") or {}, where)
        stated = {
            "name": str(name),
            "table": method.get("table"),
            "base_url": app.get("baseUrl"),
            "auth_token": auth.get("token") if auth.get("type") == "token" else None,
            "concurrency": method.get("concurrency"),
            **{key: deploy.get(key) for key in ("timeout", "timeoutOverridable", "healthcheck", "port")},
        }
        if not stated["table"] or not stated["base_url"]:
            raise Fault(Code.INVALID, f"{where}: an outbox needs method.table and baseUrl")
        yield where, {key: value for key, value in stated.items() if value is not None}
