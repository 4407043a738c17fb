"""The probe with a clock and a database of the test's: what is told while a turn is on its way, and when it is not."""

from __future__ import annotations

import asyncio
from typing import Any

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.scheduler.probe import STAGES, LagProbe


class Scene:
    """Two SSPs follow; the database takes every turn unless `away`."""

    def __init__(self, interval_ms: int = 5_000) -> None:
        self.now = 100.0
        self.away = ""
        self.followers = {"a": Seq(0), "b": Seq(0)}
        self.written: list[int] = []
        self.probe = LagProbe(
            self,  # type: ignore[arg-type]
            "0123abcd",
            interval_ms,
            followers=lambda: dict(self.followers),
            waits_for=lambda: "",
            now=lambda: self.now,
        )

    async def query(self, surql: str, params: dict[str, Any]) -> None:
        if self.away:
            raise Fault(Code.UNAVAILABLE, self.away)
        self.written.append(params["turn"])
        self.now += 0.25

    def counts(self) -> dict[str, int]:
        return {stage: sum(each.counts) for stage, each in zip(STAGES, self.probe.distributions(), strict=True)}


async def test_a_turn_is_timed_at_every_stage_and_by_the_slowest_ssp() -> None:
    scene = Scene()
    probe = scene.probe
    await probe.begin_turn()
    scene.now = 100.5
    probe.captured(1, Seq(40))
    scene.now = 101.0
    probe.acked("a", 40, 39)
    scene.now = 102.0
    probe.acked("b", 41, 41)
    assert probe.status().detail == "turn 1 is on its way"
    scene.now = 103.0
    probe.acked("a", 40, 40)
    status = probe.status()
    assert (status.turn, status.detail, status.age_seconds) == (1, "", 3.0)
    assert (status.stored_seconds, status.captured_seconds) == (0.25, 0.5)
    assert (status.applied_seconds, status.written_seconds) == (2.0, 3.0)
    assert (probe.lag_of("a"), probe.lag_of("b"), probe.lag_of("nobody")) == (1.0, 2.0, 0.0)
    assert scene.counts() == {"stored": 1, "captured": 1, "applied": 2, "written": 2}
    probe.end_turn()
    assert probe.metrics() == {"probes_sent": 1, "probes_failed": 0}


async def test_an_ssp_that_hangs_lags_by_all_the_time_it_is_waited_for() -> None:
    scene = Scene()
    probe = scene.probe
    await probe.begin_turn()
    probe.captured(1, Seq(40))
    probe.acked("a", 40, 40)
    scene.now = 107.0
    assert (probe.lag_of("a"), probe.lag_of("b")) == (0.25, 7.0)
    probe.end_turn()
    assert probe.status().detail == "turn 1 was not seen back from b"
    await probe.begin_turn()
    scene.now = 110.0
    assert probe.lag_of("b") == 10.0, "the turns it misses do not start its lag anew"
    del scene.followers["b"]
    probe.captured(2, Seq(50))
    probe.acked("a", 50, 50)
    assert probe.status().detail == "", "who has gone is waited for no more"
    assert probe.metrics() == {"probes_sent": 2, "probes_failed": 1}


async def test_a_turn_that_is_seen_twice_or_late_says_nothing() -> None:
    scene = Scene()
    probe = scene.probe
    await probe.begin_turn()
    await probe.begin_turn()
    probe.captured(1, Seq(40))
    probe.acked("a", 40, 40)
    assert scene.counts() == {"stored": 2, "captured": 0, "applied": 0, "written": 0}
    probe.captured(2, Seq(50))
    probe.captured(2, Seq(60))
    probe.acked("a", 50, 50)
    probe.acked("a", 51, 51)
    probe.acked("nobody", 60, 60)
    assert scene.counts() == {"stored": 2, "captured": 1, "applied": 1, "written": 1}


async def test_who_held_the_entry_before_it_was_told_of_is_taken_to_have_it() -> None:
    scene = Scene()
    await scene.probe.begin_turn()
    scene.followers["a"] = Seq(44)
    scene.probe.captured(1, Seq(40))
    assert scene.probe.lag_of("a") == 0.25
    assert scene.counts()["applied"] == 1


async def test_a_database_that_is_away_is_said_and_counted() -> None:
    scene = Scene()
    scene.away = "connection refused"
    await scene.probe.begin_turn()
    status = scene.probe.status()
    assert "turn 1 could not be written" in status.detail
    assert "connection refused" in status.detail
    scene.probe.end_turn()
    assert scene.probe.metrics() == {"probes_sent": 0, "probes_failed": 1}
    scene.now += 30
    assert scene.probe.lag_of("a") == 30.0, "nothing comes through"


async def test_an_interval_of_0_is_off() -> None:
    scene = Scene(interval_ms=0)
    await asyncio.wait_for(scene.probe.run(), 5)
    assert scene.written == []
    assert (scene.probe.status().interval_ms, scene.probe.status().detail) == (0, "the probe is off")


async def test_while_nothing_is_captured_no_turn_is_begun() -> None:
    scene = Scene(interval_ms=1)
    waits = asyncio.Event()

    def waits_for() -> str:
        waits.set()
        return "changes are not captured: connection was lost"

    scene.probe._waits_for = waits_for
    running = asyncio.create_task(scene.probe.run())
    await asyncio.wait_for(waits.wait(), 5)
    running.cancel()
    assert scene.written == []
    assert scene.probe.status().detail == "changes are not captured: connection was lost"
