"""That every declared case was executed, on every engine it is for: a case that never runs looks like one that passes
(SpiceDB's own suite has one)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conformance.declared import ADAPTED, CASES, OWN, TAKEN, engines_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_declaration_is_complete() -> None:
    assert (len(TAKEN), len(ADAPTED), len(OWN)) == (32, 38, 25)
    assert len(CASES) == 95


@pytest.mark.parametrize("case", [case for case in CASES if not engines_of(case)])
def test_cases_of_other_layers_name_a_test_that_is_collected(case: str) -> None:
    path, _, name = CASES[case].partition("::")
    tree = ast.parse((ROOT / path).read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            assert not {"skip", "long"} & {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
            return
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return
    raise AssertionError(f"{case}: there is no {name} in {path}")


def test_every_declared_case_ran(request: pytest.FixtureRequest, ran_cases: set[tuple[str, str]]) -> None:
    config = request.config
    if config.option.keyword or any("::" in arg or arg.endswith(".py") for arg in config.args):
        pytest.skip("a part of the suite was asked for")
    due = {(case, engine) for case in CASES for engine in engines_of(case)}
    assert not due - ran_cases
