"""Named places where a test may make a process die, wait or fail.

`SPKY_FAILPOINTS=wal.before_fsync=abort,bcast.before=sleep:50` arms two of them; unset, a failpoint is one look-up in an
empty dict. `abort` is SIGKILL to ourselves: nothing is flushed, no handler runs, as when the machine's power goes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from sp00ky.proto.faults import Code, Fault

FAILPOINTS_ENV = "SPKY_FAILPOINTS"


def parse_failpoints(text: str) -> Mapping[str, str]:
    """`name=abort|sleep:ms|raise`, separated by commas or semicolons; raises Fault(INVALID) for anything else."""
    armed: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.replace(";", ",").split(","))):
        name, _, action = item.partition("=")
        kind, _, amount = action.partition(":")
        known = (kind in {"abort", "raise"} and not amount) or (kind == "sleep" and amount.isdecimal())
        if not name or not known:
            raise Fault(
                Code.INVALID, f"failpoint {item!r} is not name=abort|sleep:ms|raise", f"correct {FAILPOINTS_ENV}"
            )
        armed[name] = action
    return armed


_armed: dict[str, str] = dict(parse_failpoints(os.environ.get(FAILPOINTS_ENV, "")))


def arm_failpoints(text: str) -> None:
    """Replace what is armed in this process; empty text disarms all."""
    _armed.clear()
    _armed.update(parse_failpoints(text))


def failpoint(name: str) -> None:
    """Do what is armed under this name: nothing, die, block the thread, or raise Fault(INTERNAL)."""
    if not _armed or name not in _armed:
        return
    kind, _, amount = _armed[name].partition(":")
    match kind:
        case "abort":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(int(amount) / 1000)
        case _:
            raise Fault(Code.INTERNAL, f"failpoint {name} is armed to raise")
