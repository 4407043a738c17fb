"""Sizes and habits of the source: small files, small functions, no test that waits by the clock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.tree import PACKAGES, ROOT, functions, relative, sources

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LINE_LENGTH_MAX = 120
FORBIDDEN_STEMS = {"utils", "util", "common", "helpers", "helper", "core", "manager", "base", "misc"}
# The only way past a size: a line here, with the reason.
LARGE_FILES: dict[str, str] = {}
LARGE_FUNCTIONS: dict[str, str] = {}


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= FILE_LINES_MAX or relative(path) in LARGE_FILES, f"{relative(path)} has {len(lines)} lines"
    for number, line in enumerate(lines, start=1):
        assert len(line) <= LINE_LENGTH_MAX, f"{relative(path)}:{number} has {len(line)} columns"
    for function in functions(path):
        name = f"{relative(path)}:{function.name}"
        assert function.lines <= FUNCTION_LINES_MAX or name in LARGE_FUNCTIONS, f"{name} has {function.lines} lines"


def test_exceptions_are_still_needed() -> None:
    for name in LARGE_FILES:
        assert len((ROOT / name).read_text().splitlines()) > FILE_LINES_MAX, f"{name} is small again"


def test_every_file_is_a_noun_of_the_domain() -> None:
    for path in sources(*PACKAGES):
        assert path.stem not in FORBIDDEN_STEMS, f"{relative(path)} says nothing"


def test_modules_open_with_their_theory() -> None:
    for path in sources(*PACKAGES):
        text = path.read_text().strip()
        assert not text or text.startswith('"""'), f"{relative(path)} does not say what it is"


SLEEP = re.compile(r"\b(?:time|asyncio|anyio)\.sleep\(|(?<![\w.])sleep\(")


@pytest.mark.parametrize("path", sources("tests"), ids=relative)
def test_tests_wait_on_conditions(path: Path) -> None:
    if relative(path) in {"tests/harness/eventually.py", "tests/tidy/test_shape.py"}:
        return  # the one place that may poll, and this pattern itself
    if relative(path).startswith("tests/bench/"):
        return  # a load generator keeps a rate
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        assert not SLEEP.search(line), f"{relative(path)}:{number} sleeps"


def test_no_machine_path_in_the_tree() -> None:
    """Neither where this checkout lies nor whose home it is."""
    places = {str(ROOT), str(Path.home())} - {"/"}
    for path in [*sources(*PACKAGES, "tests"), *ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("*/*/*.md")]:
        text = path.read_text()
        for place in places:
            assert f"{place}/" not in text, f"{relative(path)} names {place}"
