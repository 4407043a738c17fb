"""`python -m tests.harness.tuned_spky …`: `spky …` with what only a test changes: gRPC's options, the wall clock.

    TUNED_GRPC='{"grpc.max_connection_age_ms": 400}'   added to the options of every server and channel
    TUNED_CLOCK=path     a file with the seconds that the wall clock is off, read whenever the time is asked for

The monotonic clock is nobody's to set. Our own code asks for the wall clock by `time.time_ns` alone; `time.time` is
left as it is, because gRPC's Python half computes deadlines by it that its C half reads on the system's clock, and
those two never differ in truth. The process is else exactly what `spky` runs.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

TUNED_GRPC, TUNED_CLOCK = "TUNED_GRPC", "TUNED_CLOCK"


def tune_grpc(options: dict[str, int]) -> None:
    from sp00ky.proto import channel

    for known in (channel._CHANNEL_OPTIONS, channel._SERVER_OPTIONS):
        known[:] = [(name, value) for name, value in known if name not in options] + list(options.items())


def tune_clock(path: Path) -> None:
    true_ns = time.time_ns

    def off_ns() -> int:
        with suppress(FileNotFoundError, ValueError):
            return int(float(path.read_text()) * 1e9)
        return 0

    time.time_ns = lambda: true_ns() + off_ns()


if __name__ == "__main__":
    if TUNED_CLOCK in os.environ:
        tune_clock(Path(os.environ[TUNED_CLOCK]))
    if TUNED_GRPC in os.environ:
        tune_grpc(json.loads(os.environ[TUNED_GRPC]))
    from sp00ky.deploy.cli import main

    main()
