from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sp00ky.deploy.surreal.install import install
from sp00ky.proto.database import Database


@pytest.fixture
async def installed(database: Database) -> AsyncIterator[Database]:
    """A database with the mesh's tables."""
    await install(database)
    yield database
