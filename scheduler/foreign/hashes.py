"""The content hash of a table, by which an SSP that speaks HTTP only checks what it has loaded.

BLAKE3 over the rows in the byte order of their keys: key, 0x00, the row as canonical JSON, 0x00. Canonical JSON is what
`/proxy/query` answers (`proto/values/json.py`: names in order, no white space, serde's numbers). The key is the id's
text without `table:`. Written `b3:` and 64 hex digits; golden vectors are in the tests.

It costs a read of everything, so a replica beyond ROWS_MAX or BYTES_MAX is not hashed: the answer then has no hashes,
which an SSP takes for "nothing to check".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from blake3 import blake3
from sp00ky.proto.revision import Seq
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import unpack
from sp00ky.proto.values.text import json_text
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.foreign.payload import MESH_PREFIX

ROWS_MAX: Final = 50_000
BYTES_MAX: Final = 32 * 1024 * 1024
PAGE_ROWS: Final = 200  # the event loop is held for one of them


def table_hash(rows: Iterable[tuple[str, bytes]]) -> str:
    """Of (key, canonical JSON) in any order."""
    hasher = blake3()
    for key, row in sorted((key.encode(), row) for key, row in rows):
        hasher.update(key + b"\x00" + row + b"\x00")
    return f"b3:{hasher.hexdigest()}"


async def table_hashes(
    store: Datastore, at: Seq, rows_max: int = ROWS_MAX, bytes_max: int = BYTES_MAX
) -> dict[str, str]:
    """Of every table at a revision that is pinned; {} for a replica that is too large for it."""
    tables = [name for name in store.tables(at) if not name.startswith(MESH_PREFIX)]
    if sum(map(store.count, tables)) > rows_max:
        return {}
    hashes: dict[str, str] = {}
    for table in tables:
        rows: list[tuple[str, bytes]] = []
        after = b""
        while page := store.scan(table, at, after, PAGE_ROWS):
            rows += [(_key_text(table, row.key), encode_json(unpack(row.packed))) for row in page]
            bytes_max -= sum(len(row.packed) for row in page)
            after = page[-1].key
            if bytes_max < 0:
                return {}
            await asyncio.sleep(0)
        hashes[table] = table_hash(rows)
    return hashes


def _key_text(table: str, key: bytes) -> str:
    return json_text(RecordId(table, unpack(key))).removeprefix(f"{table}:")
