"""How long the process stands still with much on the heap: `python -m tests.bench.heap` prints JSON lines.

A million records with lists and objects inside, kept by an engine of 1,000 views of one shape. Changes come as fast as
they are taken, a frame of 256 at a time, under one policy of the collector after the other:

* default: Python's own;
* ssp: `ssp/garbage.py`, called as the service calls it;
* off: no collection at all, which is what `ratio_off` compares with: the cost of a policy, machine and load left out.

`stall_ms` is the longest step of a frame with its tick, in CPU time; `collection_ms` the longest single collection;
`collecting` the share of the time that collections took. `loading` says the same of the bootstrap, `quiet_ms` of the
collection in a quiet minute. `--rows 10000` shows what a small heap does.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.garbage import QUIET_MS, Garbage

from tests.bench.workload import FRAME, SHAPES, Workload, entries_of, loaded

VIEWS = 1_000


def report(figure: str, **figures: object) -> None:
    shown = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"bench": "heap", "figure": figure, **shown}), flush=True)


@dataclass
class Collections:
    """What the collector did meanwhile, in seconds of CPU time."""

    seconds: list[float] = field(default_factory=list)
    _began: float = 0.0

    def __call__(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = time.process_time()
        else:
            self.seconds.append(time.process_time() - self._began)


@contextmanager
def watched() -> Iterator[Collections]:
    found = Collections()
    gc.callbacks.append(found)
    try:
        yield found
    finally:
        gc.callbacks.remove(found)


def stalls(
    engine: Engine, frames: Sequence[bytes], seconds_max: float, tick: Callable[[int], None] = lambda work: None
) -> dict[str, float]:
    spent: list[float] = []
    with watched() as collections:
        for frame in frames:
            event = entries_of(frame)
            began = time.process_time()
            engine.step(event)
            engine.ready()
            tick(engine.applied_seq)
            spent.append(time.process_time() - began)
            if sum(spent) > seconds_max:
                break
    return {
        "stall_ms": max(spent) * 1e3,
        "p50_ms": statistics.median(spent) * 1e3,
        "us_per_change": sum(spent) / len(spent) / FRAME * 1e6,
        "collections": len(collections.seconds),
        "collection_ms": max(collections.seconds, default=0.0) * 1e3,
        "collecting": sum(collections.seconds) / sum(spent),
    }


def held(rows: int, garbage: Garbage) -> tuple[Engine, Workload]:
    """An engine with its rows and views, loaded under the service's policy."""
    workload = Workload(SHAPES["eq"], rows=rows, nested=True)
    process = psutil.Process()
    before, began = process.memory_info().rss, time.process_time()
    with watched() as collections:
        garbage.dropped()
        engine = loaded(workload, views=VIEWS, after_page=garbage.maybe_settle)
        engine.step(entries_of(workload.registrations(map(workload.spec, range(VIEWS)), engine.applied_seq + 1)))
        engine.ready()
        garbage.loaded()
    report("loading", rows=rows, seconds=time.process_time() - began, collections=len(collections.seconds),
           collection_ms=max(collections.seconds) * 1e3, collecting=sum(collections.seconds),
           rss_bytes_per_row=(process.memory_info().rss - before) // rows)  # fmt: skip
    return engine, workload


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=300_000)
    parser.add_argument("--seconds-max", type=float, default=20.0, help="a policy is left after so much CPU time")
    options = parser.parse_args(arguments)
    default, limit = gc.get_threshold(), options.seconds_max
    garbage = Garbage()
    engine, workload = held(options.rows, garbage)
    frames = list(workload.frames(options.changes))
    third = len(frames) // 3
    found: dict[str, dict[str, float]] = {}

    def tick(work: int) -> None:
        garbage.maybe_settle()
        garbage.tick(time.monotonic_ns() // 1_000_000, work)

    found["ssp"] = stalls(engine, frames[:third], limit, tick)
    gc.disable()
    found["off"] = stalls(engine, frames[third : 2 * third], limit)
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*default)
    found["default"] = stalls(engine, frames[2 * third :], limit)
    for policy, figures in found.items():
        ratio = figures["us_per_change"] / found["off"]["us_per_change"]
        report("stall", policy=policy, rows=options.rows, **figures, ratio_off=ratio)

    began = time.process_time()
    now_ms = time.monotonic_ns() // 1_000_000
    garbage.loaded()
    garbage.tick(now_ms, engine.applied_seq)
    garbage.tick(now_ms + 2 * QUIET_MS, engine.applied_seq)
    report("quiet", rows=options.rows, quiet_ms=(time.process_time() - began) * 1e3)


if __name__ == "__main__":
    main()
