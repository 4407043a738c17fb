"""`string::semver::*`: semantic versions as Rust's `semver` crate reads and orders them.

Build metadata counts in the order, after everything else. A number has 64 bits; one that overflows begins again at 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.functions import TEXT, WHOLE, function
from sp00ky.proto.whole.numbers import I64_MAX
from sp00ky.proto.whole.scope import EvaluationError

_Key: TypeAlias = tuple[object, ...]

_U64 = 2**64
_NUMBER = r"(0|[1-9][0-9]*)"
_BEFORE = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_BEFORE}(?:\.{_BEFORE})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


@dataclass(frozen=True, slots=True)
class _Version:
    major: int
    minor: int
    patch: int
    before: str  # the pre-release
    build: str

    def __str__(self) -> str:
        before, build = self.before and f"-{self.before}", self.build and f"+{self.build}"
        return f"{self.major}.{self.minor}.{self.patch}{before}{build}"

    def key(self) -> _Key:
        before = tuple(map(_before_key, self.before.split("."))) if self.before else ()
        build = tuple(map(_build_key, self.build.split("."))) if self.build else ()
        return self.major, self.minor, self.patch, not self.before, before, build


def _before_key(part: str) -> _Key:
    return (0, int(part), "") if part.isdecimal() else (1, 0, part)


def _build_key(part: str) -> _Key:
    """Numbers below words; of equal numbers, the one with fewer zeros before it."""
    return (0, int(part), len(part), "") if part.isdecimal() else (1, 0, 0, part)


def is_version(text: str) -> bool:
    match = _VERSION.fullmatch(text)
    return match is not None and all(int(number) < _U64 for number in match.groups()[:3])


def _version(text: str) -> _Version:
    match = _VERSION.fullmatch(text)
    if match is None or not is_version(text):
        raise EvaluationError("not a semantic version")
    major, minor, patch, before, build = match.groups()
    return _Version(int(major), int(minor), int(patch), before or "", build or "")


def _number(value: int) -> Value:
    return value if value <= I64_MAX else Decimal(value)


@function("string::is_semver", kinds=(TEXT,))
def is_semver(text: str) -> bool:
    return is_version(text)


@function("string::semver::compare", kinds=(TEXT, TEXT))
def compare(left: str, right: str) -> int:
    a, b = _version(left).key(), _version(right).key()
    return (a > b) - (a < b)


@function("string::semver::major", kinds=(TEXT,))
def major(text: str) -> Value:
    return _number(_version(text).major)


@function("string::semver::minor", kinds=(TEXT,))
def minor(text: str) -> Value:
    return _number(_version(text).minor)


@function("string::semver::patch", kinds=(TEXT,))
def patch(text: str) -> Value:
    return _number(_version(text).patch)


@function("string::semver::inc::major", kinds=(TEXT,))
def next_major(text: str) -> str:
    version = _version(text)
    return str(replace(version, major=(version.major + 1) % _U64, minor=0, patch=0))


@function("string::semver::inc::minor", kinds=(TEXT,))
def next_minor(text: str) -> str:
    version = _version(text)
    return str(replace(version, minor=(version.minor + 1) % _U64, patch=0))


@function("string::semver::inc::patch", kinds=(TEXT,))
def next_patch(text: str) -> str:
    version = _version(text)
    return str(replace(version, patch=(version.patch + 1) % _U64))


@function("string::semver::set::major", kinds=(TEXT, WHOLE))
def with_major(text: str, number: int) -> str:
    return str(replace(_version(text), major=_not_negative(number)))


@function("string::semver::set::minor", kinds=(TEXT, WHOLE))
def with_minor(text: str, number: int) -> str:
    return str(replace(_version(text), minor=_not_negative(number)))


@function("string::semver::set::patch", kinds=(TEXT, WHOLE))
def with_patch(text: str, number: int) -> str:
    return str(replace(_version(text), patch=_not_negative(number)))


def _not_negative(number: int) -> int:
    if number < 0:
        raise EvaluationError("a version with a number below zero")
    return number
