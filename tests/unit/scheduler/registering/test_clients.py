"""Who holds a view that came over HTTP or gRPC: kept over a restart, bounded, and gone with the ttl."""

from __future__ import annotations

import pytest
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.coordinator import assignments
from sp00ky.scheduler.coordinator.assignments import Assignments, View
from sp00ky.scheduler.coordinator.events import ViewKey

KEY = ViewKey("v")


def spec(client_id: str, ttl_ms: int = 1_000, *, by_row: bool = False) -> common_pb2.ViewSpec:
    key = common_pb2.ViewKey(id=KEY.id)
    return common_pb2.ViewSpec(key=key, surql="SELECT 1", client_id=client_id, ttl_ms=ttl_ms, by_row=by_row)


def held(*clients: str) -> tuple[Assignments, View]:
    """By each, a millisecond after the one before."""
    known = Assignments([], 0)
    view = known.add(spec(clients[0]), "", 0)
    for at, client in enumerate(clients[1:], 1):
        known.renew(view, spec(client), at)
    return known, view


def test_whoever_is_left_holds_it_until_his_time_is_over() -> None:
    known, view = held("a", "b", "c")
    assert known.release(view, "a", 10) and known.release(view, "a", 10)
    assert view.clients_at(1_001) == {"c"} and view.clients_at(1_002) == set()
    assert not known.release(view, "c", 1_001)


def test_beyond_the_limit_who_was_seen_least_recently_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignments, "CLIENTS_MAX", 2)
    known, view = held("a", "b")
    known.renew(view, spec("a"), 5)
    known.renew(view, spec("c"), 6)
    assert list(view.clients) == ["a", "c"]


def test_a_restart_keeps_them_and_reads_what_an_older_version_kept() -> None:
    _, view = held("a", "b")
    meta = view.meta()
    assert meta.value is not None
    [restored] = Assignments([(meta.name, meta.value)], 500).views.values()
    assert restored.clients == {"a": 500, "b": 500} and restored.expires_ms == 1_500
    [older] = Assignments([(meta.name, pack(unpack(meta.value)[:-1]))], 500).views.values()
    assert older.clients == {"b": 500}


def test_a_view_that_a_row_made_does_not_expire_here_and_the_row_says_who_holds_it() -> None:
    known, view = held("a", "b")
    known.renew(view, spec("a", by_row=True), 10)
    assert not view.clients and not view.expires_ms and not known.expired(10_000)
    known.renew(view, spec("a"), 20)
    assert known.expired(1_020) == [view]
