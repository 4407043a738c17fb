"""Engines to run on, and the account of which declared cases were executed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sp00ky.scheduler.datastore.datastore import Datastore
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.datastore.rocks import RocksDatastore

Ran = set[tuple[str, str]]
RAN = pytest.StashKey[Ran]()
ACCOUNT = "test_every_declared_case_ran"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cases = getattr(getattr(item, "function", None), "cases", ())
    if cases and report.when == "call" and report.passed:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        engine = params.get("engine") or params.get("store") or "rocksdb"
        item.config.stash.setdefault(RAN, set()).update((case, engine) for case in cases)
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The account comes after everything that it counts."""
    items.sort(key=lambda item: item.name == ACCOUNT)


@pytest.fixture
def ran_cases(request: pytest.FixtureRequest) -> Ran:
    return request.config.stash.setdefault(RAN, set())


@pytest.fixture(params=["memory", "rocksdb"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kept_store(engine: str, tmp_path: Path) -> Iterator[Datastore]:
    """An empty store of either engine."""
    store = MemoryDatastore() if engine == "memory" else RocksDatastore.open(tmp_path / "replica")
    yield store
    store.close()
