"""A small SSP that speaks HTTP only, as the documents describe one: it registers, loads by `/proxy/query`, takes
`/ingest`, keeps views as plain filters, and says by `/health` and heartbeats how it is.

It applies a change once, by its `seq`, and keeps every `seq` that it was sent. `answers` gives a path another status;
`held` makes a path wait. It knows nothing of the mesh's own code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from blake3 import blake3

_FILTER = re.compile(r"SELECT \* FROM (\w+)(?: WHERE (\w+) = \$(\w+))?$")
PAGE_ROWS = 50


class HttpSsp:
    def __init__(self, ssp_id: str, scheduler_url: str, secret: str = "") -> None:
        self.id, self.url = ssp_id, ""
        self.status = "bootstrapping"
        self.rows: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.seqs: list[int] = []  # of every change that was sent, in order
        self.taken: list[int] = []  # of those that were new when they came
        self.asked: list[tuple[str, Any]] = []  # every POST, in order
        self.bearers: set[str] = set()
        self.answers: dict[str, int] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.losing: dict[str, int] = {}  # path → how many requests are carried out, and not answered
        self.polls = 0
        self.registrations = 0
        self.registered: dict[str, Any] = {}
        self.loaded_at: set[str] = set()  # revisions at which it was answered
        self.beats: list[int] = []  # statuses
        self.applied = 0
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._http = aiohttp.ClientSession(scheduler_url, headers=headers)
        self._ended = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/info", self._info)
        app.router.add_get("/debug/state", self._debug)
        for path in ("/ingest", "/view/register", "/view/unregister"):
            app.router.add_post(path, self._posted)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        self._ended.set()
        for event in self.held.values():
            event.set()
        if self._beating is not None:
            await self._beating
        if self._runner is not None:
            await self._runner.cleanup()
        await self._http.close()

    async def join(self, **stated: Any) -> dict[str, Any]:
        """Register, load, be ready."""
        await self.register(**stated)
        await self.load()
        return self.registered

    async def register(self, **stated: Any) -> None:
        self.status = "bootstrapping"
        self.registrations += 1
        self.rows, self.views, self.seqs, self.taken, self.applied = {}, {}, [], [], 0
        body = {"ssp_id": self.id, "url": self.url, "version": "test", **stated}
        async with self._http.post("/ssp/register", json=body) as response:
            self.registered = await response.json()
            assert response.status == 202, self.registered
        self.applied = self.registered["snapshot_seq"]

    async def load(self) -> None:
        for table in (await self.query("INFO FOR DB"))["tables"]:
            self.rows[table] = {}
            await self._load_table(table)
        for table, expected in self.registered["table_hashes"].items():
            assert self.table_hash(table) == expected, f"table {table} differs from the snapshot's hash"
        self.status = "ready"

    async def _load_table(self, table: str) -> None:
        after = ""
        while True:
            where = f" WHERE id > {after}" if after else ""
            rows = await self.query(f"SELECT * FROM {table}{where} ORDER BY id LIMIT {PAGE_ROWS}")
            self.rows[table] |= {row["id"]: row for row in rows}
            if len(rows) < PAGE_ROWS:
                return
            after = rows[-1]["id"]

    async def query(self, text: str) -> Any:
        async with self._http.post("/proxy/query", json={"query": text}) as response:
            answer = await response.json()
            assert response.status == 200, answer
            self.loaded_at.add(response.headers["Spky-Revision"])
            return answer

    async def beat(self) -> int:
        body = {"ssp_id": self.id, "timestamp": 0, "views": len(self.views), "cpu_usage": 0.25, "memory_usage": None}
        async with self._http.post("/ssp/heartbeat", json=body) as response:
            self.beats.append(response.status)
            return response.status

    def keep_going(self, every_s: float) -> None:
        """It registers, as every process does when it begins; then heartbeats, and all anew when it is told to."""

        async def go() -> None:
            while not self._ended.is_set():
                with contextlib.suppress(aiohttp.ClientError, AssertionError):  # tried again
                    if not self.registered or await self.beat() in {404, 409}:
                        await self.join()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), every_s)

        self._beating = asyncio.create_task(go())

    # --- what it is asked --------------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        self.polls += 1
        await self._hold("/health")
        status = self.answers.get("/health", 200 if self.status in {"ready", "ok"} else 503)
        return web.json_response({"status": self.status}, status=status)

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response([{"entity": "ssp", "id": self.id, "status": self.status}])

    async def _debug(self, request: web.Request) -> web.Response:
        members = {view: self.members(view) for view in self.views}
        shown = {"status": self.status, "rows": self.rows, "members": members, "seqs": self.seqs, "beats": self.beats}
        return web.json_response({**shown, "snapshot_seq": self.registered.get("snapshot_seq", 0)})

    async def _posted(self, request: web.Request) -> web.Response:
        if self.status not in {"ready", "ok"}:
            return web.json_response({"code": "SSP_NOT_READY"}, status=503)
        body = await request.json()
        self.asked.append((request.path, body))
        self.bearers.add(request.headers.get("Authorization", ""))
        registration = self.registrations
        await self._hold(request.path)
        status = self.answers.get(request.path, 200)
        if registration != self.registrations:
            status = 503  # it was begun for what this SSP has dropped since; its sender is gone
        if status == 200:
            {"/ingest": self._ingest, "/view/register": self._register, "/view/unregister": self._unregister}[
                request.path
            ](body)
        if self.losing.get(request.path, 0) > 0 and request.transport is not None:
            self.losing[request.path] -= 1
            request.transport.abort()
        return web.Response(status=status, headers={"Location": "/ingest"} if status // 100 == 3 else {})

    async def _hold(self, path: str) -> None:
        if path in self.held:
            await self.held[path].wait()

    def _ingest(self, body: dict[str, Any]) -> None:
        self.seqs.append(body["seq"])
        if body["seq"] <= self.applied:
            return
        self.applied = body["seq"]
        self.taken.append(body["seq"])
        table = self.rows.setdefault(body["table"], {})
        if body["op"] == "DELETE":
            table.pop(body["id"], None)
        else:
            table[body["id"]] = body["record"]

    def _register(self, body: dict[str, Any]) -> None:
        self.views[body["id"]] = body

    def _unregister(self, body: dict[str, Any]) -> None:
        self.views.pop(body["id"], None)

    # --- what it holds -----------------------------------------------------------------------------------------------

    def members(self, view_id: str) -> list[str]:
        view = self.views.get(view_id)
        found = _FILTER.match(view["surql"]) if view is not None else None
        if view is None or found is None:
            return []
        table, field, param = found.groups()
        rows = self.rows.get(table, {}).items()
        return sorted(id for id, row in rows if field is None or row.get(field) == view["params"][param])

    def table_hash(self, table: str) -> str:
        hasher = blake3()
        keyed = {id.partition(":")[2].encode(): row for id, row in self.rows[table].items()}
        for key in sorted(keyed):
            row = json.dumps(keyed[key], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            hasher.update(key + b"\0" + row.encode() + b"\0")
        return f"b3:{hasher.hexdigest()}"


@contextlib.asynccontextmanager
async def http_ssp(ssp_id: str, scheduler_url: str, secret: str = "") -> AsyncIterator[HttpSsp]:
    """One that listens, and has not registered."""
    ssp = HttpSsp(ssp_id, scheduler_url, secret)
    await ssp.start()
    try:
        yield ssp
    finally:
        await ssp.stop()
