"""A view is right if it equals the same query run fresh on SurrealDB, compared as JSON text.

Both sides are asked over HTTP. The view is asked for `fully_consistent`, so it must hold everything that was committed
before; nothing is written meanwhile. JSON text tells 1 from 1.0 and 0 from false, which Python's own equality does not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from sp00ky.deploy.demo.following import Following
from sp00ky.deploy.demo.queries import Query
from sp00ky.deploy.remote import fault_of_response, view_path
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.text import escape_ident, to_surql

DIFFERENCES_SHOWN = 5
WATCHED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """SurrealDB over HTTP."""

    url: str
    user: str
    password: str
    namespace: str
    database: str


async def fresh_rows(session: aiohttp.ClientSession, source: Source, query: Query) -> Any:
    """The query's result, run on SurrealDB now. Raises Fault."""
    lets = "".join(f"LET ${escape_ident(name)} = {to_surql(value)};" for name, value in query.params.items())
    headers = {"Surreal-NS": source.namespace, "Surreal-DB": source.database, "Accept": "application/json"}
    auth = aiohttp.BasicAuth(source.user, source.password)
    body = (lets + query.surql).encode()
    async with session.post(f"{source.url}/sql", data=body, headers=headers, auth=auth) as response:
        text = await response.read()
        if response.status != 200:
            raise fault_of_response(f"{source.url}/sql", response.status, text)
    last = json.loads(text)[-1]
    if last["status"] != "OK":
        raise Fault(Code.INVALID, f'SurrealDB refuses the query of "{query.id}": {last["result"]}')
    return last["result"]


async def read_view(session: aiohttp.ClientSession, gateway: str, query: Query, **arguments: str) -> dict[str, Any]:
    """`GET /view/{id}`. Raises Fault."""
    async with session.get(gateway + view_path(query.id), params=arguments) as response:
        text = await response.read()
        if response.status != 200:
            raise fault_of_response(gateway + view_path(query.id), response.status, text)
    view: dict[str, Any] = json.loads(text)
    return view


async def differences(
    session: aiohttp.ClientSession, gateway: str, source: Source, query: Query, following: Following
) -> tuple[int, list[str]]:
    """How many rows were compared, and a line for each difference (at most a few). Raises Fault."""
    view = await read_view(session, gateway, query, rows="1", consistency="fully_consistent")
    wanted = await fresh_rows(session, source, query)
    if view["state"] != "live":
        return 0, [f"is {view['state']}: {view.get('error', '')}"]
    watched = await following.rows(query.id, view["hash"], WATCHED_SECONDS)
    lines = compare(view["rows"], wanted, ordered=query.ordered)
    return len(wanted), lines + [f"its watcher: {line}" for line in compare(watched, view["rows"], ordered=True)]


def compare(mine: Any, wanted: Any, *, ordered: bool) -> list[str]:
    """Differences between two results, as lines; in order, or as bags of rows."""
    got, want = [text_of(row) for row in mine], [text_of(row) for row in wanted]
    if ordered:
        lines = [
            f"row {index}: {a} instead of {b}" for index, (a, b) in enumerate(zip(got, want, strict=False)) if a != b
        ]
        if len(got) != len(want):
            lines.append(f"{len(got)} rows instead of {len(want)}")
        return lines[:DIFFERENCES_SHOWN]
    return [*_only("unexpected", got, want), *_only("missing", want, got)]


def _only(word: str, here: list[str], there: list[str]) -> list[str]:
    left: Mapping[str, int] = Counter(here) - Counter(there)
    return [f"{word}: {row}" for row in sorted(left)][:DIFFERENCES_SHOWN]


def text_of(value: Any) -> str:
    """Canonical JSON: the names of an object have no order."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
