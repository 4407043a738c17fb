"""The gRPC face of every service: what the guard refuses, how faults travel, what is made again, how a server ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sp00ky.proto import channel as channels
from sp00ky.proto.channel import IDEMPOTENT, Server, fault_of, open_channel
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.guard import CallLimits
from sp00ky.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    crdt_pb2,
    ingest_pb2,
    ingest_pb2_grpc,
    integrity_pb2,
    jobs_pb2,
    proxy_pb2,
    replication_pb2,
    views_pb2,
)

from tests.harness.eventually import eventually

MIB = 1024 * 1024


class Admin(admin_pb2_grpc.AdminServiceServicer):
    """Answers as it is told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], Awaitable[None]] | None = None

    async def GetStatus(self, request: Any, context: Any) -> admin_pb2.GetStatusResponse:
        return await self._answered(context)

    async def _answered(self, context: Any) -> admin_pb2.GetStatusResponse:
        self.asked += 1
        if self.answer is not None:
            await self.answer()
        return admin_pb2.GetStatusResponse(service="scheduler")


class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    async def Ingest(self, request: Any, context: Any) -> ingest_pb2.IngestResponse:
        return ingest_pb2.IngestResponse(seq=len(request.changes))

    async def IngestStream(self, requests: Any, context: Any) -> AsyncIterator[ingest_pb2.IngestStreamResponse]:
        async for request in requests:
            yield ingest_pb2.IngestStreamResponse(batch=request.batch)


class Served:
    """A server with the two services, and a channel to it."""

    def __init__(self, secret: str = "", **limits: Any) -> None:
        self.admin = Admin()
        self.server = Server("127.0.0.1:0", secret, limits=CallLimits(**limits))
        self.server.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, self.admin, "sp00ky.v1.AdminService")
        self.server.add(ingest_pb2_grpc.add_IngestServiceServicer_to_server, Ingest(), "sp00ky.v1.IngestService")
        self._secret = secret

    async def __aenter__(self) -> Served:
        self.address = await self.server.start()
        self.channel = open_channel(self.address, self._secret)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.channel.close()
        await self.server.stop(0)

    async def status(self, **call: Any) -> admin_pb2.GetStatusResponse:
        stub: Any = admin_pb2_grpc.AdminServiceStub(self.channel)
        answer: admin_pb2.GetStatusResponse = await stub.GetStatus(admin_pb2.GetStatusRequest(), **call)
        return answer

    @property
    def ingest(self) -> Any:
        return ingest_pb2_grpc.IngestServiceStub(self.channel)

    def counted(self, reason: str) -> float:
        return self.server.metrics()[f'grpc_refused_total{{reason="{reason}"}}']


async def refusal(call: Awaitable[Any]) -> Fault:
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return fault_of(raised.value)


async def hang() -> None:
    await asyncio.Event().wait()


async def test_a_call_without_a_deadline_has_the_servers() -> None:
    async with Served(deadline_s=0.05) as served:
        served.admin.answer = hang
        fault = await refusal(served.status())
        assert (fault.code, fault.hint) == (Code.TIMEOUT, "state a deadline, or set SPKY_GRPC_DEADLINE_MS")
        assert served.counted("late") == 1


async def test_a_deadline_that_is_stated_counts_instead() -> None:
    async with Served(deadline_s=0.001) as served:
        entered, release = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            entered.set()
            await release.wait()

        served.admin.answer = wait
        asked = asyncio.create_task(served.status(timeout=30))
        await entered.wait()
        served.admin.answer = hang
        assert (await refusal(served.status())).code is Code.TIMEOUT  # by the server's, long before the other's
        release.set()
        assert (await asked).service == "scheduler"
        assert served.counted("late") == 1


async def test_a_streams_time_is_its_own() -> None:
    async with Served(deadline_s=0.001) as served:
        stream = served.ingest.IngestStream()
        served.admin.answer = hang
        for batch in (1, 2):
            assert (await refusal(served.status())).code is Code.TIMEOUT
            await stream.write(ingest_pb2.IngestStreamRequest(batch=batch))
            assert (await stream.read()).batch == batch
        stream.cancel()


def of_bytes(size: int) -> ingest_pb2.IngestRequest:
    request = ingest_pb2.IngestRequest()
    request.changes.add(packed=b"x" * (size - 64))
    return request


async def test_a_message_that_is_too_long_is_refused_by_its_size() -> None:
    async with Served(message_bytes_max=MIB) as served:
        assert (await served.ingest.Ingest(of_bytes(MIB))).seq == 1
        fault = await refusal(served.ingest.Ingest(of_bytes(MIB + 100)))
        assert fault.code is Code.TOO_LARGE and "SPKY_GRPC_MESSAGE_BYTES_MAX" in fault.hint
        assert served.counted("too_large") == 1
        stream = served.ingest.IngestStream()
        batch = ingest_pb2.IngestStreamRequest(batch=1)
        batch.changes.add(packed=b"x" * MIB)
        await stream.write(batch)
        assert (await refusal(stream.read())).code is Code.TOO_LARGE
        assert served.counted("too_large") == 2
        assert (await refusal(served.ingest.Ingest(of_bytes(3 * MIB)))).code is Code.TOO_LARGE  # by gRPC itself
        assert (await served.ingest.Ingest(of_bytes(100))).seq == 1


async def test_bytes_that_are_no_message_are_invalid() -> None:
    async with Served() as served:
        call = served.channel.unary_unary("/sp00ky.v1.IngestService/Ingest")
        assert (await refusal(call(b"\xff\xff\xff"))).code is Code.INVALID


async def test_channelz_tells_of_connections_but_no_stranger() -> None:
    async with Served(secret="s") as served:
        asked = channelz_pb2.GetServersRequest()
        told = await channelz_pb2_grpc.ChannelzStub(served.channel).GetServers(asked)
        assert any("127.0.0.1" in each.name for server in told.server for each in server.listen_socket)
        async with aio.insecure_channel(served.address) as stranger:
            fault = await refusal(channelz_pb2_grpc.ChannelzStub(stranger).GetServers(asked))
            assert fault.code is Code.UNAUTHENTICATED
            health = health_pb2_grpc.HealthStub(stranger)
            for service in ("", "sp00ky.v1.AdminService", "grpc.channelz.v1.Channelz"):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
                assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert served.counted("unauthenticated") == 1


def test_what_is_made_again_exists() -> None:
    for service, methods in IDEMPOTENT.items():
        modules = (admin_pb2, crdt_pb2, integrity_pb2, integrity_pb2, jobs_pb2, proxy_pb2, replication_pb2, views_pb2)
        found = [each.DESCRIPTOR.services_by_name.get(service) for each in modules]
        assert any(each is not None and set(methods) <= set(each.methods_by_name) for each in found), service


async def unheard(asked: list[str], times: int) -> tuple[aio.Server, str]:
    """A server whose calls fail `times` times as they do when nobody answers, and then succeed."""

    async def call(request: bytes, context: Any) -> bytes:
        asked.append("call")
        if len(asked) <= times:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")
        return b""

    server = aio.server()
    for service, method in (("AdminService", "GetStatus"), ("IngestService", "Ingest")):
        handlers = {method: grpc.unary_unary_rpc_method_handler(call)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"sp00ky.v1.{service}", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


async def test_a_call_that_nobody_answered_is_made_again_if_it_may_be() -> None:
    asked: list[str] = []
    server, address = await unheard(asked, 2)
    async with open_channel(address) as channel:
        stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
        await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=10)
        assert len(asked) == 3
        asked.clear()
        ingest: Any = ingest_pb2_grpc.IngestServiceStub(channel)
        assert (await refusal(ingest.Ingest(ingest_pb2.IngestRequest(), timeout=10))).code is Code.UNAVAILABLE
        assert len(asked) == 1
    await server.stop(0)


async def test_what_a_service_has_refused_is_not_asked_again() -> None:
    async with Served() as served:

        async def refuse() -> None:
            raise Fault(Code.NOT_READY, "scheduler is cloning")

        served.admin.answer = refuse
        assert (await refusal(served.status(timeout=10))).code is Code.NOT_READY
        assert served.admin.asked == 1


async def keep_alives_sent(served: Served, apart: aio.Channel) -> int:
    """By the connections to the server, as channelz tells on one that is not counted: it is never silent."""
    channelz: Any = channelz_pb2_grpc.ChannelzStub(apart)
    top = await channelz.GetTopChannels(channelz_pb2.GetTopChannelsRequest())
    sent = 0
    for reference in (ref for each in top.channel if served.address in each.data.target for ref in each.subchannel_ref):
        asked = channelz_pb2.GetSubchannelRequest(subchannel_id=reference.subchannel_id)
        for socket in (await channelz.GetSubchannel(asked)).subchannel.socket_ref:
            told = await channelz.GetSocket(channelz_pb2.GetSocketRequest(socket_id=socket.socket_id))
            sent += told.socket.data.keep_alives_sent
    return sent


@pytest.mark.long
async def test_neither_side_of_the_keepalive_cuts_off_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair as it is, two hundred times as fast: a connection that says nothing outlives many questions."""
    scaled = ("grpc.keepalive_time_ms", "grpc.http2.min_ping_interval_without_data_ms")
    for side in ("_CHANNEL_OPTIONS", "_SERVER_OPTIONS"):
        own = getattr(channels, side)
        monkeypatch.setattr(channels, side, [(name, each // 200 if name in scaled else each) for name, each in own])
    async with Served() as served, aio.insecure_channel(served.address) as apart:
        stream = served.ingest.IngestStream()
        for batch in (1, 2):
            await stream.write(ingest_pb2.IngestStreamRequest(batch=batch))
            assert (await stream.read()).batch == batch
            asked = 18 * batch

            async def many(asked: int = asked) -> bool:
                return await keep_alives_sent(served, apart) >= asked

            await eventually(many, 20, every_s=0.3)
        assert not stream.done()
        stream.cancel()


async def test_a_server_that_stops_says_so_finishes_and_takes_nothing_more() -> None:
    async with Served() as served:
        await served.server.serving(True)
        entered, release = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            entered.set()
            await release.wait()

        served.admin.answer = wait
        watch = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        under_way = asyncio.create_task(served.status())
        await entered.wait()
        stopping = asyncio.create_task(served.server.stop(30))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        async with aio.insecure_channel(served.address) as late:
            stub: Any = admin_pb2_grpc.AdminServiceStub(late)
            assert (await refusal(stub.GetStatus(admin_pb2.GetStatusRequest()))).code is Code.UNAVAILABLE
        watch.cancel()
        assert not under_way.done()
        release.set()
        assert (await under_way).service == "scheduler"
        await asyncio.wait_for(stopping, 20)


async def test_a_call_that_does_not_end_is_cut_when_its_time_is_over() -> None:
    async with Served() as served:
        entered = asyncio.Event()

        async def stay() -> None:
            entered.set()
            await hang()

        served.admin.answer = stay
        under_way = asyncio.create_task(refusal(served.status()))
        await entered.wait()
        await asyncio.wait_for(served.server.stop(0.1), 20)
        assert (await under_way).code in (Code.UNAVAILABLE, Code.INTERNAL)
