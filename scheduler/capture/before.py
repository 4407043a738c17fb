"""What a record was before an update, from the record after it and the patch that leads back.

With `INCLUDE ORIGINAL` the feed gives an update as the new record and a JSON patch new → old. Applied, it is the exact
before-image, and that is what shows that two transactions were built on the same state: an engine in memory lets about
one in a thousand of concurrent conflicting transactions through (measured on core 3.2.4, `mem://`; none on surrealkv),
and then the order of stamps need not be the order in which they took effect.

The patch is not quite RFC 6902: names are not escaped in paths, and `change` carries a text patch for a string, whose
hunks count characters and follow one another exactly. What cannot be undone for certain is `None`, never a guess; a
wrong guess would cost a read, not a record, since whoever finds a mismatch asks the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from sp00ky.proto.values.kinds import Value

_HUNK: Final = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class _Ambiguous(Exception):
    """The patch cannot be undone for certain."""


def undone(record: Mapping[str, Value], patch: Sequence[Mapping[str, Value]]) -> dict[str, Value] | None:
    """The record that the patch leads back to; None if that is not certain. `record` is left as it is."""
    before: dict[str, Value] = dict(record)
    owned: set[int] = {id(before)}  # containers that were copied for this patch already
    try:
        for step in patch:
            _undo(before, step, owned)
    except (_Ambiguous, KeyError, IndexError, ValueError, TypeError):
        return None
    return before


def _undo(root: dict[str, Value], step: Mapping[str, Value], owned: set[int]) -> None:
    path = step["path"]
    if not path.startswith("/"):
        raise _Ambiguous
    *parents, last = path[1:].split("/")
    holder: Value = root
    for name in parents:
        place = name if isinstance(holder, dict) else _index(holder, name, 0)
        holder = _own(holder, place, owned)
    op = step["op"]
    if op == "change":
        place = last if isinstance(holder, dict) else _index(holder, last, 0)
        holder[place] = _patched(holder[place], step["value"])
    elif isinstance(holder, dict):
        _undo_field(holder, last, op, step)
    elif isinstance(holder, list):
        _undo_item(holder, last, op, step)
    else:
        raise _Ambiguous


def _own(holder: Value, place: Value, owned: set[int]) -> Value:
    """What is at a place, as a copy of this patch's own."""
    inner = holder[place]
    if not isinstance(inner, dict | list):
        raise _Ambiguous
    if id(inner) not in owned:
        inner = inner.copy()
        owned.add(id(inner))
        holder[place] = inner
    return inner


def _undo_field(holder: dict[str, Value], name: str, op: str, step: Mapping[str, Value]) -> None:
    if op == "remove":
        del holder[name]
    elif op == "add" or (op == "replace" and name in holder):
        holder[name] = step["value"]
    else:
        raise _Ambiguous


def _undo_item(holder: list[Value], name: str, op: str, step: Mapping[str, Value]) -> None:
    if op == "add":
        holder.insert(_index(holder, name, 1), step["value"])
    elif op == "remove":
        if not name.isdecimal():
            raise _Ambiguous
        del holder[int(name) :]  # items are compared by place: only the last ones go, named in ascending order
    elif op == "replace":
        holder[_index(holder, name, 0)] = step["value"]
    else:
        raise _Ambiguous


def _index(holder: Value, name: str, beyond: int) -> int:
    if not isinstance(holder, list) or not name.isdecimal() or int(name) >= len(holder) + beyond:
        raise _Ambiguous
    return int(name)


def _patched(text: Value, patch: Value) -> str:
    """`text` with the hunks of a text patch applied, each exactly where it says, its context as it says."""
    if not isinstance(text, str) or not isinstance(patch, str):
        raise _Ambiguous
    lines = patch.split("\n")
    while lines:
        head = lines.pop(0)
        if not head and not lines:
            break
        match = _HUNK.fullmatch(head)
        if match is None:
            raise _Ambiguous
        old = new = ""
        while lines and lines[0][:1] in (" ", "+", "-"):
            line = lines.pop(0)
            piece = unquote(line[1:], errors="strict")
            old += piece if line[0] != "+" else ""
            new += piece if line[0] != "-" else ""
        begin = int(match[3]) - (1 if match[4] != "0" else 0)  # hunks before this one are applied already
        if text[begin : begin + len(old)] != old:
            raise _Ambiguous
        text = text[:begin] + new + text[begin + len(old) :]
    return str(text)
