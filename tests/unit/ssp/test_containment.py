"""One query, or one record, never ends the step of the others."""

from __future__ import annotations

import pytest
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.circuit.circuit import Circuit
from sp00ky.ssp.engine.events import ViewKey

from tests.harness.driven_engine import Driven

DEEP: Value = 1
for _ in range(122):
    DEEP = [DEEP]


def live(*queries: str) -> Driven:
    driven = Driven()
    driven.welcome()
    driven.log.change("t", 1, {"n": 1})
    for place, surql in enumerate(("SELECT * FROM t WHERE n != 0", *queries)):
        driven.log.register(f"v{place}", surql)
    driven.catch_up()
    return driven


def states(driven: Driven) -> list[tuple[str, str]]:
    found = [driven.engine.view(ViewKey(f"v{place}")) for place in range(driven.engine.view_count)]
    return [(reading.mode, str(reading.state)) for reading in found if reading is not None]


@pytest.mark.parametrize(
    "surql",
    [
        "SELECT [[[[[[[[[[n]]]]]]]]]] AS x, u:1.* FROM t",
        "SELECT (SELECT [[[[[[[[[[$parent.n]]]]]]]]]] AS z FROM t) AS x FROM t",
        "SELECT * FROM t WHERE (SELECT VALUE [[[[[[[[n]]]]]]]] FROM t) CONTAINS [n]",
        "SELECT [[[[[[[[[[n]]]]]]]]]] AS k, count() FROM t GROUP BY k",
        "SELECT n, [[[[[[[[[[n]]]]]]]]]] AS x FROM t SPLIT n",
    ],
)
def test_a_value_too_deep_to_be_kept_is_evaluated_in_another_way(surql: str) -> None:
    driven = live(surql)
    assert states(driven)[1] == ("incremental", "live")
    driven.log.change("t", 2, {"n": DEEP})
    driven.catch_up()
    assert states(driven)[0] == ("incremental", "live")
    assert states(driven)[1] in {("reevaluated", "pending"), ("incremental", "live")}, driven.engine.view(
        ViewKey("v1")
    ).error
    assert len(driven.current("v0")) == 2


def test_a_circuit_that_breaks_takes_its_own_views_only(monkeypatch: pytest.MonkeyPatch) -> None:
    driven = live("SELECT * FROM t WHERE n > 0 ORDER BY n LIMIT 2")
    flush = Circuit.flush

    def broken(self: Circuit, seq: int) -> object:
        if self.pipeline.window is not None:
            raise RuntimeError("broken")
        return flush(self, seq)

    monkeypatch.setattr(Circuit, "flush", broken)
    driven.log.change("t", 2, {"n": 2})
    driven.catch_up()
    assert states(driven)[0] == ("incremental", "live") and len(driven.current("v0")) == 2
    reading = driven.engine.view(ViewKey("v1"))
    assert reading is not None and [row["n"] for row in reading.rows()] == [1, 2]
