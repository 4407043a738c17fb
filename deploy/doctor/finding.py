"""What a check found. Invariant: a check only reads; whatever it cannot read is a finding, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # works, but not as it should, or not for long
    FAIL = "fail"  # does not work, or is not safe


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: which; `said`: what was found; `todo`: what to do about it, empty when all is well."""

    level: Level
    check: str
    said: str
    todo: str = ""


def ok(check: str, said: str) -> Finding:
    return Finding(Level.OK, check, said)


def warn(check: str, said: str, todo: str) -> Finding:
    return Finding(Level.WARN, check, said, todo)


def fail(check: str, said: str, todo: str) -> Finding:
    return Finding(Level.FAIL, check, said, todo)
