"""Settings, declared once: a frozen model whose every field says its environment name, older names, file key and unit.

`load` folds four sources into one model, the first that states a field winning: flag, environment, file, default. It
also says where each value came from. An unknown `SPKY_*` name or file key is refused with the nearest known one, since
a misspelt setting that is silently ignored is found out in production. An empty environment value means "unset":
compose files pass empty strings for what their user left out.

Invariant: a model built by `load` has in `model_fields_set` exactly what somebody stated, so a service can tell an
explicit value from a default (an SSP adopts the scheduler's namespace unless its own was stated).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.misspelt import refuse_unknown_environment, refuse_unknown_keys

FILE_NAMES = ("sp00ky.yml", "sp00ky.yaml", "spooky.yml", "spooky.yaml")


class Settings(BaseModel):
    """The form of every settings model: plain data, immutable, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


S = TypeVar("S", bound=Settings)
S_co = TypeVar("S_co", bound=Settings, covariant=True)


@dataclass(frozen=True, slots=True)
class Names:
    """What a field is called outside, in which unit, and whether it may be shown."""

    env: str
    aliases: tuple[str, ...]
    yaml: tuple[str, ...]
    unit: str
    secret: bool
    later: str
    works: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Document:
    """A settings file as read."""

    values: Mapping[str, Any]
    name: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S_co]):
    """A model, where each of its fields came from, and what the operator should hear about it."""

    settings: S_co
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def setting(
    default: Any = ...,
    *,
    env: str,
    about: str,
    aliases: Sequence[str] = (),
    yaml: str | Sequence[str] = (),
    unit: str = "",
    secret: bool = False,
    later: str = "",
    works: Sequence[object] = (),
    **constraints: Any,
) -> Any:
    """One field. `aliases`: older environment names. `yaml`: key in the file, dotted where nested. `later`: what to say
    when the value has no effect yet, which is so unless it is the default or in `works`."""
    keys = (yaml,) if isinstance(yaml, str) else tuple(yaml)
    extra: dict[str, Any] = {"env": env, "aliases": list(aliases), "yaml": list(keys), "unit": unit, "secret": secret}
    extra |= {"later": later, "works": list(works)}
    given = constraints if "default_factory" in constraints else {"default": default, **constraints}
    return Field(description=about, json_schema_extra=extra, repr=not secret, **given)


def names_of(info: FieldInfo) -> Names:
    """The outside names of a field made by `setting`."""
    extra = info.json_schema_extra
    assert isinstance(extra, dict), "a settings field is declared with setting()"
    facts: dict[str, Any] = dict(extra)
    return Names(
        facts["env"],
        tuple(facts["aliases"]),
        tuple(facts["yaml"]),
        facts["unit"],
        facts["secret"],
        facts["later"],
        tuple(facts["works"]),
    )


def fields_of(model: type[Settings]) -> Mapping[str, Names]:
    return {field: names_of(info) for field, info in model.model_fields.items()}


def environment_names(models: Iterable[type[Settings]]) -> frozenset[str]:
    """Every environment name that one of the models reads."""
    return frozenset(
        name for model in models for names in fields_of(model).values() for name in (names.env, *names.aliases)
    )


def file_keys(models: Iterable[type[Settings]]) -> frozenset[str]:
    """Every file key that one of the models reads, dotted."""
    return frozenset(key for model in models for names in fields_of(model).values() for key in names.yaml)


def find_file(directory: Path) -> Path | None:
    """The settings file of a directory, newest name first."""
    return next((directory / name for name in FILE_NAMES if (directory / name).is_file()), None)


def load(
    model: type[S],
    *,
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    file: Path | None = None,
    others: Sequence[type[Settings]] = (),
    later: Mapping[str, str] | None = None,
) -> Loaded[S]:
    """Read the model from flags (by field name; None means not given), environment and file.

    `others`: models of the other services, whose names are known here too. `later`: environment names and top-level
    file keys that are documented but have no effect yet, with the sentence to say. Raises Fault INVALID.
    """
    models: tuple[type[Settings], ...] = (model, *others)
    waiting = dict(later or {})
    environment = {name: text for name, text in (env or {}).items() if text != ""}
    document = _Document(read_file(file), file.name) if file else _Document({}, "")
    refuse_unknown_environment(environment, environment_names(models) | waiting.keys())
    refuse_unknown_keys(document.values, document.name, file_keys(models), waiting.keys())

    stated: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for field, names in fields_of(model).items():
        found = _first_stated(field, names, flags or {}, environment, document)
        if found:
            stated[field], sources[field] = found
    settings = _build(model, stated, sources)
    for field in model.model_fields:
        sources.setdefault(field, _derived_source(model, field, settings, sources))
    warnings = [sentence for name, sentence in waiting.items() if name in environment or name in document.values]
    return Loaded(settings, sources, (*_unworked(settings, sources), *warnings))


def read_file(file: Path) -> Mapping[str, Any]:
    """The file as a mapping. Raises Fault INVALID."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Fault(Code.INVALID, f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Fault(Code.INVALID, f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise Fault(Code.INVALID, f"{file} must be a mapping of names to values")
    return document


def mask(text: str) -> str:
    """A secret as it may be printed: whether there is one, nothing of it."""
    return "****" if text else ""


def shown(settings: Settings, *, redact: bool) -> dict[str, Any]:
    """The model as plain JSON values, secrets masked if asked."""
    values = settings.model_dump(mode="json")
    for field, names in fields_of(type(settings)).items():
        if redact and names.secret:
            values[field] = mask(str(values[field] or ""))
    return values


def _first_stated(
    field: str,
    names: Names,
    flags: Mapping[str, Any],
    env: Mapping[str, str],
    document: _Document,
) -> tuple[Any, str] | None:
    if flags.get(field) is not None:
        return flags[field], f"flag --{field.replace('_', '-')}"
    for name in (names.env, *names.aliases):
        if name in env:
            return env[name], f"env {name}"
    for key in names.yaml:
        value = _at(document.values, key)
        if value is not None:
            return value, f"file {document.name}"
    return None


def _at(document: Mapping[str, Any], key: str) -> Any:
    head, _, rest = key.partition(".")
    value = document.get(head)
    if not rest:
        return value
    return _at(value, rest) if isinstance(value, dict) else None


def _build(model: type[S], stated: Mapping[str, Any], sources: Mapping[str, str]) -> S:
    try:
        return model(**stated)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        said = (
            _spoken(field, names_of(model.model_fields[field]), sources) if field in model.model_fields else "settings"
        )
        reason = first["msg"].removeprefix("Value error, ")
        value = stated.get(field)
        text = "" if field and names_of(model.model_fields[field]).secret else f" {value!r}"
        raise Fault(Code.INVALID, f"{said}{text}: {reason[:1].lower()}{reason[1:]}") from None


def _spoken(field: str, names: Names, sources: Mapping[str, str]) -> str:
    """The name that the operator used for a field."""
    source = sources.get(field, "")
    kind, _, name = source.partition(" ")
    if kind == "file":
        return f"{names.yaml[0]} in {name}"
    return name if kind in {"flag", "env"} else names.env


def _derived_source(model: type[S], field: str, settings: S, sources: Mapping[str, str]) -> str:
    """A field that a validator filled in came from whoever stated the fields it was made of."""
    if field not in settings.model_fields_set:
        return "default"
    parts = getattr(model, "MADE_OF", {}).get(field, ())
    return next((sources[part] for part in parts if part in sources), "default")


def _unworked(settings: Settings, sources: Mapping[str, str]) -> Iterable[str]:
    for field, names in fields_of(type(settings)).items():
        info = type(settings).model_fields[field]
        value = getattr(settings, field)
        stated = field in settings.model_fields_set and (info.default_factory or value != info.default)
        if names.later and stated and value not in names.works:
            yield f"{_spoken(field, names, sources)} has no effect yet: {names.later}"


class ProcessSettings(Settings):
    """What every process reads, the served database too."""

    insecure_dev: bool = setting(
        False, env="SPKY_INSECURE_DEV", about="allow an outside address without a secret (development only)"
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", env="SPKY_LOG_LEVEL", yaml="log_level", about="least severe log line that is written to stderr"
    )
    log_format: Literal["auto", "json", "pretty"] = setting(
        "auto",
        env="SPKY_LOG_FORMAT",
        yaml="log_format",
        about="form of a log line: json, pretty, or auto: pretty on a terminal, else json",
    )


class MeshSettings(ProcessSettings):
    """What every process of the mesh reads."""

    auth_secret: str = setting(
        "",
        env="SPKY_AUTH_SECRET",
        secret=True,
        about="bearer token that callers present; empty accepts anyone and keeps the default addresses on loopback",
    )
    auth_secret_previous: str = setting(
        "",
        env="SPKY_AUTH_SECRET_PREVIOUS",
        secret=True,
        about="accepted as well while the secret is changed: set it to the other one, everywhere, before and after",
    )
    tls_cert: Path | None = setting(
        None,
        env="SPKY_TLS_CERT",
        unit="path",
        about="certificate of this process, PEM; HTTP and gRPC are encrypted where it is set",
    )
    tls_key: Path | None = setting(None, env="SPKY_TLS_KEY", unit="path", about="its private key, PEM")
    tls_ca: Path | None = setting(
        None,
        env="SPKY_TLS_CA",
        unit="path",
        about="who signs the mesh's certificates, PEM; gRPC demands one of every caller and believes no other",
    )
    tls_http_ca: Path | None = setting(
        None,
        env="SPKY_TLS_HTTP_CA",
        unit="path",
        about="who signs the certificates of HTTP callers, PEM; set, HTTP demands one",
    )
    otel_endpoint: str = setting(
        "",
        env="OTEL_EXPORTER_OTLP_ENDPOINT",
        unit="url",
        about="OpenTelemetry collector (OTLP over gRPC) that traces and metrics are sent to; empty is off",
    )
    otel_service_name: str = setting(
        "", env="OTEL_SERVICE_NAME", about="service name in traces and metrics; empty is the name of the process"
    )
    otel_interval_ms: int = setting(
        60_000,
        env="OTEL_METRIC_EXPORT_INTERVAL",
        unit="ms",
        gt=0,
        about="how often metrics are pushed to the OpenTelemetry collector",
    )


class SourceSettings(MeshSettings):
    """What every process that talks to SurrealDB reads."""

    db_ws: str = setting(
        "ws://127.0.0.1:8000",
        env="SPKY_DB_WS",
        aliases=("SPKY_DB_URL", "SURREALDB_ADDR", "SPOOKY_SCHEDULER_DB_URL"),
        yaml="db.url",
        unit="url",
        about="SurrealDB; scheme and /rpc are added where missing",
    )
    db_user: str = setting(
        "root", env="SPKY_DB_USER", aliases=("SURREALDB_USER",), yaml="db.username", about="SurrealDB root user"
    )
    db_pass: str = setting(
        "root",
        env="SPKY_DB_PASS",
        aliases=("SURREALDB_PASS",),
        yaml="db.password",
        secret=True,
        about="SurrealDB password",
    )
    db_ns: str = setting(
        "test",
        env="SPKY_DB_NS",
        aliases=("SURREALDB_NS",),
        yaml="db.namespace",
        min_length=1,
        about="SurrealDB namespace",
    )
    db_name: str = setting(
        "test",
        env="SPKY_DB_NAME",
        aliases=("SURREALDB_DB",),
        yaml="db.database",
        min_length=1,
        about="SurrealDB database",
    )
    data_dir: Path = setting(
        Path("data"), env="SPKY_DATA_DIR", unit="path", about="directory that the process keeps its files in"
    )
    grpc_deadline_ms: int = setting(
        60_000,
        env="SPKY_GRPC_DEADLINE_MS",
        yaml="grpc_deadline_ms",
        unit="ms",
        gt=0,
        about="time that a gRPC call, streams apart, may take if its caller states no deadline",
    )
    grpc_message_bytes_max: int = setting(
        64 * 1024 * 1024,
        env="SPKY_GRPC_MESSAGE_BYTES_MAX",
        yaml="grpc_message_bytes_max",
        unit="bytes",
        ge=1024 * 1024,
        le=2**31 - 1,
        about="longest gRPC message that is taken of a caller",
    )
