"""Who uses the mesh: writers to SurrealDB, callers of /ingest, clients with views. They retry what they do not know.

They run in a process of their own that never dies, and speak to the scheduler through the network. What they were told
they hand to the witness; what they were not told they find out by asking again under the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from grpc import aio
from sp00ky.proto.channel import fault_of
from sp00ky.proto.faults import Code
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    common_pb2,
    ingest_pb2,
    ingest_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.pack import pack

from tests.simulation.channel import FakeChannel
from tests.simulation.kernel import Violation, elapse
from tests.simulation.views import CAPTURED, IDS, QUERIES, Query, spec

if TYPE_CHECKING:
    from tests.simulation.world import World

RETRYABLE = frozenset(
    {Code.UNAVAILABLE, Code.NOT_READY, Code.OVERLOADED, Code.TIMEOUT, Code.DISK_FULL, Code.NO_READY_SSP, Code.FENCED}
)


class Applications:
    """`busy`: whether they write; set to False when the world is to come to rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.busy = True
        self.acting = 0
        self._keys = 0
        self.kept: frozenset[str] = frozenset()  # ids of views
        self.drained: dict[str, None] = {}
        self._stubs: dict[str, Any] = {}

    async def run(self) -> None:
        kernel = self._world.kernel
        channel: Any = FakeChannel(self._world.network, "scheduler:9668")
        self._stubs = {
            "IngestService": ingest_pb2_grpc.IngestServiceStub(channel),
            "ViewService": views_pb2_grpc.ViewServiceStub(channel),
            "AdminService": admin_pb2_grpc.AdminServiceStub(channel),
        }
        every: list[tuple[Callable[[], Any], float]] = [
            (self._write, 0.4),
            (self._write, 0.7),
            (self._ingest, 0.5),
            (self._ingest, 0.9),
            (self._stream, 2.0),
            (self._look_after_view, 0.5),
            (self._look_after_view, 0.9),
            (self._barrier, 2.0),
            (self._read, 0.9),
            (self._collect, 0.4),
        ]
        for act, mean_s in every:
            assert kernel.current is not None
            kernel.current.spawn(self._repeat(act, mean_s))

    async def _repeat(self, act: Callable[[], Any], mean_s: float) -> None:
        random = self._world.kernel.random
        while self.busy:
            await elapse(random.random() * 2 * mean_s)
            if self.busy:
                await self.during(act())

    async def during(self, work: Awaitable[None]) -> None:
        self.acting += 1
        await work
        self.acting -= 1

    def choose_kept(self) -> None:
        """Which views there will be in the end."""
        random = self._world.kernel.random
        self.kept = frozenset(query.id for query in QUERIES if random.random() < 0.8)

    async def settle(self) -> None:
        """Register the views that are kept for good, and give up the others, once everybody else has ended. Drains end
        first: where every SSP drains, no view is taken."""
        while self.acting:
            await elapse(0.2)
        for ssp in self.drained:
            await self.during(self.drain(ssp, undo=True, patience=1_000))
        for query in QUERIES:
            await self.during(self._insist(query))

    async def _insist(self, query: Query) -> None:
        if query.id not in self.kept:
            await self.unregister(query, patience=1_000)
            return
        while not await self.register(query, ttl_ms=0, patience=10):
            self._world.network.count("registered again")

    # --- operators ---

    async def drain(self, ssp: str, *, undo: bool, patience: int = 2) -> None:
        request = admin_pb2.DrainSspRequest(ssp_id=ssp, undo=undo)
        if await self.call("AdminService/DrainSsp", request, patience) is not None:
            self._world.phases["undrained" if undo else "drained"] += 1

    async def resync(self, ssp: str) -> None:
        if await self.call("AdminService/ResyncSsps", admin_pb2.ResyncSspsRequest(ssp_id=ssp), 2) is not None:
            self._world.phases["resynced"] += 1

    async def _collect(self) -> None:
        await self.call("AdminService/CollectGarbage", admin_pb2.CollectGarbageRequest(), 1)

    async def flood(self) -> None:
        """Many callers at once."""
        await asyncio.gather(*(self._ingest() for _ in range(30)))

    # --- SurrealDB ---

    async def _write(self) -> None:
        """A transaction over some records; tried again where it conflicts."""
        world, random = self._world, self._world.kernel.random
        writes: dict[RecordId, dict[str, Value] | None] = {}
        for _ in range(random.choice((1, 1, 2, 3, 5))):
            record = RecordId(random.choice(CAPTURED), random.randrange(IDS))
            writes[record] = None if random.random() < 0.2 else self._record(record)
        late_s = random.random() * 1.5 if random.random() < 0.15 else 0.0
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not world.surreal.is_up:
            return
        world.surreal.begin(list(writes.items()), late_s, lambda kept: done.done() or done.set_result(kept))
        world.network.count("late commit" if late_s else "commit")
        if not await done:
            world.network.count("write conflict")

    def _record(self, record: RecordId) -> dict[str, Value]:
        random = self._world.kernel.random
        made: dict[str, Value] = {"id": record, "n": random.randrange(9)}
        if record.table == "post":
            made |= {"author": RecordId("user", random.randrange(IDS)), "mark": random.choice(("hot", "cold"))}
        elif record.table == "user":
            made |= {"flag": random.random() < 0.5, "name": random.choice("abc")}
        else:
            made |= {"post": RecordId("post", random.randrange(IDS)), "text": random.choice("xyz")}
        return made

    # --- /ingest ---

    def _changes(self) -> list[common_pb2.Change]:
        random = self._world.kernel.random
        changes = []
        for _ in range(random.choice((1, 1, 2, 3, 6, 9))):
            record = RecordId("note", random.randrange(IDS))
            self._keys += 1
            change = common_pb2.Change(
                table="note", key=pack(record.key), op=common_pb2.OP_UPDATE, idempotency_key=f"k{self._keys}"
            )
            if random.random() < 0.2:
                change.op = common_pb2.OP_DELETE
            else:
                change.packed = pack(self._record(record))
            changes.append(change)
        return changes

    async def _ingest(self) -> None:
        """One batch, until its outcome is known, or its caller gives up."""
        random = self._world.kernel.random
        changes, atomic = self._changes(), random.random() < 0.5
        request = ingest_pb2.IngestRequest(changes=changes, atomic=atomic)
        patience = random.choice((1, 4, 12))
        answer = await self.call("IngestService/Ingest", request, patience)
        if answer is None:
            return
        keys = [change.idempotency_key for change in changes]
        self._world.witness.acknowledged(answer.seq, keys, atomic=atomic)
        if random.random() < 0.15:  # as one who has lost the answer
            self._world.network.count("retried key")
            again = await self.call("IngestService/Ingest", request, 2)
            if again is not None and again.seq != answer.seq:
                raise Violation(f"key {keys[0]} was answered with {answer.seq} and then with {again.seq}")

    async def _stream(self) -> None:
        """A stream of batches; those that were not answered when it broke are sent again by `Ingest`."""
        random = self._world.kernel.random
        batches = [self._changes() for _ in range(random.randint(1, 4))]

        async def requests() -> Any:
            for number, changes in enumerate(batches, 1):
                request = ingest_pb2.IngestStreamRequest(batch=number, changes=changes, atomic=True)
                yield ingest_pb2.EncodedBatch.FromString(request.SerializeToString())  # as the scheduler reads it

        call = self._stubs["IngestService"].IngestStream(requests())
        answered = 0
        try:
            async with asyncio.timeout(3.0):
                async for response in call:
                    for changes in batches[answered : response.batch]:
                        keys = [change.idempotency_key for change in changes]
                        self._world.witness.acknowledged(response.seq, keys, atomic=True)
                    answered = response.batch
                    if answered == len(batches):
                        break
        except (aio.AioRpcError, TimeoutError):
            self._world.network.count("ingest stream broke")
        finally:
            call.cancel()
        for changes in batches[answered:]:
            request = ingest_pb2.IngestRequest(changes=changes, atomic=True)
            answer = await self.call("IngestService/Ingest", request, 3)
            if answer is not None:
                keys = [change.idempotency_key for change in changes]
                self._world.witness.acknowledged(answer.seq, keys, atomic=True)

    async def call(self, path: str, request: Any, patience: int) -> Any:
        """The answer of a unary call, tried `patience` times; None when it could not be had."""
        random = self._world.kernel.random
        service, _, method = path.partition("/")
        for _ in range(patience):
            try:
                return await getattr(self._stubs[service], method)(request, timeout=3.0)
            except aio.AioRpcError as error:
                fault = fault_of(error)
            if fault.code not in RETRYABLE:
                if fault.code is Code.INTERNAL:
                    raise Violation(f"{path}: {fault}")
                self._world.network.count(f"answer {fault.code}")
                return None
            self._world.network.count("client retry")
            await elapse(random.random() * 0.5)
        return None

    # --- views ---

    async def _look_after_view(self) -> None:
        random = self._world.kernel.random
        query = random.choice(QUERIES)
        chance = random.random()
        if chance < 0.6:
            await self.register(query, ttl_ms=0)
        elif chance < 0.8:
            await self.register(query, ttl_ms=random.choice((800, 2_500)))
        else:
            await self.unregister(query, patience=2)

    async def unregister(self, query: Query, *, patience: int) -> None:
        request = views_pb2.UnregisterViewRequest(key=common_pb2.ViewKey(id=query.id))
        await self.call("ViewService/UnregisterView", request, patience)

    async def register(self, query: Query, *, ttl_ms: int, patience: int = 3) -> bool:
        client = self._world.kernel.random.choice(("a", "b"))
        request = views_pb2.RegisterViewRequest(spec=spec(query, ttl_ms, client))
        answer = await self.call("ViewService/RegisterView", request, patience)
        if answer is None:
            return False
        self._world.witness.shown(parse_revision(answer.revision).seq, f"the registration of {query.id}")
        return True

    # --- reads ---

    async def _barrier(self) -> None:
        """Everything committed before the call is at or below the answer."""
        world = self._world
        before = {record: (versions[-1].seen_at, len(versions)) for record, versions in world.surreal.versions.items()}
        answer = await self.call("AdminService/Barrier", admin_pb2.BarrierRequest(), 1)
        if answer is None:
            return
        world.witness.shown(answer.seq, "a barrier")
        world.check_barrier(before, answer.seq)

    async def _read(self) -> None:
        """A view as it is, at least as fresh as what was acknowledged, or exactly at some revision."""
        world, random = self._world, self._world.kernel.random
        query = random.choice(QUERIES)
        key = common_pb2.ViewKey(id=query.id)
        request = views_pb2.GetViewRequest(key=key, rows=False)
        floor = 0
        chance, acked = random.random(), world.witness.acked_seq
        if chance < 0.4 and acked:
            floor = acked
            request.consistency = common_pb2.CONSISTENCY_AT_LEAST_AS_FRESH
            request.revision = world.token(floor)
        elif chance < 0.7 and acked:
            floor = world.witness.last_before(random.randint(max(1, acked - 20), acked))
            request.consistency = common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT
            request.revision = world.token(floor)
            world.network.count("exact read asked")
        answer = await self.call("ViewService/GetView", request, 1)
        if answer is not None and request.consistency == common_pb2.CONSISTENCY_AT_EXACT_SNAPSHOT:
            world.phases["exact read"] += 1
            if answer.revision and parse_revision(answer.revision).seq != floor:
                raise Violation(f"view {query.id} was to be read exactly at {floor}, and is of {answer.revision}")
        if answer is not None and answer.state == views_pb2.VIEW_STATE_LIVE and answer.revision:
            world.check_read(query, answer, floor)
