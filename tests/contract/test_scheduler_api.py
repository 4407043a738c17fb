"""The scheduler's documented API, route by route: what a client of the documents sends, and what it reads back."""

from __future__ import annotations

import orjson
import pytest
from google.protobuf.message import Message
from prometheus_client.parser import text_string_to_metric_families
from sp00ky.gateway.exchange import Api
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2, ingest_pb2, integrity_pb2, proxy_pb2, views_pb2
from sp00ky.proto.values.kinds import Datetime, RecordId
from sp00ky.proto.values.pack import pack, unpack

from tests.harness.fake_mesh import NOT_FOUND, scheduler_status, token, view_response
from tests.harness.served_gateway import Serve, Served

EVENT = {
    "table": "user",
    "op": "CREATE",
    "id": "user:abc123",
    "record": {"id": "user:abc123", "name": "Alice", "email": "alice@example.com"},
    "job_assignee": None,
    "hash": "",
}
VIEW = {
    "id": "_00_query:q1",
    "surql": "SELECT * FROM user WHERE active = true",
    "clientId": "client-1",
    "ttl": "30m",
    "lastActiveAt": "2026-01-01T00:00:00Z",
    "params": {"min": 3},
    "format": "streaming",
}


@pytest.fixture(params=["scheduler", "gateway"])
async def api(request: pytest.FixtureRequest, serve: Serve) -> Served:
    """The same API beside the scheduler and as a process of its own."""
    name: Api = request.param
    return await serve(name)


async def test_ingest_answers_200_with_the_revision(api: Served) -> None:
    client, mesh = api
    async with client.post("/ingest", json=EVENT) as response:
        assert (response.status, response.headers["Spky-Revision"]) == (200, token(42))
        assert await response.json() == {"revision": token(42), "seq": 42}
    (change,) = mesh.last(ingest_pb2.IngestRequest).changes
    assert (change.table, change.op, unpack(change.key)) == ("user", common_pb2.OP_CREATE, "abc123")
    assert orjson.loads(change.json) == EVENT["record"]


async def test_ingest_takes_an_array_and_ndjson(api: Served) -> None:
    client, mesh = api
    async with client.post("/ingest", json=[EVENT, {**EVENT, "op": "delete"}]) as response:
        assert response.status == 200
    assert mesh.last(ingest_pb2.IngestRequest).atomic
    lines = b"\n".join(orjson.dumps(EVENT) for _ in range(3))
    headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
    async with client.post("/ingest", data=lines, headers=headers) as response:
        assert response.status == 200
    request = mesh.last(ingest_pb2.IngestRequest)
    assert (request.atomic, len(request.changes)) == (False, 3)


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b'{"table":"user"', "application/json", 400),
        (orjson.dumps({**EVENT, "op": "UPSERT"}), "application/json", 400),
        (orjson.dumps({"op": "CREATE", "id": "user:1", "record": {}}), "application/json", 400),
        (orjson.dumps(EVENT), "text/plain", 415),
        (orjson.dumps(EVENT), "application/x-www-form-urlencoded", 415),
        (orjson.dumps(EVENT) + b"\nnope", "application/x-ndjson", 400),
        (b"\xa1\x01\x02", "application/cbor", 400),
        (b"", "application/json", 400),
    ],
)
async def test_ingest_refuses_a_wrong_body(scheduler: Served, body: bytes, media_type: str, status: int) -> None:
    client, mesh = scheduler
    async with client.post("/ingest", data=body, headers={"Content-Type": media_type}) as response:
        error = await response.json()
        assert (response.status, set(error) >= {"code", "message"}) == (status, True), error
    assert not mesh.asked


@pytest.mark.parametrize(
    ("code", "status"), [(Code.NOT_READY, 503), (Code.OVERLOADED, 429), (Code.DISK_FULL, 507), (Code.TOO_LARGE, 413)]
)
async def test_ingest_says_why_not_now(scheduler: Served, code: Code, status: int) -> None:
    client, mesh = scheduler
    mesh.answers["Ingest"] = Fault(code, "scheduler is cloning")
    async with client.post("/ingest", json=EVENT) as response:
        assert (response.status, (await response.json())["message"]) == (status, "scheduler is cloning")
        assert ("Retry-After" in response.headers) == (status in (429, 503))


async def test_proxy_query_answers_the_rows_as_surrealdb_writes_them(api: Served) -> None:
    client, mesh = api
    row = {"id": RecordId("user", "abc"), "since": Datetime(0)}
    mesh.answers["Query"] = proxy_pb2.QueryResponse(result=pack([row]), revision=token(7))
    async with client.post("/proxy/query", json={"query": "SELECT * FROM user"}) as response:
        assert (response.status, response.headers["Spky-Revision"]) == (200, token(7))
        assert await response.json() == [{"id": "user:abc", "since": "1970-01-01T00:00:00Z"}]


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault(Code.INVALID, "writes"), 400), (Fault(Code.REVISION_GONE, "gone", "", {"floor": "a", "head": "b"}), 410)],
)
async def test_proxy_query_refuses(scheduler: Served, fault: Fault, status: int) -> None:
    client, mesh = scheduler
    mesh.answers["Query"] = fault
    async with client.post("/proxy/query", json={"query": "DELETE user", "revision": token(1)}) as response:
        assert response.status == status
        assert (await response.json()).get("details", {}) == fault.details
    for body, refused in (
        ({}, 422),
        ({"query": 1}, 422),
        ({"query": ""}, 400),
        ({"query": "x", "revision": "old"}, 400),
        ({"query": "x", "vars": [1]}, 422),
        ([], 422),
    ):
        async with client.post("/proxy/query", json=body) as response:
            assert (response.status, (await response.json())["code"]) == (refused, "SPKY_INVALID"), body


@pytest.mark.parametrize("path", ["/proxy/signin", "/proxy/use"])
async def test_a_handshake_needs_no_body(api: Served, path: str) -> None:
    client, _ = api
    async with client.post(path) as response:
        assert (response.status, await response.text()) == (200, "")


async def test_register_answers_where_the_view_is(api: Served) -> None:
    client, mesh = api
    async with client.post("/view/register", json=VIEW) as response:
        assert (response.status, response.headers["Spky-Revision"]) == (200, token(42))
        assert await response.json() == {
            "query_id": "_00_query:q1",
            "ssp_id": "ssp-1",
            "ssp_url": "http://10.0.0.7:8667",
            "assigned_at": 1700000000,
            "revision": token(42),
        }
    spec = mesh.last(views_pb2.RegisterViewRequest).spec
    assert (spec.key.id, spec.surql, spec.client_id, spec.ttl_ms) == ("q1", VIEW["surql"], "client-1", 1_800_000)
    assert (unpack(spec.params), spec.format) == ({"min": 3}, "streaming")


async def test_the_older_name_of_register_takes_its_older_fields(api: Served) -> None:
    client, mesh = api
    body = {"query_id": "q1", "view_plan": "SELECT * FROM user"}
    async with client.post("/query/register", json=body) as response:
        assert (response.status, (await response.json())["query_id"]) == (200, "q1")
    spec = mesh.last(views_pb2.RegisterViewRequest).spec
    assert (spec.key.id, spec.key.auth_id, spec.auth) == ("q1", "", b"")


@pytest.mark.parametrize(
    ("auth", "auth_id", "viewer"),
    [
        ("user:ada", "user:ada", {"id": RecordId("user", "ada"), "access": "", "claims": {}}),
        ("user:⟨a b⟩", "user:`a b`", {"id": RecordId("user", "a b"), "access": "", "claims": {}}),
        (
            {"id": "user:1", "access": "account", "claims": {"role": "reader"}},
            "user:1",
            {"id": RecordId("user", 1), "access": "account", "claims": {"role": "reader"}},
        ),
    ],
)
async def test_a_view_is_registered_read_and_forgotten_as_its_user(
    api: Served, auth: object, auth_id: str, viewer: dict[str, object]
) -> None:
    client, mesh = api
    async with client.post("/view/register", json={**VIEW, "id": "q1", "auth": auth}) as response:
        assert response.status == 200
    spec = mesh.last(views_pb2.RegisterViewRequest).spec
    assert (spec.key.auth_id, unpack(spec.auth)) == (auth_id, viewer)
    named = auth["id"] if isinstance(auth, dict) else auth
    async with client.get("/view/q1", params={"auth": str(named)}) as response:
        assert response.status == 200
    assert mesh.last(views_pb2.GetViewRequest).key == spec.key
    async with client.post("/view/unregister", json={"id": "q1", "auth": auth}) as response:
        assert response.status == 200
    assert mesh.last(views_pb2.UnregisterViewRequest).key == spec.key
    async with client.post("/view/explain", json={"surql": VIEW["surql"], "auth": auth}) as response:
        assert response.status == 200
    assert mesh.last(views_pb2.ExplainViewRequest).auth == spec.auth


async def test_register_with_rows_answers_the_first_result(scheduler: Served) -> None:
    client, mesh = scheduler
    async with client.post("/view/register", json={**VIEW, "rows": 1}) as response:
        body = await response.json()
        assert response.status == 200
    assert (body["rows"], body["ssp_url"], body["state"]) == (
        [{"name": "Ada", "age": 36}],
        "http://10.0.0.7:8667",
        "live",
    )
    assert mesh.last(views_pb2.GetViewRequest).revision == token(42)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(Code.UNSUPPORTED_QUERY, "line 1, column 15: RANDOM is not supported", "remove it"), 400),
        (Fault(Code.CONFLICT, "view exists"), 409),
        (Fault(Code.NO_READY_SSP, "no ssp is ready"), 503),
        (Fault(Code.UNIMPLEMENTED, "it is not planned yet"), 501),
    ],
)
async def test_register_refuses(scheduler: Served, fault: Fault, status: int) -> None:
    client, mesh = scheduler
    mesh.answers["RegisterView"] = fault
    async with client.post("/view/register", json=VIEW) as response:
        assert (response.status, (await response.json())["message"]) == (status, fault.message)


async def test_unregister_answers_200_and_404(api: Served) -> None:
    client, mesh = api
    async with client.post("/view/unregister", json={"id": "_00_query:q1"}) as response:
        assert (response.status, response.headers["Spky-Revision"]) == (200, token(43))
    assert mesh.last(views_pb2.UnregisterViewRequest).key.id == "q1"
    mesh.answers["UnregisterView"] = NOT_FOUND
    async with client.post("/view/unregister", json={"id": "nope"}) as response:
        assert (response.status, (await response.json())["code"]) == (404, "SPKY_NOT_FOUND")


async def test_a_view_is_its_members_in_the_querys_order(api: Served) -> None:
    client, mesh = api
    async with client.get("/view/_00_query:v1") as response:
        assert (response.status, response.headers["Spky-Revision"]) == (200, token(42))
        assert await response.json() == {
            "id": "_00_query:v1",
            "revision": token(42),
            "hash": "abc123",
            "state": "live",
            "mode": "incremental",
            "ssp_id": "ssp-1",
            "members": [
                {"id": "person:2", "version": 41},
                {"id": "note:9", "version": 12, "parent": "person:2", "parent_rel": "notes"},
                {"id": "person:1", "version": 40},
            ],
        }
    for path in ("/view/v1", "/view/_00_query%3Av1", "/view/_00_query:%E2%9F%A8v1%E2%9F%A9"):
        async with client.get(path) as response:
            assert response.status == 200
        assert mesh.last(views_pb2.GetViewRequest).key.id == "v1"


async def test_a_view_with_rows_holds_exactly_surrealdbs_json(scheduler: Served) -> None:
    client, mesh = scheduler
    view = view_response()
    view.rows = pack([{"z": 1.0, "a": RecordId("t", "x y"), "m": Datetime(0)}])
    mesh.answers["GetView"] = view
    async with client.get("/view/v1?rows=1&consistency=fully_consistent") as response:
        raw = await response.read()
    assert b'"rows":[{"a":"t:`x y`","m":"1970-01-01T00:00:00Z","z":1.0}]' in raw
    request = mesh.last(views_pb2.GetViewRequest)
    assert (request.rows, request.consistency) == (True, common_pb2.CONSISTENCY_FULLY_CONSISTENT)


async def test_an_unknown_view_is_404(api: Served) -> None:
    client, mesh = api
    mesh.answers["GetView"] = NOT_FOUND
    for path in ("/view/nope", "/debug/view/nope"):
        async with client.get(path) as response:
            assert (response.status, (await response.json())["hint"]) == (404, "register it first")


async def test_explain_shows_every_stage(api: Served) -> None:
    client, _ = api
    async with client.post("/view/explain", json={"surql": "SELECT * FROM person", "params": {"a": 1}}) as response:
        assert await response.json() == {
            "mode": "incremental",
            "stages": [{"name": "plan", "text": "scan person"}],
            "tables": ["person"],
            "shape": "s1",
        }


async def test_explain_names_the_nearest_query(scheduler: Served) -> None:
    client, mesh = scheduler
    mesh.answers["ExplainView"] = views_pb2.ExplainViewResponse(
        mode=views_pb2.VIEW_MODE_REEVALUATED, reason="ties", nearest="SELECT 1", nearest_change="ids"
    )
    async with client.post("/view/explain", json={"surql": "SELECT * FROM person"}) as response:
        body = await response.json()
    assert (body["mode"], body["reason"]) == ("reevaluated", "ties")
    assert body["nearest"] == {"surql": "SELECT 1", "change": "ids"}


async def test_why_says_what_decides(api: Served) -> None:
    client, mesh = api
    asked = {"record": "person:3", "auth": "user:⟨a b⟩"}
    async with client.get("/view/_00_query:v1/why", params=asked) as response:
        assert (response.status, response.headers["Spky-Revision"]) == (200, token(42))
        assert await response.json() == {
            "id": "_00_query:v1",
            "revision": token(42),
            "ssp_id": "ssp-1",
            "record": "person:3",
            "in_view": False,
            "decider": "window",
            "sentence": "person:3 is not in the view: it is row 3 of 3",
            "terms": [
                {
                    "text": "boss.age > 40",
                    "origin": "where",
                    "holds": True,
                    "values": [{"text": "boss.age", "value": "60", "through": ["person:9 is there"]}],
                }
            ],
            "window": {
                "rank": 3,
                "passing": 3,
                "start": 0,
                "limit": 2,
                "boundary": "person:1",
                "order": [{"text": "age", "value": "50", "boundary": "41"}],
            },
        }
    request = mesh.last(views_pb2.WhyViewRequest)
    assert (request.key.id, request.key.auth_id, request.record) == ("v1", "user:`a b`", "person:3")


@pytest.mark.parametrize(
    ("rpc", "path", "response"),
    [
        ("RegisterView", "/view/register", views_pb2.RegisterViewResponse(query_id="q1", warnings=["a", "b"])),
        ("ExplainView", "/view/explain", views_pb2.ExplainViewResponse(warnings=["a", "b"])),
    ],
)
async def test_warnings_are_in_the_answer(scheduler: Served, rpc: str, path: str, response: Message) -> None:
    client, mesh = scheduler
    mesh.answers[rpc] = response
    stated = {"surql": "SELECT * FROM person"} | ({"id": "q1"} if rpc == "RegisterView" else {})
    async with client.post(path, json=stated) as answer:
        assert (answer.status, (await answer.json())["warnings"]) == (200, ["a", "b"])


async def test_why_of_a_member_leaves_out_what_there_is_not(scheduler: Served) -> None:
    client, mesh = scheduler
    why = views_pb2.WhyViewResponse(
        record="note:9", in_view=True, position=2, decider=views_pb2.WHY_DECIDER_CONDITIONS, revision=token(42)
    )
    why.below.add(id="note:9", version=12, parent="person:2", parent_rel="notes")
    mesh.answers["WhyView"] = why
    async with client.get("/view/v1/why?record=note:9") as response:
        body = await response.json()
    assert (body["in_view"], body["position"], body["decider"], "window" in body) == (True, 2, "conditions", False)
    assert body["below"] == [{"id": "note:9", "version": 12, "parent": "person:2", "parent_rel": "notes"}]


@pytest.mark.parametrize(
    ("address", "fault", "status"),
    [
        ("/view/v1/why", None, 400),
        ("/view/v1/why?record=", None, 400),
        ("/view/v1/why?record=person:1&auth=nobody", None, 400),
        ("/view/v1/why?record=person", Fault(Code.INVALID, "record is no record id"), 400),
        ("/view/nope/why?record=person:1", NOT_FOUND, 404),
        ("/view/v1/why?record=person:1", Fault(Code.NOT_READY, "between two owners"), 503),
    ],
)
async def test_why_refuses(scheduler: Served, address: str, fault: Fault | None, status: int) -> None:
    client, mesh = scheduler
    if fault is not None:
        mesh.answers["WhyView"] = fault
    async with client.get(address) as response:
        body = await response.json()
        assert response.status == status and body["message"], body


async def test_views_and_ssps_are_lists(api: Served) -> None:
    client, _ = api
    async with client.get("/views") as response:
        (view,) = await response.json()
    assert (view["id"], view["mode"], view["reason"], view["members"]) == ("v1", "reevaluated", "GROUP BY", 2)
    async with client.get("/ssps") as response:
        (ssp,) = await response.json()
    assert (ssp["id"], ssp["state"], ssp["applied_seq"], ssp["written_seq"]) == ("ssp-1", "ready", 40, 39)


@pytest.mark.parametrize(
    ("state", "ssp_state", "health", "ready_status"),
    [
        ("ready", "ready", (200, "healthy"), 200),
        ("ready", "bootstrapping", (503, "unavailable"), 200),
        ("cloning", "ready", (503, "unavailable"), 503),
        ("frozen", "ready", (200, "healthy"), 200),
    ],
)
async def test_health(
    scheduler: Served, state: str, ssp_state: str, health: tuple[int, str], ready_status: int
) -> None:
    client, mesh = scheduler
    mesh.answers["GetStatus"] = scheduler_status(state, ssp_state)
    async with client.get("/health") as response:
        body = await response.json()
        assert (response.status, body["status"]) == health
        assert body["ssps"] == {"ready": int(ssp_state == "ready"), "total": 1}
        assert body["backends"] == {"healthy": 0, "unhealthy": 0, "unreachable": 0, "total": 0}
    async with client.get("/health/ready") as response:
        assert (response.status, await response.json()) == (ready_status, {"status": state})


async def test_health_snapshot_counts_rows(api: Served) -> None:
    client, _ = api
    async with client.get("/health/snapshot") as response:
        body = await response.json()
    assert (body["tables"], body["total_records"]) == ({"person": 2, "note": 5}, 7)
    assert (body["snapshot_seq"], body["latest_seq"], body["lag"]) == (42, 42, 2)


async def test_info_is_the_documented_array_and_masks_secrets(scheduler: Served) -> None:
    client, _ = scheduler
    async with client.get("/info") as response:
        own, ssp = await response.json()
    assert (own["entity"], own["id"], own["status"], own["views"]) == ("scheduler", "scheduler-1", "ready", 3)
    assert own["grpc_address"] == "0.0.0.0:9668"
    assert own["env"] == {"SPKY_AUTH_SECRET": "****", "SPKY_DB_NS": "sp00ky"}
    assert {"pending_events", "snapshot_seq", "latest_seq", "lag", "uptime_seconds", "version", "ip"} <= set(own)
    assert (ssp["entity"], ssp["ip"], ssp["last_heartbeat_seconds_ago"]) == ("ssp", "10.0.0.7", 1.5)
    async with client.get("/info/text") as response:
        assert response.content_type == "text/plain"
        assert orjson.loads(await response.text()) == [own, ssp]


async def test_version(api: Served) -> None:
    client, _ = api
    async with client.get("/version") as response:
        assert await response.json() == {"version": "0.1.0", "service": "scheduler"}


async def test_metrics_are_the_documented_json(api: Served) -> None:
    client, _ = api
    async with client.get("/metrics") as response:
        body = await response.json()
    assert body["scheduler"] == {
        "total_ssps": 1,
        "ready_ssps": 1,
        "total_queries": 3,
        "running_jobs": 0,
        "uptime_seconds": 12.5,
        "pending_events": 4,
        "snapshot_seq": 42,
        "latest_seq": 42,
        "lag": 2,
    }
    (ssp,) = body["ssps"]
    assert set(ssp) == {"id", "query_count", "views", "cpu_usage", "memory_usage", "last_heartbeat_seconds_ago"}


@pytest.mark.parametrize(
    ("path", "accept", "media_type"),
    [
        ("/metrics", "text/plain", "text/plain"),
        ("/metrics", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("/metrics/prometheus", "*/*", "text/plain"),
    ],
)
async def test_metrics_are_prometheus_text_when_asked_for(
    scheduler: Served, path: str, accept: str, media_type: str
) -> None:
    client, _ = scheduler
    async with client.get(path, headers={"Accept": accept}) as response:
        assert (response.status, response.content_type) == (200, media_type)
        text = await response.text()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.replace("# EOF\n", ""))
        for sample in family.samples
    }
    assert samples["spky_event_seq", ("ssp", "ssp-1"), ("stage", "written")] == 39
    assert samples["spky_event_seq", ("ssp", ""), ("stage", "wal")] == 42
    assert samples["spky_ssp_state", ("ssp", "ssp-1"), ("state", "ready")] == 1
    assert samples["spky_ssp_heartbeat_age_seconds", ("ssp", "ssp-1")] == 1.5
    assert samples["spky_wal_appended_total", ("kind", "change")] == 42
    assert samples["spky_capture_lag_seconds",] == 0.25
    assert samples["spky_upstream_up",] == 1
    assert samples["spky_views",] == 3


async def test_integrity_answers_a_node_and_its_children(scheduler: Served) -> None:
    client, mesh = scheduler
    async with client.get("/integrity/person?prefix=") as response:
        assert response.status == 200 and response.headers["Spky-Revision"] == token(42)
        body = await response.json()
    node = {"prefix": "", "revision": token(42), "rows": 3, "hash": "00000000000000ab"}
    children = [{"prefix": "7", "hash": "00000000000000ab", "rows": 3}]
    assert body == {"table": "person", **node, "children": children}
    async with client.get("/integrity/view/v1?prefix=7f&auth=user:1") as response:
        assert (await response.json())["view"] == "v1"
    asked = mesh.last(integrity_pb2.GetNodeRequest)
    assert (asked.view.id, asked.view.auth_id, asked.prefix) == ("v1", "user:1", "7f")
    for fault, status in (
        (Fault(Code.INVALID, "prefix"), 400),
        (Fault(Code.NOT_FOUND, "no such table"), 404),
        (Fault(Code.NOT_READY, "its tree is being built"), 503),
    ):
        mesh.answers["GetNode"] = fault
        async with client.get("/integrity/person") as response:
            assert response.status == status
