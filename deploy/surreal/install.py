"""Puts the mesh's own tables into SurrealDB; changes nothing that is already there."""

from __future__ import annotations

import asyncio
from importlib.resources import files

from sp00ky.proto.database import Database, QueryError

ATTEMPTS = 5


async def install(database: Database) -> None:
    """Apply schema.surql. Several processes may do so at once: a definition that conflicts is applied again."""
    text = files("sp00ky.deploy.surreal").joinpath("schema.surql").read_text()
    for attempt in range(ATTEMPTS):
        try:
            await database.query(text)
            return
        except QueryError as error:
            if not error.retryable or attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))
