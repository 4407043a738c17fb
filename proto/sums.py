"""SurrealDB's side of a tree of `merkle.py`, computed *in* the database, and the descent to what differs.

A statement sums PAGE_ROWS records in the order of their ids, so that none works for long, and after each the database
rests in proportion (`share`). What is read is a page's last id and, for each prefix that was asked for and has records
in it, three short values. Sums of pages add up; no two pages are of one moment, so what is written meanwhile may show:
who compares decides at one moment.

    root: count and sum ─▶ equal: done
    differing: the sums of its 16 children ─▶ of the 16 of each that differs ─▶ … log16(n / LAST_ROWS) steps
               ids and digests below the last nodes that differ

Bytes read are proportional to differences · log n: a step costs 16 nodes of about 16 bytes for each node that differs,
the last about LAST_ROWS ids. The database's work is proportional to n at each step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.database import Database, cause_of
from sp00ky.proto.faults import Code
from sp00ky.proto.merkle import DIGEST_SURQL, NOTHING, PLACE_SURQL, Node, Tree
from sp00ky.proto.values.cbor import encode
from sp00ky.proto.values.kinds import RecordId, Value

PAGE_ROWS: Final = 5_000
LAST_ROWS: Final = 16  # records below one node, at most about: from there on ids and digests are read

_ROOT: Final = "{ n: count($page), last: array::last($page).id, total: math::sum($page.d) }"
# Grouped first and summed then: a function of an aggregate in GROUP BY itself is evaluated once a row.
_NODES: Final = (
    "{ n: count($page), last: array::last($page).id, nodes: (SELECT VALUE [p, array::len(d), math::sum(d)] FROM"
    " (SELECT p, array::group(d) AS d FROM (SELECT string::slice(place, 0, $depth) AS p, d FROM $page"
    " WHERE $all OR $wanted[string::slice(place, 0, $depth - 1)]) GROUP BY p)) }"
)
_RECORDS: Final = (
    "{ n: count($page), last: array::last($page).id, records: (SELECT VALUE [id, d] FROM $page"
    " WHERE $all OR $wanted[string::slice(place, 0, $depth)]) }"
)
_WANTED_SHARE: Final = 0.25  # of the prefixes there are: from there on all are asked for


@dataclass(slots=True)
class Effort:
    """What comparing has cost so far. `read_bytes`: of the database's answers, as they come (CBOR)."""

    nodes: int = 0
    pages: int = 0
    read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """The records that are summed: `select` up to its FROM, a condition ("" for none), and its parameters."""

    select: str
    condition: str = ""
    params: Mapping[str, Value] = field(default_factory=dict)


class Sums:
    """Of some records, at `share` of the database's time at most."""

    def __init__(self, database: Database, rows: Rows, share: float, effort: Effort) -> None:
        self._database, self._rows, self._share, self._effort = database, rows, share, effort

    async def root(self) -> Node:
        """All of the table. Raises Fault."""
        rows = total = 0
        async for page in self._pages(_ROOT, {}):
            rows += page["n"]
            total += page["total"] if page["n"] else 0
        self._effort.nodes += 1
        return Node(rows, total)

    async def children(self, prefixes: Collection[str], depth: int) -> dict[str, Node]:
        """Of the nodes at `depth`, those below these prefixes, which are one digit shorter. Raises Fault."""
        found: dict[str, Node] = {}
        async for page in self._pages(_NODES, {"depth": depth, **_wanted(prefixes, depth - 1)}):
            for name, more, sum_of_more in page["nodes"]:
                rows, total = found.get(name, NOTHING)
                found[name] = Node(rows + more, total + sum_of_more)
        self._effort.nodes += len(found)
        return found

    async def records(self, prefixes: Collection[str], depth: int) -> AsyncIterator[list[tuple[RecordId, int]]]:
        """(id, digest) of the records below these prefixes of `depth` digits, page by page. Raises Fault."""
        async for page in self._pages(_RECORDS, {"depth": depth, **_wanted(prefixes, depth)}):
            yield [(record_id, digest) for record_id, digest in page["records"]]

    async def _pages(self, answer: str, params: Mapping[str, Value]) -> AsyncIterator[Mapping[str, Value]]:
        after: RecordId | None = None
        while True:
            began = time.monotonic()
            text = f"LET $page = ({self._page(after)}); RETURN {answer}"
            results = await self._database.query_raw(text, {"after": after, **self._rows.params, **params})
            failure = cause_of(results)
            if failure is not None and failure.code is not Code.NOT_FOUND:
                raise failure
            if failure is not None:
                return  # the table is gone: it has no records
            page: Mapping[str, Value] = results[1].result
            self._effort.pages += 1
            self._effort.read_bytes += len(encode(page))
            yield page
            if page["n"] < PAGE_ROWS:
                return
            after = page["last"]
            await asyncio.sleep((time.monotonic() - began) * (1 / self._share - 1))

    def _page(self, after: RecordId | None) -> str:
        conditions = [each for each in (self._rows.condition, "id > $after" if after is not None else "") if each]
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        rows = f"{self._rows.select} {where}ORDER BY id LIMIT {PAGE_ROWS}"
        return f"SELECT id, {PLACE_SURQL} AS place, {DIGEST_SURQL} AS d FROM ({rows})"


async def descend(sums: Sums, mine: Tree, rows: int) -> tuple[int, list[str]]:
    """How deep it went, and the nodes there that differ. The root does; `rows`: of the larger side."""
    depth, differing = 0, [""]
    while differing and rows > LAST_ROWS * 16**depth:
        depth += 1
        parents = frozenset(differing)
        theirs = {name: node for name, node in (await sums.children(differing, depth)).items() if name[:-1] in parents}
        ours = {name: node for prefix in differing for name, node in mine.children(prefix).items()}
        differing = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    return depth, differing


def _wanted(prefixes: Collection[str], depth: int) -> dict[str, Value]:
    is_all = len(prefixes) >= _WANTED_SHARE * 16**depth
    return {"all": is_all, "wanted": {} if is_all else dict.fromkeys(prefixes, True)}
