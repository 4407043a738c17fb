"""Failpoints: nothing unless armed, and then exactly what was asked for, as often as was asked for."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sp00ky.proto.failpoints import FAILPOINTS_ENV, Term, arm_failpoints, failpoint, parse_failpoints
from sp00ky.proto.faults import Code, Fault


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm_failpoints("")


def raises(name: str, times: int) -> list[bool]:
    """Whether each of some hits raised."""
    raised = []
    for _ in range(times):
        try:
            failpoint(name)
            raised.append(False)
        except (Fault, OSError):
            raised.append(True)
    return raised


def test_unarmed_it_does_nothing() -> None:
    arm_failpoints("other=raise")
    failpoint("here")


def test_raise_and_sleep() -> None:
    arm_failpoints("here=raise, there=sleep:20")
    with pytest.raises(Fault) as raised:
        failpoint("here")
    assert raised.value.code is Code.INTERNAL
    before = time.monotonic()
    failpoint("there")
    assert time.monotonic() - before >= 0.02


def test_raise_an_error_of_the_system() -> None:
    arm_failpoints("here=raise:EIO")
    with pytest.raises(OSError, match="Input/output error") as raised:
        failpoint("here")
    assert raised.value.errno == errno.EIO


def test_terms_are_used_up_in_turn() -> None:
    arm_failpoints("some=2*raise, later=2*off->1*raise->off, last=1*off->raise")
    assert raises("some", 4) == [True, True, False, False]
    assert raises("later", 4) == [False, False, True, False]
    assert raises("last", 3) == [False, True, True]


def test_a_file_arms_a_process_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "failpoints"
    arm_failpoints(f"@{path}")
    assert raises("here", 1) == [False]
    path.write_text("here=1*raise")
    assert raises("here", 2) == [True, False]
    path.write_text("here=1*raise ")
    assert raises("here", 2) == [True, False]
    path.unlink()
    assert raises("here", 1) == [False]


@pytest.mark.parametrize("action", ["abort", "abort:1", "1*off->abort"])
def test_abort_is_sigkill(action: str) -> None:
    program = "from sp00ky.proto.failpoints import failpoint; failpoint('here'); failpoint('here'); print('alive')"
    ran = subprocess.run(
        [sys.executable, "-c", program], env={FAILPOINTS_ENV: f"here={action}"}, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (-9, b"")


@pytest.mark.parametrize(
    "text",
    [
        *("here", "here=", "=abort", "here=explode", "here=sleep", "here=sleep:x", "a=abort:x", "a=raise:ENOTHING"),
        *("a=x*abort", "a=*abort", "a=off:1", "a=abort->", "a=1*", "a=->abort"),
    ],
)
def test_a_wrong_spelling_is_refused(text: str) -> None:
    with pytest.raises(Fault, match=r"name=\[COUNT\*\]abort"):
        parse_failpoints(text)


def test_both_separators() -> None:
    assert parse_failpoints("a=abort;b=3*raise, c=sleep:1") == {
        "a": [Term(-1, "abort")],
        "b": [Term(3, "raise")],
        "c": [Term(-1, "sleep", "1")],
    }
