"""The declaration is complete, and the account of what ran (`account.py`) misses what did not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conformance.account import Account
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


def test_a_case_that_did_not_run_is_missed(request: pytest.FixtureRequest) -> None:
    account = Account(request.config)
    due = {(case, engine) for case in CASES for engine in engines_of(case)}
    assert set(account.missing()) == due
    [left, *others] = sorted(due)
    account.took(others)
    assert account.missing() == [left]
    account.took([list(left)])
    assert not account.missing()
