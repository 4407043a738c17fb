"""Microseconds a change costs the engine: `python -m tests.bench.circuit` prints one JSON line a shape.

Packed records in, deltas per group out, decoding included; 20,000 rows held, frames of 256 changes: 55 % creates, 33 %
updates, 12 % deletes. `views` is the number registered of the shape; `register_us` what one more costs; `decode_us` is
what reading the entries and unpacking the records alone costs in the same run, the floor. All are CPU time.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.kinds import Datetime, RecordId, Value
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import EntriesReceived, PageReceived, WelcomeReceived

ROWS = 20_000
AUTHORS = 10_000
FRAME = 256
TABLE = "thread"
SHAPES = {
    "eq": "SELECT * FROM thread WHERE author = $n",
    "eq2": "SELECT * FROM thread WHERE author = $n AND category = 3 AND (score > 10 OR pinned = true)",
    "top20": "SELECT * FROM thread WHERE author = $n ORDER BY score DESC LIMIT 20",
    "range": "SELECT * FROM thread WHERE score >= 1000 - $n AND category = $n",
    "same": "SELECT * FROM thread ORDER BY score DESC LIMIT 20",
    "miss": "SELECT * FROM thread WHERE title = $n",
}


def record(source: random.Random, key: int) -> dict[str, Value]:
    return {
        "id": RecordId(TABLE, key),
        "author": source.randrange(AUTHORS),
        "category": source.randrange(50),
        "score": source.randrange(1_000),
        "pinned": source.random() < 0.1,
        "title": f"thread {key}",
        "content": "x" * 120,
        "created": Datetime.of(1_700_000_000 + key, 0),
    }


def frames(source: random.Random, first_seq: int, count: int) -> list[list[common_pb2.Entry]]:
    live, top, seq = list(range(ROWS)), ROWS, first_seq
    made = []
    for _ in range(count):
        frame = []
        for _ in range(FRAME):
            choice = source.random()
            op, packed = common_pb2.OP_UPDATE, b""
            if choice < 0.55:
                key, top = top, top + 1
                live.append(key)
            elif choice < 0.88:
                key = source.choice(live)
            else:
                place = source.randrange(len(live))
                live[place], live[-1] = live[-1], live[place]
                key, op = live.pop(), common_pb2.OP_DELETE
            if op != common_pb2.OP_DELETE:
                packed = pack(record(source, key))
            change = common_pb2.Change(table=TABLE, op=op, key=pack(key), packed=packed)
            frame.append(common_pb2.Entry(seq=seq, txn_last=True, change=change))
            seq += 1
        made.append(frame)
    return made


def loaded(source: random.Random) -> Engine:
    """An engine that holds the rows, by a view of another shape."""
    engine = Engine(ssp_id="bench")
    spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="holds"), surql=f"SELECT * FROM {TABLE} WHERE false")
    welcome = replication_pb2.Welcome(at_seq=ROWS)
    welcome.views.add(spec=spec, assigned_seq=1)
    engine.step(WelcomeReceived(welcome))
    while loads := engine.ready().loads:
        (load,) = loads
        rows = []
        if load.table == TABLE:
            rows = [replication_pb2.Row(key=pack(key), packed=pack(record(source, key)), seq=1) for key in range(ROWS)]
        engine.step(PageReceived(load.load_id, load.table, rows, b""))
    return engine


def registrations(surql: str, first_seq: int, views: int) -> Iterator[common_pb2.Entry]:
    for number in range(views):
        key = common_pb2.ViewKey(id=f"v{number}")
        spec = common_pb2.ViewSpec(key=key, surql=surql, params=pack({"n": number}))
        yield common_pb2.Entry(seq=first_seq + 2 * number, view_registered=common_pb2.ViewRegistered(spec=spec))
        assigned = common_pb2.ViewAssigned(spec=spec, ssp_id="bench")
        yield common_pb2.Entry(seq=first_seq + 2 * number + 1, txn_last=True, view_assigned=assigned)


def floor(prepared: list[list[common_pb2.Entry]]) -> float:
    began = time.process_time()
    for frame in prepared:
        for entry in frame:
            change = entry.change
            if change.key and entry.seq and entry.txn_last and change.table and change.packed:
                unpack(change.packed)
    return (time.process_time() - began) / (len(prepared) * FRAME) * 1e6


def measure(shape: str, views: int, count: int) -> dict[str, object]:
    source = random.Random(7)
    engine = loaded(source)
    entries = list(registrations(SHAPES[shape], engine.applied_seq + 1, views))
    began = time.process_time()
    engine.step(EntriesReceived(entries))
    engine.ready()
    register_us = (time.process_time() - began) / views * 1e6
    gone = common_pb2.ViewUnregistered(key=common_pb2.ViewKey(id="holds"))
    engine.step(EntriesReceived([common_pb2.Entry(seq=engine.applied_seq + 1, txn_last=True, view_unregistered=gone)]))
    prepared = frames(source, engine.applied_seq + 1, count)
    gc.collect()
    gc.freeze()
    gc.disable()
    decode_us = floor(prepared)
    times, rows = [], 0
    for frame in prepared:
        began = time.process_time()
        engine.step(EntriesReceived(frame))
        ready = engine.ready()
        times.append((time.process_time() - began) / FRAME * 1e6)
        rows += sum(len(delta.added) + len(delta.updated) + len(delta.removed) for delta in ready.deltas)
    gc.enable()
    gc.unfreeze()
    times.sort()
    return {
        "bench": "circuit",
        "shape": shape,
        "views": views,
        "us_per_change_p50": round(times[len(times) // 2], 2),
        "us_per_change_mean": round(sum(times) / len(times), 2),
        "decode_us": round(decode_us, 2),
        "delta_rows_per_change": round(rows / (count * FRAME), 3),
        "register_us": round(register_us, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, nargs="*", default=[1, 1_000])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    options = parser.parse_args()
    for shape in options.shapes:
        for views in options.views:
            print(json.dumps(measure(shape, views, options.frames)), flush=True)


if __name__ == "__main__":
    main()
