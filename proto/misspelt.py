"""Names that nothing has: refused, with the nearest one there is. A misspelt setting, or field of a request, that is
silently ignored is found out in production.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sp00ky.proto.faults import Code, Fault

PREFIXES = ("SPKY_", "SPOOKY_")
# A service named spky-… in Kubernetes puts such names into every pod of its namespace.
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_PORT($|_)|_TCP($|_)")


def refuse_unknown_environment(env: Mapping[str, str], known: Iterable[str]) -> None:
    """Raises Fault INVALID for a name with a prefix of ours that nobody reads."""
    names = set(known)
    for name in sorted(env):
        if name.startswith(PREFIXES) and name not in names and not _SERVICE_LINK.search(name):
            raise Fault(Code.INVALID, f"unknown setting {name} in the environment", _nearest(name, names))


def refuse_unknown_keys(
    document: Mapping[str, Any], file_name: str, known: Iterable[str], later: Iterable[str]
) -> None:
    """Raises Fault INVALID for a key that is neither known nor `later`, which may hold anything."""
    keys, waiting = set(known), set(later)
    for path in _paths(document, keys, waiting):
        if path not in keys:
            raise Fault(Code.INVALID, f"unknown setting {path} in {file_name}", _nearest(path, keys | waiting))


def _paths(document: Mapping[str, Any], keys: set[str], waiting: set[str], under: str = "") -> Iterable[str]:
    """The dotted keys that must be known: a mapping is entered only where known keys lie inside it."""
    for name, value in document.items():
        path = f"{under}{name}"
        if path in waiting:
            continue
        if isinstance(value, dict) and any(key.startswith(f"{path}.") for key in keys):
            yield from _paths(value, keys, waiting, f"{path}.")
        else:
            yield path


def near(name: str, known: Iterable[str]) -> str:
    """The known name that this is likely meant to be, whatever its case; empty if none is like it."""
    folded = {each.lower(): each for each in sorted(known, reverse=True)}
    close = difflib.get_close_matches(name[:64].lower(), sorted(folded), n=1, cutoff=0.75)
    return folded[close[0]] if close else ""


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    return f"did you mean {close[0]}?" if close else ""
