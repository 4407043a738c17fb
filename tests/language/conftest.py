"""The engine's own parser, one for the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language.engine_parser import EngineParser

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def engine_parser() -> EngineParser:
    return EngineParser()


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """Canonical queries, one a line."""
    return (HERE / "queries.surql").read_text().splitlines()
