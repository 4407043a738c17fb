"""The collector's policy: what stays is frozen while there is work, and looked at once when it is quiet."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from sp00ky.ssp.garbage import QUIET_MS, SETTLE_MS, Garbage


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    threshold = gc.get_threshold()
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


def test_a_second_freeze_waits_its_time() -> None:
    garbage = Garbage()
    garbage.tick(10 * SETTLE_MS, work=1)
    kept = [{"row": [number]} for number in range(1_000)]
    frozen = gc.get_freeze_count()
    garbage.tick(10 * SETTLE_MS + 1, work=2)
    assert gc.get_freeze_count() <= frozen < frozen + len(kept)
