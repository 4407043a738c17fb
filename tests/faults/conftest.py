"""One database process serves every test here: it is not what fails, but for where a test starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.parts import database_process


@pytest.fixture(scope="session")
def db_ws() -> Iterator[str]:
    with database_process() as address:
        yield address
