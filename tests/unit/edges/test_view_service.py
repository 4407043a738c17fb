"""GetView of an SSP: a result that cannot be evaluated is the view's failure, with its reason, and nobody's crash."""

from __future__ import annotations

from dataclasses import dataclass

from sp00ky.proto.revision import StoreId
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.values.pack import unpack
from sp00ky.ssp.engine.engine import Engine
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.freshness import Freshness
from sp00ky.ssp.rpc.views import ViewServicer

from tests.harness.driven_engine import Driven

STORE = StoreId("01234567")


@dataclass
class Reads:
    engine: Engine
    freshness: Freshness
    ssp_id: str = "one"
    store_id: StoreId = STORE

    def token(self, seq: int) -> str:
        return f"seq {seq}"

    def quarantine_of(self, key: ViewKey) -> str:
        return ""


class Context:
    def time_remaining(self) -> float:
        return 5.0


async def read(driven: Driven, *, rows: bool = True, json: bool = False) -> views_pb2.GetViewResponse:
    servicer = ViewServicer(Reads(driven.engine, Freshness(driven.engine)))
    request = views_pb2.GetViewRequest(key=common_pb2.ViewKey(id="v"), rows=rows, json=json)
    return await servicer.GetView(request, Context())  # type: ignore[arg-type]


async def test_a_projection_that_fails_on_a_record_fails_the_view_with_a_reason_until_it_is_mended() -> None:
    driven = Driven()
    driven.welcome()
    driven.log.change("item", 1, {"name": "four"})
    driven.log.register("v", "SELECT string::len(name) AS length FROM item")
    driven.catch_up()
    good = await read(driven)
    assert good.state == views_pb2.VIEW_STATE_LIVE and unpack(good.rows) == [{"length": 4}]
    driven.log.change("item", 2, {"name": 5})
    driven.catch_up()
    for bad in (await read(driven), await read(driven, json=True), await read(driven, rows=False)):
        assert bad.state == views_pb2.VIEW_STATE_FAILED and "string::len" in bad.error
        assert not bad.members and (unpack(bad.rows) if bad.rows else []) == [] and bad.rows_json in ("", "[]")
    driven.log.change("item", 2, None)
    driven.catch_up()
    mended = await read(driven, json=True)
    assert mended.state == views_pb2.VIEW_STATE_LIVE and mended.rows_json == '[{"length":4}]'
