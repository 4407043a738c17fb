"""The account of a whole run: that every declared case was executed, on every engine it is for. A case that never runs
looks like one that passes (SpiceDB's own suite has one).

Kept by whoever hears of every test: the one process of a run, or the one that hands tests out to several.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conformance.declared import CASES, engines_of

COVERS = "covers"  # a report's property: (case, engine)


class Account:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ran: set[tuple[str, str]] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.took(value for name, value in report.user_properties if name == COVERS)

    def took(self, covered: Iterable[object]) -> None:
        for value in covered:
            assert isinstance(value, tuple | list), "a case and an engine"
            case, engine = value
            self._ran.add((str(case), str(engine)))

    def missing(self) -> list[tuple[str, str]]:
        return sorted({(case, engine) for case in CASES for engine in engines_of(case)} - self._ran)

    def is_whole(self) -> bool:
        """Whether the suite was asked for as a whole, and not a part of it, or something else."""
        option, here = self._config.option, Path(__file__).parent
        if option.keyword or option.collectonly or any("::" in arg or arg.endswith(".py") for arg in self._config.args):
            return False
        asked = [Path(self._config.invocation_params.dir, arg).resolve() for arg in self._config.args]
        return any(path == here or path in here.parents for path in asked)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus != pytest.ExitCode.OK or hasattr(self._config, "workerinput") or not self.is_whole():
            return
        if self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.is_whole() and self.missing():
            terminalreporter.section("declared cases that did not run and pass")
            for case, engine in self.missing():
                terminalreporter.line(f"{case} [{engine}]")
