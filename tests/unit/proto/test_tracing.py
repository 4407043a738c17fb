"""Spans where no task carries their context: begun, recorded for many at once, and off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from sp00ky.proto import tracing
from sp00ky.proto.channel import Server, open_channel
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc
from sp00ky.proto.v1.common_pb2 import OP_CREATE, Change
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.appends import appending
from sp00ky.scheduler.intake import canonical

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(provider.get_tracer("test"))
    yield exporter
    tracing.trace_with(None)


def sent(key: str, **fields: str) -> bytes:
    packed = pack({"id": RecordId("reading", key)})
    return Change(table="reading", op=OP_CREATE, key=pack(key), packed=packed, **fields).SerializeToString()


def test_off_nothing_is_said_and_nothing_done() -> None:
    assert not tracing.is_on()
    assert tracing.begin("log append", root=True) is None
    assert tracing.record("apply", [CALLER], 1) == []
    assert tracing.current_ids() == ("", "")
    changes = canonical([sent("a"), sent("b")])
    before = list(changes)
    with appending("log append", changes, root=True) as append:
        assert append is None
    assert changes == before


def test_a_span_in_each_trace_over_the_same_time(exported: InMemorySpanExporter) -> None:
    other = CALLER.replace("0af7", "1af7")
    made = tracing.record("apply", [CALLER, other, CALLER], 5, {"spky.seq": 7})
    assert [text.split("-")[1] for text in made] == [TRACE, "1" + TRACE[1:]]
    for span in exported.get_finished_spans():
        assert span.parent is not None
        assert (f"{span.parent.span_id:016x}", span.start_time, span.attributes) == (SPAN, 5, {"spky.seq": 7})
    assert len({span.end_time for span in exported.get_finished_spans()}) == 1


@pytest.mark.parametrize(
    "nothing",
    ["", "x", CALLER.upper(), f"00-{TRACE}-{SPAN}-00", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
     f"01-{TRACE}-{SPAN}-01", CALLER + "\n"],
)  # fmt: skip
def test_a_trace_that_is_none_or_not_sampled_ends_there(nothing: str, exported: InMemorySpanExporter) -> None:
    assert tracing.record("apply", [nothing], 1) == []
    assert not exported.get_finished_spans()


def test_no_more_than_so_many_traces_have_a_span_in_one_batch(exported: InMemorySpanExporter) -> None:
    parents = [f"00-{number:032x}-{SPAN}-01" for number in range(1, 2 * tracing.PARENTS_MAX)]
    assert len(tracing.record("apply", parents, 1)) == tracing.PARENTS_MAX


def test_the_last_change_of_a_request_says_whose_it_is(exported: InMemorySpanExporter) -> None:
    changes = canonical([sent("a"), sent("b")])
    with appending("log append", changes, root=True) as append:
        assert append is not None
        append.end({"spky.seq": 9})
    first, last = (Change.FromString(change.encoded) for change in changes)
    assert (first.traceparent, last.traceparent) == ("", append.traceparent)
    assert last.packed == pack({"id": RecordId("reading", "b")})
    [span] = exported.get_finished_spans()
    assert span.attributes == {"spky.seq": 9}


def test_an_append_that_is_refused_says_so(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no room"), appending("log append", canonical([sent("a")]), root=True):
        raise ValueError("no room")
    [span] = exported.get_finished_spans()
    assert (span.status.is_ok, span.events[0].name) == (False, "exception")


def test_without_a_request_an_append_begins_no_trace_unless_it_is_a_root(exported: InMemorySpanExporter) -> None:
    assert tracing.begin("log append") is None
    assert tracing.begin("capture", root=True) is not None


def test_what_the_sampler_leaves_out_is_not_said_either() -> None:
    tracing.trace_with(TracerProvider(sampler=ParentBased(ALWAYS_OFF)).get_tracer("test"))
    try:
        changes = canonical([sent("a")])
        with appending("capture", changes, root=True) as append:
            assert append is None
        assert Change.FromString(changes[0].encoded).traceparent == ""
    finally:
        tracing.trace_with(None)


@pytest.mark.parametrize(("stated", "kept"), [(CALLER, CALLER), ("x" * 55, ""), ("", "")])
def test_a_change_on_a_stream_may_say_itself_whose_it_is(stated: str, kept: str) -> None:
    [change] = canonical([sent("a", traceparent=stated)])
    assert Change.FromString(change.encoded).traceparent == kept
    assert change.packed == pack({"id": RecordId("reading", "a")})


async def test_a_service_knows_whose_request_it_answers() -> None:
    class Admin(admin_pb2_grpc.AdminServiceServicer):
        async def GetStatus(self, request: Any, context: Any) -> admin_pb2.GetStatusResponse:
            return admin_pb2.GetStatusResponse(detail=tracing.REQUEST_ID.get())

    server = Server("127.0.0.1:0")
    server.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, Admin(), "sp00ky.v1.AdminService")
    channel = open_channel(await server.start())
    stub: Any = admin_pb2_grpc.AdminServiceStub
    ask = stub(channel).GetStatus
    try:
        for given, told in (("r-1", "r-1"), ("", ""), ("r" * 200, "r" * 128)):
            metadata = (("x-request-id", given),) if given else ()
            assert (await ask(admin_pb2.GetStatusRequest(), metadata=metadata)).detail == told
    finally:
        await channel.close()
        await server.stop(0)
