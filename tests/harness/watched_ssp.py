"""A mesh of one process whose views are what a test puts into them: it locates, shows and reads them, over real gRPC.

`put` is a transaction: every view named has new members from then on, each with a row `{"n": …}`; all who watch are
shown it at once, and told of the progress. `at(seq)` is what the views were, so that a reading can be checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from sp00ky.proto.channel import Server
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.folding import Member, Result, diff
from sp00ky.proto.revision import parse_revision
from sp00ky.proto.v1 import common_pb2, views_pb2, views_pb2_grpc
from sp00ky.proto.values.pack import pack

from tests.harness.fake_mesh import token

Key = tuple[str, str]


class WatchedSsp:
    def __init__(self, secret: str = "") -> None:
        self.seq = 1
        self.history: dict[Key, list[tuple[int, Result]]] = {}
        self.states: dict[Key, tuple[int, str]] = {}
        self.padding = 0  # characters in each row
        self.reads = 0
        self.located = 0
        self.opened: list[views_pb2.WatchOpened] = []
        self.refusal: Fault | None = None  # what LocateView raises
        self.floor = 0  # readings before it are gone
        self.withheld: set[Key] = set()  # pending: nothing is shown of them
        self.address = ""
        self._streams: dict[asyncio.Queue[Any], dict[int, tuple[Key, bool, Result]]] = {}
        self._secret = secret
        self._server: Server | None = None

    async def start(self, listen: str = "127.0.0.1:0") -> str:
        self._server = Server(listen, self._secret)
        self._server.add(views_pb2_grpc.add_ViewServiceServicer_to_server, _servicer(self), "sp00ky.v1.ViewService")
        self.address = await self._server.start()
        return self.address

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
        self._server = None
        self._streams.clear()

    async def restart(self) -> None:
        """Every stream breaks, and it is there again at the same address."""
        await self.stop()
        await self.start(self.address)

    @property
    def watches(self) -> int:
        return sum(map(len, self._streams.values()))

    # --- what the views are ---

    def put(self, views: dict[str | Key, Sequence[int]]) -> str:
        """One transaction; its token."""
        self.seq += 1
        for name, numbers in views.items():
            key = (name, "") if isinstance(name, str) else name
            before = {member.id: member for member in self.at(key, self.seq).members}
            members = [before.get(f"r:{each}") or Member(f"r:{each}", self.seq) for each in numbers]
            result = Result(members, [orjson.dumps(self._row(each)).decode() for each in numbers])
            self.history.setdefault(key, []).append((self.seq, result))
        self.show()
        return token(self.seq)

    def _row(self, number: int) -> dict[str, Any]:
        return {"n": number, "padding": "x" * self.padding} if self.padding else {"n": number}

    def at(self, key: Key, seq: int) -> Result:
        return next((result for since, result in reversed(self.history.get(key, [])) if since <= seq), Result())

    def drop(self, name: str) -> None:
        del self.history[name, ""]
        for queue, watches in self._streams.items():
            for watch_id, (key, _, _) in list(watches.items()):
                if key == (name, ""):
                    del watches[watch_id]
                    queue.put_nowait(views_pb2.WatchViewsResponse(ended=views_pb2.WatchEnded(watch_id=watch_id)))

    def show(self) -> None:
        for queue, watches in self._streams.items():
            for watch_id, (key, rows, shown) in list(watches.items()):
                self._show(queue, watch_id, key, rows, shown)
            self._progress(queue)

    def _show(self, queue: asyncio.Queue[Any], watch_id: int, key: Key, rows: bool, shown: Result | None) -> None:
        if key in self.withheld:
            return
        new, state = self.at(key, self.seq), self._state(key, self.seq)
        self._streams[queue][watch_id] = key, rows, new
        if shown is None:
            message = views_pb2.ResultShown(watch_id=watch_id, state=state, rows_json=new.rows if rows else [])
            message.members.extend(views_pb2.Member(**each._asdict()) for each in new.members)
            queue.put_nowait(views_pb2.WatchViewsResponse(shown=message))
        elif change := diff(shown, new):
            changed = views_pb2.ResultChanged(watch_id=watch_id, state=state, from_revision=token(self.seq - 1))
            changed.removed.extend(views_pb2.Member(**each._asdict()) for each in change.removed)
            for field, placed in ((changed.added, change.added), (changed.updated, change.updated)):
                for at, member in placed:
                    field.add(at=at, member=views_pb2.Member(**member._asdict()))
            for at, removed, inserted in change.rows if rows else ():
                changed.rows.add(at=at, removed=removed, rows_json=inserted)
            queue.put_nowait(views_pb2.WatchViewsResponse(changed=changed))

    def _state(self, key: Key, seq: int) -> views_pb2.ResultState:
        state, error = self.states.get(key, (views_pb2.VIEW_STATE_LIVE, ""))
        hashed = ",".join(f"{each.id}@{each.version}" for each in self.at(key, seq).members)
        mode = views_pb2.VIEW_MODE_INCREMENTAL
        return views_pb2.ResultState(revision=token(seq), hash=hashed, state=state, mode=mode, error=error)

    def _progress(self, queue: asyncio.Queue[Any]) -> None:
        progress = views_pb2.WatchProgress(revision=token(self.seq))
        queue.put_nowait(views_pb2.WatchViewsResponse(progress=progress))

    # --- what is asked ---

    def locate(self, request: views_pb2.LocateViewRequest) -> views_pb2.LocateViewResponse:
        self.located += 1
        if self.refusal is not None:
            raise self.refusal
        self._require(request.key)
        return views_pb2.LocateViewResponse(ssp_id="ssp-1", grpc_address=self.address)

    def read(self, request: views_pb2.GetViewRequest) -> views_pb2.GetViewResponse:
        self.reads += 1
        key = self._require(request.key)
        seq = parse_revision(request.revision).seq if request.revision else self.seq
        if seq < self.floor:
            raise Fault(Code.REVISION_GONE, "revision is no longer retained")
        result = self.at(key, seq)
        shown = self._state(key, seq)
        response = views_pb2.GetViewResponse(
            key=request.key, revision=token(seq), hash=shown.hash, state=shown.state, mode=shown.mode
        )
        response.members.extend(views_pb2.Member(**each._asdict()) for each in result.members)
        if request.rows:
            response.rows = pack([self._row(int(each.id[2:])) for each in result.members])
        return response

    def _require(self, key: common_pb2.ViewKey) -> Key:
        if (key.id, key.auth_id) not in self.history:
            raise Fault(Code.NOT_FOUND, f'view "{key.id}" is not registered')
        return key.id, key.auth_id

    async def watch(self, requests: AsyncIterator[Any]) -> AsyncIterator[views_pb2.WatchViewsResponse]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._streams[queue] = {}
        obeying = asyncio.create_task(self._obey(queue, requests))
        try:
            while True:
                yield await queue.get()
        finally:
            obeying.cancel()
            self._streams.pop(queue, None)

    async def _obey(self, queue: asyncio.Queue[Any], requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            if request.WhichOneof("frame") == "closed":
                self._streams[queue].pop(request.closed.watch_id, None)
                continue
            opened = request.opened
            self.opened.append(opened)
            key = opened.key.id, opened.key.auth_id
            if key not in self.history:
                ended = views_pb2.WatchEnded(watch_id=opened.watch_id)
                queue.put_nowait(views_pb2.WatchViewsResponse(ended=ended))
                continue
            self._show(queue, opened.watch_id, key, opened.rows, None)
            self._progress(queue)


def _servicer(ssp: WatchedSsp) -> object:
    class Views(views_pb2_grpc.ViewServiceServicer):
        async def LocateView(self, request: Any, context: Any) -> Any:
            return ssp.locate(request)

        async def GetView(self, request: Any, context: Any) -> Any:
            return ssp.read(request)

        async def WatchViews(self, requests: Any, context: Any) -> Any:
            async for message in ssp.watch(requests):
                yield message

    return Views()
