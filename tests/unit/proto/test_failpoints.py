"""Failpoints: nothing unless armed, and then exactly what was asked for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from sp00ky.proto.failpoints import FAILPOINTS_ENV, arm_failpoints, failpoint, parse_failpoints
from sp00ky.proto.faults import Code, Fault


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm_failpoints("")


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


def test_abort_is_sigkill() -> None:
    program = "from sp00ky.proto.failpoints import failpoint; failpoint('here'); print('alive')"
    ran = subprocess.run(
        [sys.executable, "-c", program], env={FAILPOINTS_ENV: "here=abort"}, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (-9, b"")


@pytest.mark.parametrize("text", ["here", "here=", "=abort", "here=explode", "here=sleep", "here=sleep:x", "a=abort:1"])
def test_a_wrong_spelling_is_refused(text: str) -> None:
    with pytest.raises(Fault, match="name=abort"):
        parse_failpoints(text)


def test_both_separators() -> None:
    assert parse_failpoints("a=abort;b=raise, c=sleep:1") == {"a": "abort", "b": "raise", "c": "sleep:1"}
