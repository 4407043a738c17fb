"""Who may import whom, and what pure modules may not touch. Data goes one way; so do imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.tidy.tree import PACKAGES, imports, parsed, relative, sources

ALLOWED = {
    "proto": {"proto"},
    "scheduler": {"proto", "scheduler"},
    "ssp": {"proto", "ssp"},
    "gateway": {"proto", "gateway"},
    "deploy": set(PACKAGES),
}
PURE = (
    "proto/values",
    "proto/surrealql",
    "proto/whole",
    "proto/digest.py",
    "proto/faults.py",
    "proto/revision.py",
    "scheduler/coordinator",
    "scheduler/happenings.py",
    "scheduler/journal.py",
    "scheduler/sampling.py",
    "ssp/plan",
    "ssp/circuit",
    "ssp/views",
    "ssp/engine",
    "ssp/edges/outbox.py",
    "ssp/edges/statements.py",
    "gateway/translate",
)
WORLD = {
    *("aiohttp", "asyncio", "grpc", "multiprocessing", "os", "random", "rocksdict", "secrets", "socket"),
    *("subprocess", "surrealdb", "surrealdb_embedded", "tempfile", "threading", "time", "urllib.request"),
}


@pytest.mark.parametrize("folder", PACKAGES)
def test_imports_follow_the_layers(folder: str) -> None:
    for path in sources(folder):
        for module, line in imports(path):
            parts = module.split(".")
            where = f"{relative(path)}:{line}"
            assert parts[0] not in PACKAGES or folder == "tests", f"{where} imports {module} without sp00ky."
            assert parts[0] != "tests", f"{where} imports the tests"
            if parts[0] == "sp00ky" and len(parts) > 1:
                assert parts[1] in ALLOWED[folder], f"{where}: {folder} may not import {module}"


def pure_files() -> list[Path]:
    return [path for place in PURE for path in (sources(place) if not place.endswith(".py") else sources_of(place))]


def sources_of(place: str) -> list[Path]:
    return [path for path in sources(place.split("/", maxsplit=1)[0]) if relative(path) == place]


def test_the_pure_list_names_what_exists() -> None:
    for place in PURE:
        found = sources_of(place) if place.endswith(".py") else sources(place)
        assert found, f"{place} is named pure but is not there"


@pytest.mark.parametrize("path", pure_files(), ids=relative)
def test_pure_modules_touch_nothing(path: Path) -> None:
    for module, line in imports(path):
        names = {module, module.split(".")[0]}
        assert not names & WORLD, f"{relative(path)}:{line} is pure and imports {module}"
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{relative(path)}:{node.lineno} awaits"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}, f"{relative(path)}:{node.lineno} does I/O"
