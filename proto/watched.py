"""What was read from files, read again when they change; kept as it is while they cannot be used.

Whoever needs the value asks for it, and asking looks at the files, at most once a second: there is no task, no signal,
and nothing to forget. Files are written one after the other, so a key may not fit its certificate for a moment: that is
one more change that cannot be used, said once, and looked at again a second later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from sp00ky.proto.faults import Fault

LOOK_SECONDS: Final = 1.0
T = TypeVar("T")
Stamp = tuple[tuple[int, int, int], ...]

log = logging.getLogger(__name__)


class Watched(Generic[T]):
    """`read` raises Fault when the files cannot be used: at first that is raised, later the last value stays."""

    def __init__(
        self, files: Sequence[Path], read: Callable[[], T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files, self._read, self._clock = tuple(files), read, clock
        self._stamp = self._look()
        self._looked = clock()
        self._value = read()
        self.version = 1  # grows with each value
        self.error = ""  # why the files as they are now are not the value; empty while they are

    def value(self) -> T:
        """The newest that could be used."""
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return self._value
        self._looked = now
        stamp = self._look()
        if stamp != self._stamp or self.error:
            self._stamp = stamp
            self._take()
        return self._value

    def _take(self) -> None:
        names = ", ".join(str(file) for file in self._files)
        try:
            self._value = self._read()
        except Fault as fault:
            if str(fault) != self.error:
                log.error("%s changed and cannot be used; what was read before stays: %s", names, fault)
            self.error = str(fault)
            return
        self.version += 1
        self.error = ""
        log.info("%s changed and was read again", names)

    def _look(self) -> Stamp:
        return tuple(_stamp_of(file) for file in self._files)


def _stamp_of(file: Path) -> tuple[int, int, int]:
    try:
        facts = file.stat()
    except OSError:
        return (0, 0, 0)
    return (facts.st_mtime_ns, facts.st_size, facts.st_ino)
