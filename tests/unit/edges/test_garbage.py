"""The collector's policy: what stays is frozen while there is work, and looked at once when it is quiet."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from sp00ky.ssp.garbage import QUIET_MS, SETTLE_MS, SETTLE_OBJECTS, Garbage


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.collect()  # what others have allocated is not to count
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_work_is_frozen_once_a_second_and_garbage_in_cycles_is_found_when_it_is_quiet() -> None:
    garbage = Garbage()
    garbage.loaded()
    kept = [{"row": [number]} for number in range(1_000)]
    late = Cycle()
    gone = weakref.ref(late)
    frozen = gc.get_freeze_count()
    garbage.tick(10 * SETTLE_MS, work=1)
    assert gc.get_freeze_count() >= frozen + len(kept)
    del late  # garbage only now, and frozen
    garbage.tick(10 * SETTLE_MS + 1, work=2)
    gc.collect()
    assert gone() is not None
    garbage.tick(11 * SETTLE_MS + QUIET_MS, work=2)
    assert gone() is None


def test_a_second_freeze_waits_its_time_or_for_much_work() -> None:
    garbage = Garbage()
    garbage.loaded()
    garbage.tick(10 * SETTLE_MS, work=1)
    kept = [{"row": [number]} for number in range(1_000)]
    frozen = gc.get_freeze_count()
    garbage.tick(10 * SETTLE_MS + 1, work=2)
    assert gc.get_freeze_count() <= frozen < frozen + len(kept)
    kept += [{"row": [number]} for number in range(SETTLE_OBJECTS)]
    assert garbage.maybe_settle()
    assert gc.get_freeze_count() >= frozen + len(kept)
    assert not garbage.maybe_settle()


def test_no_collection_walks_what_is_held_while_there_is_work_or_too_much_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    garbage = Garbage()
    garbage.dropped()
    kept: list[object] = []
    walked: list[int] = []

    def began(phase: str, _: object) -> None:
        if phase == "start":
            walked.append(len(gc.get_objects()))  # of all generations, none of what is frozen

    garbage.loaded()
    monkeypatch.setattr("sp00ky.ssp.garbage.QUIET_OBJECTS_MAX", 10 * SETTLE_OBJECTS)
    gc.callbacks.append(began)
    try:
        for tick in range(30):
            kept += [{"row": [number]} for number in range(SETTLE_OBJECTS)]
            garbage.maybe_settle()
            garbage.tick(tick, work=tick)
        garbage.tick(2 * QUIET_MS, work=29)
    finally:
        gc.callbacks.remove(began)
    assert len(walked) >= 20
    assert max(walked) < 8 * SETTLE_OBJECTS < gc.get_freeze_count()
