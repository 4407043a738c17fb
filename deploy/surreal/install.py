"""Puts the mesh's own tables into SurrealDB; changes nothing that is already there."""

from __future__ import annotations

import asyncio
from importlib.resources import files

from sp00ky.proto.database import Database, QueryError

PARTS = ("views", "edges", "mesh", "collaborative", "jobs")  # files beside this one, in the order they are applied
ATTEMPTS = 5


async def install(database: Database) -> None:
    """Apply every part. Several processes may do so at once: a definition that conflicts is applied again."""
    folder = files("sp00ky.deploy.surreal")
    text = "\n".join(folder.joinpath(f"{part}.surql").read_text() for part in PARTS)
    for attempt in range(ATTEMPTS):
        try:
            await database.query(text)
            return
        except QueryError as error:
            if not error.retryable or attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))
