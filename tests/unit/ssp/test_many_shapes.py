"""L1: 10,000 views in 1,000 distinct shapes. What a change costs is counted, in calls, and not timed.

Where a predicate can be looked up, a change costs what it touches, however many views a shape has; a shape on its table
that it does not touch costs a look-up. Where none can be, the condition is evaluated once for each view, and `explain`
says so. (Shapes with indexes of their own cost their upkeep as well: some twenty calls each.)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import EntriesReceived, PageReceived, WelcomeReceived

TABLE = "t"
CHANGES = 50
SHAPE_CALLS_MAX = 3  # for each shape that a change does not touch
TOUCHED_CALLS_MAX = 40  # for a view that it does
EVALUATION_CALLS_MAX = 25  # for each view whose condition has to be evaluated


def calls(work: Callable[[], object]) -> int:
    """How many calls, of Python and of C, the work makes."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def indexable(shape: int) -> str:
    """One index for all of them, and another term in each."""
    return f"SELECT * FROM {TABLE} WHERE a = $n AND f{shape} != 3"


def unindexable(shape: int) -> str:
    """Which field is compared is known only once the record is."""
    return f"SELECT * FROM {TABLE} WHERE (f{shape} ?? a) = $n"


def engine_with(text: Callable[[int], str], shapes: int, views_of_each: int) -> Engine:
    engine = Engine(ssp_id="s")
    welcome = replication_pb2.Welcome(at_seq=10)
    for shape in range(shapes):
        for number in range(views_of_each):
            key = common_pb2.ViewKey(id=f"v{shape}-{number}")
            spec = common_pb2.ViewSpec(key=key, surql=text(shape), params=pack({"n": shape * views_of_each + number}))
            welcome.views.add(spec=spec, assigned_seq=1)
    engine.step(WelcomeReceived(welcome))
    while loads := engine.ready().loads:
        for load in loads:
            engine.step(PageReceived(load.load_id, load.table, [], b""))
    assert engine.loaded and engine.shape_count == shapes and engine.view_count == shapes * views_of_each
    return engine


def work_of(engine: Engine, value: int) -> float:
    """Calls a change, of changes that concern the views with this constant."""
    seq = engine.applied_seq

    def entry(at: int) -> common_pb2.Entry:
        record: dict[str, Value] = {"id": RecordId(TABLE, at), "a": value}
        change = common_pb2.Change(table=TABLE, op=common_pb2.OP_CREATE, key=pack(at), packed=pack(record))
        return common_pb2.Entry(seq=seq + 1 + at, txn_last=True, change=change)

    entries = [entry(at) for at in range(CHANGES)]

    def step() -> None:
        engine.step(EntriesReceived(entries))
        engine.ready()

    return calls(step) / CHANGES


NOBODY = -1


def plan_of(engine: Engine, text: str) -> str:
    return dict(engine.explain(text, {"n": 1}, None).stages)["plan"]


def test_l1_what_can_be_looked_up_costs_what_it_touches() -> None:
    """And a look at each shape of the table, which is a number of calls that is pinned here."""
    hundred, of_more_views = engine_with(indexable, 100, 10), engine_with(indexable, 100, 40)
    whole = engine_with(indexable, 1_000, 10)
    base, untouched = work_of(hundred, NOBODY), work_of(whole, NOBODY)
    assert work_of(of_more_views, NOBODY) == base, "views of a shape cost nothing"
    assert (untouched - base) / 900 <= SHAPE_CALLS_MAX, "of a shape nothing is evaluated"
    assert work_of(whole, 5) - untouched <= TOUCHED_CALLS_MAX, "one view of ten thousand"
    assert "index a = " in plan_of(whole, indexable(0))


def test_l1_what_cannot_be_looked_up_costs_each_view_once_and_is_told() -> None:
    costs = {views: work_of(engine_with(unindexable, 10, views), NOBODY) for views in (10, 50, 100)}
    slope = (costs[50] - costs[10]) / 400
    assert 1 <= slope <= EVALUATION_CALLS_MAX, "evaluated once a record and view"
    assert costs[100] - costs[10] <= 1.05 * 900 * slope, "linear in the views, and no more"
    assert "index none: every change is looked at" in plan_of(Engine(ssp_id="s"), unindexable(0))
