"""The words of canonical SurrealQL: names, parameters and constants, quoted only where they must be."""

from __future__ import annotations

import math
import re
from typing import Final

from sp00ky.proto.surrealql.tokens import NUMBER_WORDS
from sp00ky.proto.values.kinds import RecordId, Regex, Table, Value
from sp00ky.proto.values.text import escape, to_surql

# Words that do not read back as a name in every place where one may stand
_SPECIAL = """
NONE NULL TRUE FALSE INFINITY NAN SELECT IF FUNCTION CREATE UPDATE UPSERT DELETE RELATE INSERT DEFINE REMOVE REBUILD
ALTER INFO SLEEP EXPLAIN FOR LET RETURN THROW CONTINUE BREAK VALUE ONLY FROM WHERE AS OMIT WITH SPLIT ON GROUP ALL BY
ORDER RAND COLLATE NUMERIC ASC DESC ASCENDING DESCENDING LIMIT START AT FETCH VERSION TIMEOUT TEMPFILES PARALLEL FULL
THEN ELSE END AND OR IS NOT IN INSIDE NOTINSIDE OUTSIDE INTERSECTS CONTAINS CONTAINSNOT CONTAINSALL CONTAINSANY
CONTAINSNONE ALLINSIDE ANYINSIDE NONEINSIDE FIELD NO NOINDEX INDEX TYPE
"""
SPECIAL: Final = frozenset(_SPECIAL.split())
PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def print_name(name: str) -> str:
    if PLAIN.fullmatch(name) and name.upper() not in SPECIAL:
        return name
    return escape(name, "`")


def print_entry_name(name: str) -> str:
    return name if PLAIN.fullmatch(name) and name not in NUMBER_WORDS else to_surql(name)


def print_param(name: str) -> str:
    return "$" + (name if PLAIN.fullmatch(name) else escape(name, "`"))


def print_call_name(name: str) -> str:
    first, *rest = name.split("::")
    parts = [part if PLAIN.fullmatch(part) else print_name(part) for part in rest]
    return "::".join([first if PLAIN.fullmatch(first) else print_name(first), *parts])


def print_constant(value: Value) -> str:
    match value:
        case Table(name):
            return print_name(name)
        case Regex(pattern):
            return "/" + pattern.replace("/", "\\/") + "/"
        case float() if value == -math.inf:
            return "math::neg_inf"
        case RecordId(table, key):
            return f"{print_name(table)}:{print_key(key)}"
        case _:
            return to_surql(value)


def print_key(key: Value) -> str:
    return to_surql(RecordId("t", key)).removeprefix("t:")
