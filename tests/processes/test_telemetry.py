"""What a mesh of real processes tells a collector: one request is one trace, and metrics are what `/metrics` says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from sp00ky.proto.measures import BY_KEY, BY_NAME

from tests.harness.collector import Collector, Span, collecting
from tests.harness.eventually import eventually
from tests.harness.mesh import Mesh, running_mesh

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
WAY = ("POST /ingest", "log append", "apply", "edge write")


class Scene:
    def __init__(self, mesh: Mesh, collector: Collector) -> None:
        self.mesh, self.collector = mesh, collector

    async def ingest(self, key: str, **headers: str) -> None:
        body = {"table": "reading", "op": "CREATE", "id": f"reading:{key}", "record": {"at": "loft"}}
        async with self.mesh.http.post(f"{self.mesh.url}/ingest", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()

    async def whole(self, trace_id: str) -> list[Span]:
        """The trace, once it has all that such a request comes to: every SSP applies it, one writes its edges."""
        ssps = {ssp["id"] for ssp in self.mesh.ready["ssps"]}

        def found() -> list[Span] | None:
            spans = self.collector.trace(trace_id)
            applied = {span.attributes["spky.ssp"] for span in spans if span.name == "apply"}
            return spans if {span.name for span in spans} >= set(WAY) and applied == ssps else None

        try:
            return await eventually(found, 15, what="trace")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.collector.trace(trace_id)}") from error


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with collecting() as collector:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "300",
            "SPKY_LAG_PROBE_INTERVAL_MS": "200",
            "SPKY_LOG_LEVEL": "debug",
            "SPKY_LOG_FORMAT": "json",
        }
        async with running_mesh(tmp_path_factory.mktemp("mesh"), ssps=2, extra=told) as mesh:
            view = {"id": "lofts", "surql": "SELECT * FROM reading WHERE at = 'loft'", "rows": 1}
            async with mesh.http.post(f"{mesh.url}/view/register", json=view) as response:
                assert response.status == 200, await response.text()
            yield Scene(mesh, collector)


async def test_one_request_is_one_trace_from_http_to_the_edges(scene: Scene) -> None:
    await scene.ingest("a", traceparent=CALLER)
    spans = await scene.whole(CALLER.split("-")[1])
    by_id = {span.span_id: span for span in spans}

    def way_to(span: Span) -> list[tuple[str, str]]:
        above = by_id.get(span.parent_id)
        return [*(way_to(above) if above else [(span.parent_id, "")]), (span.service, span.name)]

    [edge_write] = [span for span in spans if span.name == "edge write"]
    assert way_to(edge_write) == [
        (CALLER.split("-")[2], ""),
        ("gateway", "POST /ingest"),
        ("gateway", "/sp00ky.v1.IngestService/Ingest"),
        ("scheduler", "/sp00ky.v1.IngestService/Ingest"),
        ("scheduler", "log append"),
        ("ssp", "apply"),
        ("ssp", "edge write"),
    ]
    assert int(edge_write.attributes["spky.edges"]) >= 1
    assert len([span for span in spans if span.name == "apply"]) == 2
    ordered = [next(span for span in spans if span.name == name) for name in WAY]
    assert [span.begun_ns for span in ordered] == sorted(span.begun_ns for span in ordered)


async def test_a_request_that_its_caller_does_not_sample_leaves_no_trace(scene: Scene) -> None:
    await scene.ingest("b", traceparent=UNSAMPLED)
    await scene.ingest("c", traceparent=CALLER.replace("0af7", "2af7"))
    await scene.whole("2af7651916cd43dd8448eb211c80319c")
    assert not scene.collector.trace(UNSAMPLED.split("-")[1])


async def test_a_write_in_surrealdb_begins_a_trace_where_it_is_captured(scene: Scene) -> None:
    database = await scene.mesh.database()
    await database.query("DEFINE TABLE IF NOT EXISTS note; CREATE note:a SET text = 'x'")

    def captured() -> list[Span]:
        roots = {span.trace_id for span in scene.collector.spans if span.name == "capture" and not span.parent_id}
        return [span for span in scene.collector.spans if span.name == "apply" and span.trace_id in roots]

    assert await eventually(captured, 15, what="a trace of a captured change that was applied")


async def test_metrics_are_pushed_as_they_are_shown(scene: Scene) -> None:
    pushed = scene.collector.metrics

    def points(service: str, name: str) -> list[Any]:
        metric = pushed.get((service, name))
        return list(getattr(metric, metric.WhichOneof("data")).data_points) if metric is not None else []

    await eventually(lambda: [p for p in points("scheduler", "spky.wal.appended") if p.as_double > 0], 15)
    assert pushed["scheduler", "spky.wal.appended"].sum.is_monotonic
    await eventually(lambda: [p for p in points("ssp", "spky.edge.flush.duration") if p.count], 15)
    flush = pushed["ssp", "spky.edge.flush.duration"]
    assert (flush.unit, len(flush.histogram.data_points[0].explicit_bounds)) == ("s", 14)
    await eventually(lambda: [p for p in points("ssp", "spky.view.hydrate.duration") if p.count == 1 and p.sum > 0], 15)
    await eventually(lambda: points("gateway", "spky.http.requests"), 15)
    assert ("gateway", "spky.wal.appended") not in pushed, "a gateway by itself tells what it counts, and no more"


async def test_the_lag_is_measured_through_every_ssp(scene: Scene) -> None:
    async def seen() -> dict[str, Any] | None:
        lag = (await scene.mesh.get("/metrics"))["lag"]
        return lag if lag["written_seconds"] and not lag["detail"] else None

    lag = await eventually(seen, 15, what="a probe that every SSP has seen")
    assert set(lag["ssps"]) == {ssp["id"] for ssp in scene.mesh.ready["ssps"]}
    assert 0 < lag["captured_seconds"] <= lag["applied_seconds"] <= lag["written_seconds"]
    assert lag["stored_seconds"]
    assert all(0 < seconds <= lag["applied_seconds"] for seconds in lag["ssps"].values())
    database = await scene.mesh.database()
    assert await database.query("SELECT count() FROM _00_probe GROUP ALL") == [[{"count": 1}]]
    assert "_00_probe" not in (await scene.mesh.get("/health/snapshot"))["tables"]


async def test_a_line_of_the_log_says_whose_request_it_is(scene: Scene) -> None:
    trace_id = "3af7651916cd43dd8448eb211c80319c"
    await scene.ingest("d", traceparent=CALLER.replace("0af7651916cd43dd8448eb211c80319c", trace_id),
                       **{"X-Request-Id": "whose-line"})  # fmt: skip

    def line() -> dict[str, Any] | None:
        lines = (json.loads(text) for text in scene.mesh.service.child.stderr if text.startswith("{"))
        return next((found for found in lines if found.get("request_id") == "whose-line"), None)

    told = await eventually(line, 10, what="its line")
    assert (told["process"], told["service"], told["trace_id"]) == ("gateway", "gateway", trace_id)
    assert told["event"].startswith("POST /ingest 200 in ")


async def test_everything_that_is_counted_has_a_name_and_a_meaning(scene: Scene) -> None:
    for url in (scene.mesh.ready["scheduler"], scene.mesh.ready["ssps"][0]["http"]):
        async with scene.mesh.http.get(f"{url}/metrics") as response:
            counted = (await response.json())["metrics"]
        nameless = {key.partition("{")[0] for key in counted} - BY_KEY.keys()
        assert not nameless, "name them in proto/measures.py"
        async with scene.mesh.http.get(f"{url}/metrics/prometheus") as response:
            families = list(text_string_to_metric_families(await response.text()))
        names = [family.name for family in families]
        assert sorted(names) == sorted(set(names))
        ours = {f"{family.name}{'_total' * (family.type == 'counter')}" for family in families if "spky" in family.name}
        assert ours <= BY_NAME.keys()
    async with scene.mesh.http.get(f"{scene.mesh.ready['scheduler']}/metrics/prometheus") as response:
        [seqs] = [
            each for each in text_string_to_metric_families(await response.text()) if each.name == "spky_event_seq"
        ]
    assert {sample.labels["stage"] for sample in seqs.samples} == {"wal", "broadcast", "applied", "written"}


async def test_views_are_counted_by_state(scene: Scene) -> None:
    async def counted(url: str) -> dict[str, float]:
        async with scene.mesh.http.get(f"{url}/metrics") as response:
            metrics = (await response.json())["metrics"]
        return {key: value for key, value in metrics.items() if key.startswith("views") and value}

    assert (await counted(scene.mesh.ready["scheduler"]))["views_owned"] == 1

    async def held() -> list[dict[str, float]]:
        views = [await counted(ssp["http"]) for ssp in scene.mesh.ready["ssps"]]
        return [each for each in views if each.get('views{state="live"}') == 1]

    assert len(await eventually(held, 5, what="a live view")) == 1


@pytest.mark.long
async def test_a_database_that_is_away_is_said_and_holds_nothing_up(scene: Scene) -> None:
    async def detail() -> str:
        return str((await scene.mesh.get("/metrics"))["lag"]["detail"])

    async def is_away() -> bool:
        said = await detail()
        return "not captured" in said or "could not be written" in said

    async def is_back() -> bool:
        return await detail() == ""

    scene.mesh.kill("db")
    await eventually(is_away, 15, what="saying so")
    await scene.ingest("e")
    await eventually(is_back, 30, what="a probe that has come through again")
