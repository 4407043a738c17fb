"""The registry of views beside what the scenarios tell."""

from __future__ import annotations

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.coordinator.assignments import EXPIRIES_SLACK, Assignments
from sp00ky.scheduler.coordinator.ownership import Signal


def test_g6_views_that_come_and_go_leave_no_expiry_behind() -> None:
    assignments = Assignments((), 0)
    spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql="SELECT * FROM t", ttl_ms=86_400_000)
    stays = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="w"), surql="SELECT * FROM t", ttl_ms=10_000)
    assignments.add(stays, "", 0)
    for _ in range(1_000):
        view = assignments.add(spec, "", 0)
        assignments.change(view, Signal.UNREGISTERED, left_seq=Seq(1))
        assignments.change(view, Signal.FORGOTTEN)
        assert len(assignments._expiries) <= EXPIRIES_SLACK + 2 * 2
    assert [view.key.id for view in assignments.expired(10_000)] == ["w"]
    assert not assignments.expired(2 * 86_400_000)
