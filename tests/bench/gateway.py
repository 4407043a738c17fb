"""The gateway's figures: `python -m tests.bench.gateway [--figures NAME,…] [--seconds S] [--readers N]`.

The gateway runs in a process of its own; the mesh behind it (services that answer at once), the callers and the
readers in this one, so that only the gateway's own part is measured, on a machine that is busy with theirs. Prints one
JSON line a figure; where there is an aim, the line has it and whether it was met.

* requests: requests a second, p50 and p99, of `POST /ingest` with one change and with an array of 100, and of
  `GET /view/{id}`, from 8 connections that each ask again when they are answered; `cpu_us` of the gateway a request;
* one_view: readers of server-sent events on one view: from a transaction to the reader, memory of a connection;
* many_views: the same, each reader on a view of his own, all of which change with each transaction;
* harm: requests as above (one change each) while the readers of one view, a process of their own here, are told one
  change a second, and ten, over none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import psutil
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.connections import descriptors
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto.v1 import ingest_pb2, ingest_pb2_grpc

from tests.harness.fake_mesh import token
from tests.harness.watched_ssp import WatchedSsp

READERS, CALLERS, MEMBERS = 1_000, 8, 10
CHANGES = 50  # transactions of a fan-out
MEMORY_AIM_KIB, FANOUT_AIM_MS, HARM_AIM = 40.0, 250.0, 0.5
CONNECTING_MAX: Final = 64
Figure = dict[str, Any]
given = argparse.Namespace()


def report(name: str, **figures: Any) -> None:
    print(json.dumps({"bench": "gateway", "figure": name, **figures}), flush=True)


class Mesh(WatchedSsp):
    """Takes changes as well."""

    async def start(self, listen: str = "127.0.0.1:0") -> str:
        from sp00ky.proto.channel import Server

        class Ingest(ingest_pb2_grpc.IngestServiceServicer):
            async def Ingest(self, request: Any, context: Any) -> Any:
                return ingest_pb2.IngestResponse(revision=token(1), seq=1)

        before = Server.start

        async def start(server: Server) -> str:
            server.add(ingest_pb2_grpc.add_IngestServiceServicer_to_server, Ingest(), "sp00ky.v1.IngestService")
            return await before(server)

        Server.start = start  # type: ignore[method-assign]
        try:
            return await super().start(listen)
        finally:
            Server.start = before  # type: ignore[method-assign]


class Gateway:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.port = process, port
        self._facts = psutil.Process(process.pid)

    @property
    def memory(self) -> int:
        return int(self._facts.memory_info().rss)

    @property
    def cpu(self) -> float:
        times = self._facts.cpu_times()
        return float(times.user + times.system)


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Gateway, Mesh]]:
    mesh = Mesh()
    address = await mesh.start()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.gateway", "--serve", address, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    port = int(await child.stdout.readline())
    try:
        yield Gateway(child, port), mesh
    finally:
        child.terminate()
        await child.wait()
        await mesh.stop()


async def serve(upstream: str) -> None:
    """The child."""
    import signal

    settings = GatewaySettings(listen_addr="127.0.0.1:0", rate_read=0, rate_write=0, connections_per_address_max=10_000)
    server = GatewayServer(settings, "gateway", upstream)
    url = await server.start()
    print(url.rpartition(":")[2], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop()


# --- callers ---------------------------------------------------------------------------------------------------------


def request_of(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def asked(port: int, request: bytes, seconds: float) -> list[float]:
    """Milliseconds of each answer to one connection that asks again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0])
        await reader.readexactly(length)
        taken.append((time.perf_counter() - begun) * 1000)
    writer.close()
    return taken


async def load(gateway: Gateway, request: bytes) -> Figure:
    cpu = gateway.cpu
    runs = await asyncio.gather(*(asked(gateway.port, request, given.seconds) for _ in range(CALLERS)))
    taken = sorted(each for run in runs for each in run)
    return {
        "requests_per_second": round(len(taken) / given.seconds),
        **percentiles(taken),
        "cpu_us": round((gateway.cpu - cpu) / len(taken) * 1e6),
    }


def percentiles(taken: list[float]) -> Figure:
    taken = sorted(taken)
    return {"p50_ms": round(taken[len(taken) // 2], 2), "p99_ms": round(taken[len(taken) * 99 // 100], 2)}


def change(number: int) -> Figure:
    return {"table": "note", "op": "CREATE", "id": f"note:{number}", "record": {"text": "hello", "n": number}}


ONE = request_of("POST", "/ingest", json.dumps(change(1)).encode())


async def requests() -> None:
    hundred = request_of("POST", "/ingest", json.dumps([change(number) for number in range(100)]).encode())
    async with gateway() as (running, mesh):
        mesh.put({"v": range(MEMBERS)})
        await load(running, ONE)  # warm
        for name, request in (("ingest", ONE), ("ingest_100", hundred), ("view", request_of("GET", "/view/v?rows=1"))):
            report("requests", of=name, **await load(running, request))


# --- readers ---------------------------------------------------------------------------------------------------------


class Readers:
    """`arrived`: by seq, when each reader had the event of it."""

    def __init__(self) -> None:
        self.arrived: dict[int, list[float]] = {}
        self.ready = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._connecting = asyncio.Semaphore(CONNECTING_MAX)

    async def connect(self, port: int, views: list[str]) -> None:
        self._tasks = [asyncio.create_task(self._read(port, view)) for view in views]
        while self.ready < len(views):
            await asyncio.sleep(0.02)
            for task in self._tasks:
                if task.done():
                    task.result()

    async def _read(self, port: int, view: str) -> None:
        async with self._connecting:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_of("GET", f"/view/{view}/events?rows=1"))
            await reader.readuntil(b"event: up-to-date\n")
        self.ready += 1
        try:
            while True:
                event = await reader.readuntil(b"\n\n")
                if b"event: delta" in event:
                    seq = int(event.partition(b"id: ")[2].split(b"\n", 1)[0][-20:])
                    self.arrived.setdefault(seq, []).append(time.perf_counter())
        finally:
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def fan_out(name: str, views: list[str]) -> None:
    async with gateway() as (running, mesh):
        mesh.put({view: range(MEMBERS) for view in views})
        mesh.put({"warm": [1]})
        warm = Readers()
        await warm.connect(running.port, ["warm"])
        readers, before = Readers(), running.memory
        started = time.perf_counter()
        await readers.connect(running.port, views)
        connected = time.perf_counter() - started
        memory = (running.memory - before) / len(views) / 1024
        late: list[float] = []
        cpu = running.cpu
        for number in range(CHANGES):
            begun = time.perf_counter()
            mesh.put({view: [*range(MEMBERS - 1), MEMBERS + number] for view in set(views)})
            while len(readers.arrived.get(mesh.seq, ())) < len(views):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            late += [(at - begun) * 1000 for at in readers.arrived[mesh.seq]]
        figures = percentiles(late) | {"cpu_us": round((running.cpu - cpu) / len(late) * 1e6)}
        told = (running.memory - before) / len(views) / 1024
        report(
            name, readers=len(views), **figures, aim=FANOUT_AIM_MS, met=figures["p99_ms"] <= FANOUT_AIM_MS,
            connected_s=round(connected, 2),
        )  # fmt: skip
        report(
            name, readers=len(views), kib_per_connection=round(memory, 1), kib_after_changes=round(told, 1),
            aim=MEMORY_AIM_KIB, met=memory <= MEMORY_AIM_KIB,
        )  # fmt: skip
        await warm.close()
        await readers.close()


async def one_view() -> None:
    await fan_out("one_view", ["v"] * given.readers)


async def many_views() -> None:
    await fan_out("many_views", [f"v{number}" for number in range(given.readers)])


async def harm() -> None:
    async with gateway() as (running, mesh):
        mesh.put({"v": range(MEMBERS)})
        await load(running, ONE)  # warm
        alone = await load(running, ONE)
        report("harm", changes_per_second=0, **alone)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.gateway", "--read", str(running.port), "--readers", str(given.readers),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        await child.stdout.readline()
        for rate in (1, 10):
            telling = asyncio.create_task(_tell(mesh, 1 / rate))
            crowded = await load(running, ONE)
            telling.cancel()
            ratio = round(crowded["requests_per_second"] / alone["requests_per_second"], 2)
            report("harm", changes_per_second=rate, readers=given.readers, **crowded, ratio=ratio, aim=HARM_AIM,
                   met=ratio >= HARM_AIM)  # fmt: skip
        child.terminate()
        await child.wait()


async def read(port: int) -> None:
    """The child."""
    descriptors(4 * given.readers)
    readers = Readers()
    await readers.connect(port, ["v"] * given.readers)
    print("connected", flush=True)
    await asyncio.Event().wait()


async def _tell(mesh: Mesh, seconds: float) -> None:
    while True:
        mesh.put({"v": [*range(MEMBERS - 1), mesh.seq]})
        await asyncio.sleep(seconds)


FIGURES: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    figure.__name__: figure for figure in (requests, one_view, many_views, harm)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", default=",".join(FIGURES))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    parser.add_argument("--read", type=int, default=0, help=argparse.SUPPRESS)
    parser.parse_args(namespace=given)
    if given.serve:
        asyncio.run(serve(given.serve))
        return
    if given.read:
        asyncio.run(read(given.read))
        return
    descriptors(4 * given.readers)
    for name in given.figures.split(","):
        asyncio.run(FIGURES[name]())


if __name__ == "__main__":
    main()
