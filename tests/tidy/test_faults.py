"""Every row of the fault catalogue that is claimed has a test with its id, and the table names tests that exist."""

from __future__ import annotations

import re

from tests.tidy.tree import ROOT, functions, sources

IDS = {
    *(f"C{number}" for number in range(1, 13)),
    *(f"D{number}" for number in range(1, 10)),
    *(f"N{number}" for number in range(1, 9)),
    *("T1", "T2", "L2", "L3", "L4", "L5", "L8", "I7", "I10", "P1", "P2", "P4", "S1", "S2", "S3", "S4", "S5", "S6"),
}
TABLE = ROOT / "tests" / "faults" / "README.md"


def test_every_fault_has_a_test_that_carries_its_id() -> None:
    names = [function.name for path in sources("tests") for function in functions(path)]
    carried = {part.upper() for name in names for part in name.split("_")[1:4] if re.fullmatch(r"[a-z]\d+", part)}
    assert carried >= IDS, f"no test carries {sorted(IDS - carried)}"


def test_the_table_of_faults_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| ([A-Z]\d+) \|.*$", TABLE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(IDS)
    named = set(re.findall(r"\btest_[a-z]\d+_\w+", TABLE.read_text()))
    everywhere = {function.name for path in sources("tests") for function in functions(path)}
    assert named <= everywhere, f"the table names {sorted(named - everywhere)}"
    here = {function.name for path in sources("tests/faults") for function in functions(path)}
    shown = {name for name in here if re.match(r"test_[a-z]\d+_", name)}
    assert shown <= named, f"the table leaves out {sorted(shown - named)}"
