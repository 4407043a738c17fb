"""G2 from the clients' side: two signed-in users, and neither is ever shown what is the other's. See tests/users."""

from __future__ import annotations

import pytest
from sp00ky.proto.database import Database

from tests.conftest import FreshDatabase
from tests.users.play import play


@pytest.mark.parametrize(("seed", "dedicated"), [(1, True), (2, False)])
async def test_g2_neither_user_ever_sees_what_is_the_others(
    database: Database, fresh_database: FreshDatabase, database_url: str, seed: int, dedicated: bool
) -> None:
    own = await fresh_database(database.namespace)
    done = await play(database, own, database_url, seed=seed, steps=80, dedicated=dedicated)
    assert done["looks"] > 10 and done["heard"] > 0 and done["settled"] == 2


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10, 22))
async def test_g2_many_histories(
    database: Database, fresh_database: FreshDatabase, database_url: str, seed: int
) -> None:
    own = await fresh_database(database.namespace)
    done = await play(database, own, database_url, seed=seed, steps=400, dedicated=seed % 2 == 0)
    assert done["looks"] > 50
