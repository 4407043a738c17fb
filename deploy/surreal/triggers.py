"""The events of `SPKY_CAPTURE=events`: for each table two, which post every change to the mesh's `/ingest`.

They are generated from the schema as it is, so a table or field that is made later has them after the next `spky
deploy`. A mutation event counts the record's version in `_00_version` and posts {table, op, id, record, hash}, where
the record is `id` as text, every top-level field of the schema in sorted order (of kind record or datetime: as text, ''
where it is missing), and `_00_rv`, the version. A delete event drops the version and posts the record as it was,
without it.

They run in the writer's transaction: an endpoint that is down makes the write fail, and a transaction that is cancelled
has posted. So the mesh takes a post as a hint to read the record again, never as the truth.

A writer's LET is seen by the events of what he writes, even before a parameter of the database. So, invariant: an event
reads no variable that a session can set, only those that the engine sets (`$event`, `$before`, `$after`, `$auth`) and
what it has LET itself before; endpoint and secret are literals in its text, which only system users can read. The one
exception is `$sp00ky_target_version`, {id, version}, by which a system user says which version a record gets.

Every name of the user's goes through `escape` or `escape_ident`, and nothing else makes text of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sp00ky.deploy.surreal.definitions import Definition, Part
from sp00ky.proto.database import Database
from sp00ky.proto.surrealql.lexer import tokenize
from sp00ky.proto.surrealql.tokens import TokenKind
from sp00ky.proto.values.text import escape, escape_ident

NAME: Final = "events"
VERSION: Final = 1
OWN_PREFIXES: Final = ("_00_", "_spooky_")
ENDPOINT: Final = "sp00ky_endpoint"  # a parameter, by which `spky deploy` knows where it let events post; they do not
SECRET: Final = "sp00ky_secret"  # a parameter that there was once; it is removed
DEFAULT_ENDPOINT: Final = "http://localhost:9667"
VERSION_MAX: Final = 2**53  # JSON numbers are exact up to here; a version that came so far stays


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table whose changes are posted: its name, and its top-level fields with their kinds as INFO prints them."""

    name: str
    kinds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Mesh:
    """Where events post to and what they present, as literals."""

    url: str
    bearer: str


def events_part(tables: Sequence[UserTable], endpoint: str, secret: str) -> Part:
    """The events of these tables; their texts hold the secret."""
    base = endpoint.rstrip("/")
    mesh = _Mesh(escape(f"{base}/ingest", "'"), escape(f"Bearer {secret}", "'"))
    made = [_param(ENDPOINT, base), _no_param(SECRET)]
    for table in tables:
        for what, body in (("mutation", _mutation(table, mesh)), ("delete", _deletion(table, mesh))):
            name = event_name(table.name, what)
            text = f"DEFINE EVENT IF NOT EXISTS {escape_ident(name)} ON TABLE {escape_ident(table.name)} {body}"
            made.append(Definition("EVENT", name, table.name, text, secret=mesh.bearer))
    return Part(NAME, VERSION, tuple(made))


def no_events(tables: Sequence[UserTable]) -> Part:
    """Takes away what `events_part` made."""
    made = [_no_param(ENDPOINT), _no_param(SECRET)]
    for table in tables:
        for what in ("mutation", "delete"):
            name = event_name(table.name, what)
            text = f"REMOVE EVENT IF EXISTS {escape_ident(name)} ON TABLE {escape_ident(table.name)}"
            made.append(Definition("EVENT", name, table.name, text, removes=True))
    return Part(NAME, VERSION, tuple(made))


def event_name(table: str, what: str) -> str:
    return f"_00_{table}_{what}"


def secret_of(shown: str) -> str | None:
    """The secret that an event presents, of how INFO shows it; None for one that is none of these."""
    texts = [token.value for token in tokenize(shown) if token.kind is TokenKind.STRING]
    return texts[-1].removeprefix("Bearer ") if texts and texts[-1].startswith("Bearer ") else None


async def user_tables(database: Database) -> list[UserTable]:
    """Every table that users write: relations too, but neither the mesh's own nor one computed by AS SELECT. Raises
    Fault."""
    info: Any = (await database.query("INFO FOR DB STRUCTURE"))[0]
    names = [
        table["name"]
        for table in info["tables"]
        if not table["name"].startswith(OWN_PREFIXES) and not table.get("view")
    ]
    if not names:
        return []
    answers: list[Any] = await database.query(
        ";".join(f"INFO FOR TABLE {escape_ident(name)} STRUCTURE" for name in names)
    )
    return [UserTable(name, _kinds(answer["fields"])) for name, answer in zip(names, answers, strict=True)]


def _kinds(fields: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of the fields that are no part of another one."""
    named = [(tokenize(field["name"]), str(field.get("kind") or "any")) for field in fields]
    return {tokens[0].value: kind for tokens, kind in named if len(tokens) == 2}  # the name and the end


def _param(name: str, value: str) -> Definition:
    text = f"DEFINE PARAM IF NOT EXISTS ${name} VALUE {escape(value, chr(39))} PERMISSIONS NONE"
    return Definition("PARAM", name, "", text)


def _no_param(name: str) -> Definition:
    return Definition("PARAM", name, "", f"REMOVE PARAM IF EXISTS ${name}", removes=True)


def _mutation(table: UserTable, mesh: _Mesh) -> str:
    return f"""WHEN $before != $after AND $event != 'DELETE' THEN {{
    LET $record = $after.id;
    LET $counted = (SELECT VALUE version FROM _00_version WHERE record_id = $record)[0] ?? 0;
    LET $version = IF $event = 'CREATE' {{ 1 }}
        ELSE IF $auth = NONE AND $sp00ky_target_version.id = $record
            AND type::is_int($sp00ky_target_version.version)
            AND $sp00ky_target_version.version >= 1 AND $sp00ky_target_version.version <= {VERSION_MAX}
            {{ $sp00ky_target_version.version }}
        ELSE {{ math::min([$counted, {VERSION_MAX - 1}]) + 1 }};
    UPSERT _00_version SET record_id = $record, version = $version WHERE record_id = $record RETURN NONE;
    {_post(table, mesh, "$event", "$after", ", _00_rv: $version")}
}}"""


def _deletion(table: UserTable, mesh: _Mesh) -> str:
    return f"""WHEN $event = 'DELETE' THEN {{
    LET $record = $before.id;
    DELETE _00_version WHERE record_id = $record RETURN NONE;
    {_post(table, mesh, "'DELETE'", "$before", "")}
}}"""


def _post(table: UserTable, mesh: _Mesh, op: str, image: str, more: str) -> str:
    entries = [f"id: <string> {image}.id"]
    for name in sorted(table.kinds.keys() - {"id"}):
        quoted = escape(name, "'")
        value = f"{image}[{quoted}]"
        entries.append(f"{quoted}: {f'<string> ({value} ?? {chr(39) * 2})' if _is_text(table.kinds[name]) else value}")
    return f"""http::post({mesh.url}, {{
        table: {escape(table.name, "'")},
        op: {op},
        id: <string> {image}.id,
        record: {{ {", ".join(entries)}{more} }},
        hash: ''
    }}, {{ Authorization: {mesh.bearer} }});"""


def _is_text(kind: str) -> bool:
    """Whether a value of the kind is posted as text: a record or a datetime, optional or not."""
    depth, kinds, start = 0, list[str](), 0
    for token in tokenize(kind):
        depth += (token.text in "<[{") - (token.text in ">]}") if token.kind is TokenKind.SIGN else 0
        if token.kind is TokenKind.END or (token.text == "|" and depth == 0):
            kinds.append(kind[start : token.start].strip())
            start = token.end
    real = [each for each in kinds if each not in ("none", "null")]
    return bool(real) and all(each == "datetime" or each.partition("<")[0] == "record" for each in real)
