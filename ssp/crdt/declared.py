"""Which fields are collaborative, and of which kind: read from a setting, a schema's text, or the database.

`SPKY_CRDT_FIELDS` states them by table; a file named there is a schema whose annotations count. Without it the database
itself is asked, of which only this survives (tried on core 3.2.4): the comment of a field's definition. `-- @crdt text`
beside a definition is gone once it is applied, `DEFINE FIELD … COMMENT '@crdt text'` is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value


class Kind(StrEnum):
    """The root container of a document, which has the field's name."""

    TEXT = "text"
    MAP = "map"
    LIST = "list"
    COUNTER = "counter"


Declared = Mapping[str, Mapping[str, Kind]]  # table → field → kind

_HINT: Final = 'write {"thread": ["content"]}, {"thread": {"content": "text"}} or the name of a .surql file'
_ANNOTATION: Final = re.compile(r"@crdt\s+(\w+)")
_NAME: Final = r"(?:`([^`]+)`|⟨([^⟩]+)⟩|(\w+))"
_FIELD: Final = re.compile(
    rf"\bDEFINE\s+FIELD\s+(?:OVERWRITE\s+|IF\s+NOT\s+EXISTS\s+)?{_NAME}(?![\w.\[])\s+ON\s+(?:TABLE\s+)?{_NAME}", re.I
)


def stated(setting: str) -> Declared | None:
    """What `SPKY_CRDT_FIELDS` says; None: it says nothing, the database is to be asked. Raises Fault INVALID."""
    text = setting.strip()
    if not text:
        return None
    if text.endswith(".surql"):
        try:
            return annotated(Path(text).read_text())
        except OSError as error:
            raise Fault(
                Code.INVALID, f"SPKY_CRDT_FIELDS names {text}, which cannot be read: {error.strerror}"
            ) from None
    try:
        tables = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Fault(Code.INVALID, f"SPKY_CRDT_FIELDS is not JSON: {error}", _HINT) from None
    if not isinstance(tables, dict):
        raise Fault(Code.INVALID, "SPKY_CRDT_FIELDS is not an object", _HINT)
    return {table: _fields(table, fields) for table, fields in tables.items()}


def _fields(table: str, fields: Value) -> dict[str, Kind]:
    if isinstance(fields, list):
        fields = dict.fromkeys(fields, Kind.TEXT) if all(isinstance(name, str) for name in fields) else None
    if not isinstance(fields, dict):
        raise Fault(Code.INVALID, f'SPKY_CRDT_FIELDS has no list of fields for "{table}"', _HINT)
    return {name: _kind(f'field "{name}" of "{table}"', kind) for name, kind in fields.items()}


def _kind(what: str, word: Value) -> Kind:
    try:
        return Kind(word)
    except ValueError:
        kinds = ", ".join(Kind)
        raise Fault(
            Code.INVALID, f'{what} is declared as "{word}", which is no collaborative kind', f"{kinds}"
        ) from None


def annotated(schema: str) -> Declared:
    """Of a schema's text: an annotation belongs to the definition it stands in, else to the one that begins right below
    it, else to the one right above; a blank line parts them. Raises Fault INVALID for a kind that is not known."""
    found: dict[str, dict[str, Kind]] = {}
    statement, inside, pending, last = "", "", "", None
    for line in [*schema.splitlines(), ""]:
        code, _, comment = line.partition("--")
        said = _ANNOTATION.search(comment)
        if said is not None and (statement or code.strip()):
            inside = said[1]
        elif said is not None:
            pending = said[1]
        statement += f"{code} " if code.strip() else ""
        ended = ";" in code
        if not ended and (line.strip() or statement):
            continue
        field = _FIELD.search(statement)
        if field is not None:
            last, word, pending = _named(field), inside or pending, ""
        else:
            word, pending = pending, ""
        if word and last is not None:
            _put(found, last, word)
        last = last if field is not None else None
        statement = inside = ""
    return found


def _named(field: re.Match[str]) -> tuple[str, str]:
    """Table and field."""
    names = [name for name in field.groups() if name is not None]
    return names[1], names[0]


def _put(found: dict[str, dict[str, Kind]], place: tuple[str, str], word: str) -> None:
    table, field = place
    found.setdefault(table, {})[field] = _kind(f'field "{field}" of "{table}"', word)


def commented(comment: Value) -> Kind | None:
    """What the comment of a field in the database says. Raises Fault INVALID for a kind that is not known."""
    said = _ANNOTATION.search(comment) if isinstance(comment, str) else None
    return _kind("a field's comment", said[1]) if said else None
