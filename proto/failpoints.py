"""Named places where a test may make a process die, wait or fail.

`SPKY_FAILPOINTS=wal.before_fsync=abort,bcast.before=sleep:50` arms two of them; unset, a failpoint is one look-up in an
empty dict. The terms are those of FreeBSD's fail(9) and etcd's gofail:

    name=term->term…      the first term that is not used up; after the last, nothing
    term  = [COUNT*]kind  COUNT hits, then the next term; without it, for ever
    kind  = abort[:ms] | sleep:ms | raise[:ERRNO] | off

`abort` is SIGKILL to ourselves (after some ms): nothing is flushed, no handler runs, as when the machine's power goes.
`raise` is a Fault, `raise:EIO` the system's error. `wal.fsync=1*raise:EIO` fails one fsync, `bcast.frame=2*off->abort`
dies at the third frame.

`SPKY_FAILPOINTS=@path` reads the file at every failpoint, so that a test may arm a process that runs already. Counts
begin anew whenever the text changes.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sp00ky.proto.faults import Code, Fault

FAILPOINTS_ENV = "SPKY_FAILPOINTS"
SYNTAX = "name=[COUNT*]abort[:ms]|sleep:ms|raise[:ERRNO]|off, joined by ->"
FOREVER = -1


@dataclass(slots=True)
class Term:
    """One thing to do, `left` times."""

    left: int
    kind: str
    amount: str = ""


def parse_failpoints(text: str) -> Mapping[str, Sequence[Term]]:
    """Failpoints separated by commas or semicolons; raises Fault(INVALID) for anything else."""
    armed: dict[str, Sequence[Term]] = {}
    for item in filter(None, (part.strip() for part in text.replace(";", ",").split(","))):
        name, _, terms = item.partition("=")
        parsed = [_parse_term(term.strip()) for term in terms.split("->")]
        if not name or None in parsed:
            raise Fault(Code.INVALID, f"failpoint {item!r} is not {SYNTAX}", f"correct {FAILPOINTS_ENV}")
        armed[name] = [term for term in parsed if term is not None]
    return armed


def _parse_term(text: str) -> Term | None:
    count, star, action = text.rpartition("*")
    kind, colon, amount = action.partition(":")
    known = {
        "abort": not colon or amount.isdecimal(),
        "sleep": amount.isdecimal(),
        "raise": not colon or amount in errno.errorcode.values(),
        "off": not colon,
    }
    if not known.get(kind, False) or (star and not count.isdecimal()):
        return None
    return Term(int(count) if star else FOREVER, kind, amount)


class Armed:
    """What is armed in this process: `terms` by name, and the file they are read from, if from one."""

    def __init__(self, text: str) -> None:
        self.file: Path | None = None
        self.terms: Mapping[str, Sequence[Term]] = {}
        self._text = ""
        self.arm(text)

    def arm(self, text: str) -> None:
        self.file, self._text = (Path(text[1:]), "") if text.startswith("@") else (None, "")
        self.terms = parse_failpoints("" if self.file else text)

    def read_again(self, file: Path) -> None:
        text = ""
        with suppress(FileNotFoundError):
            text = file.read_text()
        if text != self._text:
            self._text, self.terms = text, parse_failpoints(text)


_armed = Armed(os.environ.get(FAILPOINTS_ENV, ""))


def arm_failpoints(text: str) -> None:
    """Replace what is armed in this process, or with `@path` where that is read; empty text disarms all."""
    _armed.arm(text)


def failpoint(name: str) -> None:
    """Do what is armed under this name: nothing, die, block the thread, or raise Fault(INTERNAL) or OSError."""
    if _armed.file is not None:
        _armed.read_again(_armed.file)
    for term in _armed.terms.get(name, ()) if _armed.terms else ():
        if term.left:
            term.left -= term.left > 0
            _act(name, term)
            return


def _act(name: str, term: Term) -> None:
    match term.kind:
        case "abort":
            time.sleep(int(term.amount or 0) / 1000)
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(int(term.amount) / 1000)
        case "raise" if term.amount:
            number = getattr(errno, term.amount)
            raise OSError(number, f"{os.strerror(number)} (failpoint {name})")
        case "raise":
            raise Fault(Code.INTERNAL, f"failpoint {name} is armed to raise")
