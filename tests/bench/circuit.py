"""Microseconds a change costs the engine, and a registration: `python -m tests.bench.circuit` prints JSON lines.

Packed records in, deltas per group out, decoding included, in frames of 256 as `workload.py` makes them. All times are
CPU time, with the collector off (`heap.py` is about the collector). On a machine that has other work the same code
takes twice the time from one minute to the next: read `us_p10`, and the ratios, whose sides take turns. Lines by
`figure`:

* change: `views` views of one shape; `decode_us` is what reading the entries and unpacking the records alone costs,
  the floor, measured between the frames, and `over_decode` the ratio; `touched` are the groups that got a delta,
  `touched_views` the views;
* many_shapes: the same of 1,000 views over 100 shapes on one table;
* thousand_shapes: 10 views of each of 100 and of 1,000 shapes, which share an index, the engines taking each frame in
  turn: `ratio` of the two, and `us_per_shape`, what a shape costs that a change does not touch;
* same_touch: 1 view and N views whose constants no change has, but for the one: two engines take each frame in turn, so
  that `ratio` is what the views that are not touched cost;
* register: a view of a known shape more; `empty` has no members, so that `members_us` is what members add. Bytes by
  tracemalloc, and by the growth of the process, which also counts protobuf's own memory;
* row: bytes of a kept row of 6 fields, with its key and its place in one index, by tracemalloc.

A line about something that the project has an aim for carries it as `aim`, and `met`.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.engine.engine import Engine

from tests.bench.workload import (
    FRAME,
    NOBODY,
    ROWS,
    SHAPES,
    Shape,
    Workload,
    entries_of,
    loaded,
    many_shapes,
    with_views,
)

REGISTERED = 1_000
FIGURES = ["row", "change", "many_shapes", "thousand_shapes", "same_touch", "register"]


# figure → (what is aimed at, shapes, at most); no shapes: all of them
AIMS: Mapping[str, Sequence[tuple[str, frozenset[str], float]]] = {
    "change": (
        ("us_p10", frozenset({"eq", "topk_user", "topk_global"}), 4.0),
        ("us_p10", frozenset({"nested"}), 8.0),
    ),
    "thousand_shapes": (("us_per_shape", frozenset(), 0.5),),
    "many_shapes": (("us_p10", frozenset(), 15.0),),
    "same_touch": (("ratio_p50", frozenset({"topk_user", "topk_global"}), 4.0), ("ratio_p50", frozenset(), 2.0)),
    "register": (("empty_us", frozenset(), 40.0), ("bytes_per_view", frozenset(), 2_048)),
    "row": (("bytes_per_row", frozenset(), 1_024),),
}


def report(figure: str, **figures: Any) -> None:
    shown = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    aims: dict[str, float] = {}
    for name, shapes, most in AIMS[figure]:
        if not shapes or figures.get("shape") in shapes:
            aims.setdefault(name, most)
    if aims:
        shown |= {"aim": aims, "met": all(figures[name] <= most for name, most in aims.items())}
    print(json.dumps({"bench": "circuit", "figure": figure, **shown}), flush=True)


@contextmanager
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@dataclass(slots=True)
class Costs:
    """What an engine was seen to do, frame by frame."""

    us: list[float] = field(default_factory=list)  # a change
    changes: int = 0
    touched: int = 0
    touched_views: int = 0
    delta_rows: int = 0

    def take(self, engine: Engine, frame: bytes) -> None:
        event = entries_of(frame)
        count = len(event.entries)
        began = time.process_time()
        engine.step(event)
        ready = engine.ready()
        self.us.append((time.process_time() - began) / count * 1e6)
        self.changes += count
        self.touched += len(ready.deltas)
        for delta in ready.deltas:
            self.touched_views += len(delta.views)
            self.delta_rows += len(delta.added) + len(delta.updated) + len(delta.removed)

    @property
    def seconds(self) -> float:
        return sum(self.us) * FRAME / 1e6

    def shown(self) -> dict[str, float]:
        return {
            "changes": self.changes,
            "us_p10": sorted(self.us)[len(self.us) // 10],
            "us_p50": statistics.median(self.us),
            "us_mean": statistics.fmean(self.us),
            "touched": self.touched / self.changes,
            "touched_views": self.touched_views / self.changes,
            "delta_rows": self.delta_rows / self.changes,
        }


def floor(frames: Sequence[bytes]) -> float:
    """Microseconds a change for what no engine can leave out."""
    spent, count = 0.0, 0
    for frame in frames:
        entries = entries_of(frame).entries
        began = time.process_time()
        for entry in entries:
            change = entry.change
            if change.key and entry.seq and entry.txn_last and change.table and change.packed:
                unpack(change.packed)
        spent += time.process_time() - began
        count += len(entries)
    return spent / count * 1e6


def measure(engine: Engine, frames: Sequence[bytes], seconds_max: float) -> dict[str, float]:
    costs, floors = Costs(), []
    with uncollected():
        for at, frame in enumerate(frames):
            if at % 4 == 0:
                floors.append(floor([frame]))
            costs.take(engine, frame)
            if costs.seconds > seconds_max:
                break
    shown, decode_us = costs.shown(), statistics.median(floors)
    return {**shown, "decode_us": decode_us, "over_decode": shown["us_p50"] / decode_us}


def changes_of(name: str, options: argparse.Namespace) -> None:
    workload = Workload(SHAPES[name], rows=options.rows)
    frames = list(workload.frames(options.changes))
    for views in options.views:
        engine = with_views(Workload(SHAPES[name], rows=options.rows), views)
        report("change", shape=name, views=views, **measure(engine, frames, options.seconds_max))


def over_many_shapes(options: argparse.Namespace) -> None:
    shapes = many_shapes(100)
    workload = Workload(SHAPES["eq"], rows=options.rows)
    frames = list(workload.frames(options.changes))
    engine = loaded(workload, views=REGISTERED)
    specs = [workload.spec(number, shapes[number % len(shapes)]) for number in range(REGISTERED)]
    engine.step(entries_of(workload.registrations(specs, engine.applied_seq + 1)))
    engine.ready()
    report(
        "many_shapes", shapes=len(shapes), views=REGISTERED, **measure(engine, frames, options.seconds_max)
    )  # fmt: skip


def over_a_thousand_shapes(options: argparse.Namespace) -> None:
    workload = Workload(SHAPES["eq"], rows=options.rows)
    frames, counts, engines = list(workload.frames(options.changes)), (100, 1_000), []
    for count in counts:
        engine = loaded(workload, views=10 * count)
        texts = [f"SELECT * FROM thread WHERE author = $n AND f{shape} != 3" for shape in range(count)]
        specs = [workload.spec(NOBODY + number, texts[number % count]) for number in range(10 * count)]
        engine.step(entries_of(workload.registrations(specs, engine.applied_seq + 1)))
        engine.ready()
        engines.append(engine)
    costs = Costs(), Costs()
    with uncollected():
        for at, frame in enumerate(frames):
            for turn in (at % 2, 1 - at % 2):
                costs[turn].take(engines[turn], frame)
            if costs[1].seconds > options.seconds_max:
                break
    few, many = (each.shown()["us_p50"] for each in costs)
    per_shape = (many - few) / (counts[1] - counts[0])
    report("thousand_shapes", shapes=counts[1], views=10 * counts[1], changes=costs[0].changes, us_p50_100=few,
           us_p50_1000=many, ratio=many / few, us_per_shape=per_shape)  # fmt: skip


def same_touch(name: str, options: argparse.Namespace) -> None:
    shape, many = SHAPES[name], max(options.views)
    frames = list(Workload(shape, same_touch=True, rows=options.rows).frames(options.changes))
    engines = [with_views(Workload(shape, same_touch=True, rows=options.rows), views) for views in (1, many)]
    one, all_of_them = costs = Costs(), Costs()
    with uncollected():
        for at, frame in enumerate(frames):
            for turn in (at % 2, 1 - at % 2):
                costs[turn].take(engines[turn], frame)
            if all_of_them.seconds > options.seconds_max:
                break
    few, more = one.shown(), all_of_them.shown()
    report("same_touch", shape=name, views=many, changes=one.changes, touched_1=few["touched"],
           touched_n=more["touched"], us_p50_1=few["us_p50"], us_p50_n=more["us_p50"],
           ratio_p50=more["us_p50"] / few["us_p50"], ratio_mean=more["us_mean"] / few["us_mean"])  # fmt: skip


# --- registration and memory -----------------------------------------------------------------------------------------


def _registered(engine: Engine, workload: Workload, numbers: range) -> tuple[float, int]:
    """Microseconds a view, and the members of all."""
    frame = workload.registrations(map(workload.spec, numbers), engine.applied_seq + 1)
    event = entries_of(frame)
    del frame
    began = time.process_time()
    engine.step(event)
    ready = engine.ready()
    spent = time.process_time() - began
    return spent / len(numbers) * 1e6, sum(len(hydrated.members) for hydrated in ready.hydrated)


def registration(name: str, options: argparse.Namespace) -> None:
    shape: Shape = SHAPES[name]
    workload = Workload(shape, rows=options.rows)
    engine = loaded(workload)
    count = min(REGISTERED, options.changes)
    with uncollected():
        empty_us, _ = _registered(engine, workload, range(NOBODY + 1, NOBODY + 1 + count))
        us, members = _registered(engine, workload, range(count))
    tracemalloc.start()
    _registered(engine, workload, range(NOBODY * 2, NOBODY * 2 + count))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    process = psutil.Process()
    before = process.memory_info().rss
    for first in range(NOBODY * 3, NOBODY * 3 + 8 * count, count):
        _registered(engine, workload, range(first, first + count))
    gc.collect()
    grown = process.memory_info().rss - before
    report("register", shape=name, empty_us=empty_us, with_members_us=us, members=members / count,
           bytes_per_view=held // count, rss_bytes_per_view=grown // (8 * count))  # fmt: skip


def rows(options: argparse.Namespace) -> None:
    workload = Workload(SHAPES["eq"], rows=options.rows)
    tracemalloc.start()
    engine = loaded(workload)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert engine.view_count == 1
    report("row", rows=workload.rows, bytes_per_row=held // workload.rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--figures", nargs="*", default=FIGURES)
    parser.add_argument("--views", type=int, nargs="*", default=[1, 100, 1_000, 10_000])
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seconds-max", type=float, default=30.0, help="a measurement stops after so much CPU time")
    options = parser.parse_args(arguments)
    if "row" in options.figures:
        rows(options)
    for figure, run in (("change", changes_of), ("same_touch", same_touch), ("register", registration)):
        for name in options.shapes if figure in options.figures else ():
            run(name, options)
    if "many_shapes" in options.figures:
        over_many_shapes(options)
    if "thousand_shapes" in options.figures:
        over_a_thousand_shapes(options)


if __name__ == "__main__":
    main()
