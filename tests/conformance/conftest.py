"""Engines to run on; and each report says which declared cases it is of."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

from tests.conformance.account import COVERS


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    params = item.callspec.params if hasattr(item, "callspec") else {}
    engine = params.get("engine") or params.get("store") or "rocksdb"
    report.user_properties += [
        (COVERS, (case, engine)) for case in getattr(getattr(item, "function", None), "cases", ())
    ]
    return report


@pytest.fixture(params=["memory", "rocksdb"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kept_store(engine: str, tmp_path: Path) -> Iterator[Datastore]:
    """An empty store of either engine."""
    store = MemoryDatastore() if engine == "memory" else RocksDatastore.open(tmp_path / "replica")
    yield store
    store.close()
