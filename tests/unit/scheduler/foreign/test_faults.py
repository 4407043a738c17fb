"""Random faults of an SSP that speaks HTTP only: refused, delayed and lost answers, silence, new registrations. It is
sent nothing out of order whatever happens, and has everything once the faults are over."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2

from tests.harness.eventually import eventually
from tests.harness.http_ssp import HttpSsp
from tests.unit.scheduler.foreign.test_following import Mesh, following, mesh

STEPS = st.lists(
    st.sampled_from(["write", "write", "delete", "503", "lose", "hold", "go on", "again", "redirect", "health"]),
    min_size=4,
    max_size=25,
)


async def move(at: Mesh, ssp: HttpSsp, step: str, number: int) -> None:
    match step:
        case "write":
            before = len(ssp.asked)
            await at.write(number, number + 1000)
            if "/ingest" in ssp.answers:  # so that the fault is met, if anything is being sent at all
                with contextlib.suppress(AssertionError):
                    await eventually(lambda: len(ssp.asked) > before, 0.3)
        case "delete":
            await at.write(number - 1, op="DELETE")
        case "503" | "redirect":
            ssp.answers["/ingest"] = 503 if step == "503" else 308
        case "lose":
            ssp.losing["/ingest"] = 2
        case "hold":
            ssp.held.setdefault("/ingest", asyncio.Event())
        case "health":
            ssp.answers["/health"] = 500
        case "again":
            await ssp.register()
            await ssp.load()
        case _:
            calm(ssp)


def calm(ssp: HttpSsp) -> None:
    ssp.answers.clear()
    ssp.losing.clear()
    if (held := ssp.held.pop("/ingest", None)) is not None:
        held.set()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_g5_whatever_it_answers_it_is_sent_everything_in_order(steps: list[str]) -> None:
    asyncio.run(history(steps))


async def history(steps: list[str]) -> None:
    async with mesh() as at, following(at) as ssp:
        for number, step in enumerate(steps):
            await move(at, ssp, step, number)
        calm(ssp)
        if await ssp.beat() != 200:
            await ssp.join()
        await at.ready("h")
        last = await at.write(5000)
        await eventually(lambda: ssp.applied == last, 15.0, what="everything to arrive")
        store = at.driver.store
        snapshot = Seq(ssp.registered["snapshot_seq"])
        entries = [common_pb2.Entry.FromString(entry) for entry in store.log(snapshot, 10_000)]
        # One that was overtaken would have been passed over as an old one.
        assert ssp.taken == [entry.seq for entry in entries if entry.HasField("change")]
        assert len(ssp.rows["t"]) == store.count("t")
        _, rows = await at.post("/proxy/query", {"query": "SELECT * FROM t", "consistency": "minimize_latency"})
        assert {row["id"]: row for row in rows} == ssp.rows["t"]
