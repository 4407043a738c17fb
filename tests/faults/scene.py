"""A small mesh with fault proxies on its links, what a test writes to it, and what must be true once the fault is over.

    scheduler ←─ links[ssp] ── ssp ── stores[ssp] ─→ database

`settled()` is the verdict: every view equals the same query run fresh on SurrealDB (G1), so do its edges, every
acknowledged change is there as it was acknowledged last (G4), and no repetition of a change has moved it (G5). Views
over `item` come from SurrealDB; those over `sensor`, a table it does not have, from the mesh's own log alone.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId

from tests.faults.proxy import Proxy, pause
from tests.harness.eventually import eventually
from tests.harness.parts import Parts
from tests.harness.processes import SPKY
from tests.processes.workload import View, assert_all_equal, assert_edges_equal

BINS = 4
# Short leases: a death is noticed in 1.5 s.
LEASES = {
    "HEARTBEAT_INTERVAL_MS": "200",
    "SPKY_SCHEDULER_HEARTBEAT_INTERVAL_MS": "200",
    "SPKY_SCHEDULER_HEARTBEAT_TIMEOUT_MS": "1500",
    "SPKY_SCHEDULER_REBALANCE": "false",  # a view stays with the SSP that a test has chosen for its fault
}
VIEWS = [
    *(View(f"bin-{number}", "SELECT * FROM item WHERE bin = $bin", {"bin": number}) for number in range(BINS)),
    View("high", "SELECT id, n FROM item WHERE n >= 50"),
    View("top", "SELECT * FROM item ORDER BY n DESC, id LIMIT 5", ordered=True),
    View("groups", "SELECT bin, count() AS c FROM item GROUP BY bin"),
]
SENSORS = View("sensors", "SELECT * FROM sensor")


@dataclass(frozen=True)
class Posted:
    """What became of a change sent to /ingest: the status, 0 if no answer came, and the seq it was acknowledged at."""

    status: int
    seq: int = 0
    body: Any = None
    headers: Mapping[str, str] | None = None


class Scene:
    def __init__(self, parts: Parts, links: dict[str, Proxy], stores: dict[str, Proxy], seed: int) -> None:
        self.parts, self.links, self.stores = parts, links, stores
        self.ssps = tuple(links)
        self.database: Database
        self._random = random.Random(seed)
        self._next_item = self._next_sensor = 0
        self._items: list[int] = []
        self.acknowledged: dict[int, int] = {}  # sensor → its value as acknowledged last
        self.doubtful: set[int] = set()  # sensors that were sent and never answered for
        self.seqs: dict[int, int] = {}  # sensor → the seq its change was acknowledged at

    async def begin(self, views: Sequence[View] = VIEWS) -> None:
        self.database = await self.parts.database()
        await self.database.query("DEFINE TABLE item")
        self.views = list(views)
        for view in (*self.views, SENSORS):
            await self.parts.register(view.id, view.surql, view.params)
        await self.write(20)

    # --- what a test does --------------------------------------------------------------------------------------------

    async def write(self, count: int = 10) -> None:
        """One transaction of creates, updates and deletes."""
        statements, params = [], {}
        touched: set[int] = set()
        for index in range(count):
            roll = self._random.random()
            known = [item for item in self._items if item not in touched]
            if roll < 0.5 or not known:
                self._next_item += 1
                item = self._next_item
                self._items.append(item)
                statements.append(f"CREATE $id{index} CONTENT $row{index}")
            else:
                item = self._random.choice(known)
                if roll < 0.65:
                    self._items.remove(item)
                statements.append(f"DELETE $id{index}" if roll < 0.65 else f"UPDATE $id{index} CONTENT $row{index}")
            touched.add(item)
            params[f"id{index}"] = RecordId("item", item)
            params[f"row{index}"] = {"bin": self._random.randrange(BINS), "n": self._random.randrange(100)}
        text = "; ".join(f"{statement} RETURN NONE" for statement in statements)
        await self.database.query(f"BEGIN; {text}; COMMIT", params, conflict_retries=20)

    async def post(self, key: str, changes: list[dict[str, Any]]) -> Posted:
        """POST /ingest under an idempotency key."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self.parts.http.post(f"{self.parts.url}/ingest", json=changes, headers=headers) as response:
                body = await response.json()
                return Posted(response.status, body.get("seq", 0), body, dict(response.headers))
        except (aiohttp.ClientError, TimeoutError):
            return Posted(0)

    async def ingest(self, sensor: int = 0) -> tuple[int, Posted]:
        """A change of a sensor (a new one by default), remembered as acknowledged or in doubt."""
        if not sensor:
            self._next_sensor += 1
            sensor = self._next_sensor
        posted = await self.post(f"sensor-{sensor}", [sensor_change(sensor)])
        self.remember(sensor, posted)
        return sensor, posted

    async def ingest_many(self, count: int) -> Posted:
        """Changes of new sensors in one transaction."""
        first = self._next_sensor + 1
        self._next_sensor += count
        sensors = range(first, first + count)
        posted = await self.post("", [sensor_change(sensor) for sensor in sensors])
        for index, sensor in enumerate(sensors):
            if posted.status == 200:
                self.acknowledged[sensor] = sensor * 10
                self.seqs[sensor] = posted.seq - count + 1 + index
            else:
                self.doubtful.add(sensor)
        return posted

    def remember(self, sensor: int, posted: Posted) -> None:
        if posted.status == 200:
            assert self.seqs.setdefault(sensor, posted.seq) == posted.seq, "a retry was answered with another seq"
            self.acknowledged[sensor] = sensor * 10
            self.doubtful.discard(sensor)
        else:
            self.doubtful.add(sensor)

    async def retried(self, sensor: int) -> int:
        """Sent with the same key until it is acknowledged; its seq."""

        async def acknowledged() -> bool:
            return (await self.ingest(sensor))[1].status == 200

        await eventually(acknowledged, 20.0, what=f"sensor {sensor} to be taken", every_s=0.05)
        return self.seqs[sensor]

    async def owner_of(self, view: str) -> str:
        """The SSP that has the view, once there is one."""
        owners: dict[str, str] = {}

        async def owned() -> str:
            nonlocal owners
            owners = await self.parts.owners()
            return owners.get(view, "")

        return str(await eventually(owned, 10.0, what=f"view {view} to have an owner", every_s=0.02))

    async def incarnations(self) -> dict[str, int]:
        """Of every SSP that the scheduler knows, once it knows any."""
        known = await eventually(self.parts.ssps, 10.0, what="the scheduler to know SSPs", every_s=0.02)
        return {name: int(ssp["incarnation"]) for name, ssp in known.items()}

    async def restart_scheduler(self, **settings: str) -> None:
        """Killed and started again, with other settings than before if any are given."""
        await self.parts.kill("scheduler")
        self.parts.add_scheduler(**settings)
        await self.parts.start("scheduler")

    async def paused_for(self, seconds: float) -> None:
        """Let a pause be as long as the fault says: the one place where time itself is the fault."""
        await pause(seconds)

    async def heal(self) -> None:
        """The network is as it should be, nothing is armed, and every process of the scene runs."""
        for part in self.parts.parts.values():
            self.parts.arm(part.name, "")
        for name in ("scheduler", *self.ssps):
            if not self.parts.parts[name].alive:
                await self.parts.start(name)
        for proxy in (*self.links.values(), *self.stores.values()):
            proxy.delay(0)
            proxy.release()
            await proxy.allow()

    async def all_ready(self) -> None:
        await self.parts.all_ready(*self.ssps)

    # --- what must be true -------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """G1, G4, G5: see the module's text."""
        held = await assert_all_equal(self.parts, self.views)
        await assert_edges_equal(self.parts, self.database, held)
        sensors = await self.parts.consistent(SENSORS.id)
        rows = {int(row["id"].partition(":")[2]): row["value"] for row in sensors["rows"]}
        assert len(rows) == len(sensors["rows"])
        for sensor, value in self.acknowledged.items():
            assert rows.get(sensor) == value, f"sensor:{sensor} was acknowledged as {value}, is {rows.get(sensor)}"
        unknown = rows.keys() - self.acknowledged.keys() - self.doubtful
        assert not unknown, f"sensors {unknown} were never sent"
        versions = {int(member["id"].partition(":")[2]): member["version"] for member in sensors["members"]}
        for sensor, seq in self.seqs.items():
            assert versions[sensor] == seq, f"sensor:{sensor} was applied at {versions[sensor]} and at {seq}"


def sensor_change(sensor: int) -> dict[str, Any]:
    return {"table": "sensor", "op": "CREATE", "id": f"sensor:{sensor}", "record": {"value": sensor * 10}}


@contextlib.asynccontextmanager
async def running_scene(
    folder: Path,
    db_ws: str,
    settings: Mapping[str, str] | None = None,
    *,
    ssps: Sequence[str] = ("one", "two"),
    views: Sequence[View] = VIEWS,
    seed: int = 1,
    program: str = SPKY,
) -> AsyncIterator[Scene]:
    parts = Parts(folder, db_ws, {**LEASES, **(settings or {})}, program)
    db_address = parts.db_ws.removeprefix("ws://").removesuffix("/rpc")
    links = {name: Proxy(parts.grpc) for name in ssps}
    stores = {name: Proxy(db_address) for name in ssps}
    scene = Scene(parts, links, stores, seed)
    try:
        if not db_ws:
            parts.add_database()
            await parts.start("db")
        parts.add_scheduler()
        for name in ssps:
            await links[name].start()
            await stores[name].start()
            places = {"SPKY_SCHEDULER_URL": f"grpc://{links[name].address}", "SPKY_DB_WS": stores[name].address}
            parts.add_ssp(name, **places)
        await parts.start("scheduler", *ssps)
        await scene.all_ready()
        await scene.begin(views)
        yield scene
    finally:
        await parts.close()
        for proxy in (*links.values(), *stores.values()):
            await proxy.close()
