"""Two signed-in users, each a client of SurrealDB by WebSocket, and a mesh that keeps their views.

A seed makes the history: transactions on notes, notes that change owner, changes of the table's PERMISSIONS, views
registered and unregistered. Beside it each client looks without pause: LIVE on its own edges, SELECT on every table of
edges and on the views' rows. What it must never see, whatever the rules were at the time: an edge of the other's view,
and anything of a note that is private to the other. At rest its edges are exactly what fresh queries of its own answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from sp00ky.proto.database import Database, QueryError
from sp00ky.proto.edge_tables import SHARED
from sp00ky.proto.v1 import common_pb2, views_pb2
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import display
from sp00ky.proto.viewer import pack_viewer, viewer_of

from tests.harness.edges import stored_edges, table_of
from tests.harness.eventually import eventually
from tests.harness.small_mesh import SmallMesh, small_mesh
from tests.harness.users import ACCESS, DEFINE_ACCESS, claims_of, token_of

NAMES = ("ann", "bob")
RULES = (
    "owner = $auth",
    "owner = $auth OR $auth IN readers",
    "owner = $auth OR (!private AND n > 10)",
    "owner = $auth OR (!private AND owner.open)",
    "owner = $auth AND n < 25",
    "$auth != NONE AND !private",
)
SCHEMA = f"""
{DEFINE_ACCESS};
DEFINE TABLE user SCHEMALESS PERMISSIONS FOR select FULL;
DEFINE TABLE note SCHEMALESS PERMISSIONS FOR select WHERE {RULES[0]};
CREATE user:ann SET open = true; CREATE user:bob SET open = false;
"""
VIEWS = {
    "all": "SELECT * FROM note",
    "mine": "SELECT * FROM note WHERE owner = $auth",
    "first": "SELECT id, n FROM note ORDER BY n, id LIMIT 5",
    "high": "SELECT id, n FROM note WHERE n > 15",
    "linked": "SELECT id, owner.open AS open FROM note WHERE n < 10",
}
KINDS = ("private", "open", "wandering")
SETTLE_SECONDS = 20.0


@dataclass
class Client:
    """One signed-in user, and what he was told."""

    name: str
    database: Database
    told: list[Mapping[str, Value]] = field(default_factory=list)
    views: set[str] = field(default_factory=set)  # registered now
    follows: bool = False
    looks: int = 0
    heard: int = 0  # notifications

    @property
    def id(self) -> str:
        return f"user:{self.name}"

    @property
    def other(self) -> str:
        return next(name for name in NAMES if name != self.name)

    def assert_his(self, seen: str) -> None:
        """Nothing private to the other is in what the client was shown."""
        assert f"{self.other}-private" not in seen and f"private to {self.other}" not in seen, f"{self.name} saw {seen}"

    async def look(self, tables: list[str]) -> None:
        """One poll of everything a client may ask for."""
        for table in tables:
            try:
                (rows,) = await self.database.query("SELECT * FROM type::table($table)", {"table": table})
            except QueryError as error:
                assert "does not exist" in error.message, error  # the other's, or his own before his first view
                continue
            for row in rows:
                assert row["in"].key[1] == RecordId("user", self.name), f"{self.name} saw the edge {row}"
                assert row["auth"] == RecordId("user", self.name), f"{self.name} saw the edge {row}"
            self.assert_his(str(rows))
        mine, states, notes = await self.database.query("SELECT * FROM _00_query; SELECT * FROM _00_view;"
                                                        "SELECT * FROM note")  # fmt: skip
        assert all(row["id"].key[1] == RecordId("user", self.name) for row in (*mine, *states)), (mine, states)
        self.assert_his(str(notes))
        for message in self.told:
            self.assert_his(str(message))
            assert f"user:{self.other}]" not in str(message) and f"key='{self.other}')]" not in str(message), message
        self.heard += len(self.told)
        self.told.clear()
        self.looks += 1

    async def follow(self, table: str) -> None:
        """LIVE on his own edges, once the table is there."""
        if not self.follows:
            await self.database.query(f"LIVE SELECT * FROM {table}")
            self.follows = True


class Play:
    """One history. `run` raises AssertionError where somebody saw, or sees at rest, what he should not."""

    def __init__(self, database: Database, mesh: SmallMesh, clients: list[Client], seed: int, *,
                 dedicated: bool) -> None:  # fmt: skip
        self._database, self._mesh, self.clients = database, mesh, clients
        self._random = random.Random(seed)
        self._dedicated = dedicated
        self._tables = [SHARED, *(table_of(client.id) for client in clients)]
        self._keys: list[str] = []
        self.settled = 0

    async def run(self, steps: int, settle_every: int) -> None:
        done = asyncio.Event()
        watching = [asyncio.create_task(self._watch(client, done)) for client in self.clients]
        try:
            for step in range(1, steps + 1):
                await self._step()
                if step % settle_every == 0 or step == steps:
                    await self.settle()
                if any(task.done() for task in watching):
                    break
        finally:
            done.set()
            await asyncio.gather(*watching)
        assert all(client.looks > 0 for client in self.clients)

    async def _watch(self, client: Client, done: asyncio.Event) -> None:
        while not done.is_set():
            await client.look(self._tables)

    # --- the history ---

    async def _step(self) -> None:
        roll = self._random.random()
        if roll < 0.70:
            texts = [self._statement() for _ in range(self._random.randint(1, 4))]
            await self._database.query(f"BEGIN; {'; '.join(texts)}; COMMIT", conflict_retries=20)
        elif roll < 0.80:
            rule = self._random.choice(RULES)
            await self._database.query(f"DEFINE TABLE OVERWRITE note SCHEMALESS PERMISSIONS FOR select WHERE {rule}")
        else:
            await self._turn(self._random.choice(self.clients), self._random.choice(list(VIEWS)))

    def _statement(self) -> str:
        pick = self._random.choice
        if len(self._keys) < 6 or self._random.random() < 0.3:
            owner, kind = pick(NAMES), pick(KINDS)
            self._keys.append(f"{owner}-{kind}-{len(self._keys)}")
            text = f"private to {owner}" if kind == "private" else "for all"
            readers = pick(("[]", "[user:ann, user:bob]")) if kind == "open" else "[]"
            return (
                f"UPSERT note:`{self._keys[-1]}` CONTENT {{ owner: user:{owner}, n: {self._random.randrange(30)}, "
                f"private: {'true' if kind == 'private' else 'false'}, text: '{text}', readers: {readers} }}"
            )
        key = pick(self._keys)
        changes = [f"UPDATE note:`{key}` SET n = {self._random.randrange(30)}", f"DELETE note:`{key}`"]
        if "wandering" in key:
            changes += [f"UPDATE note:`{key}` SET owner = user:{pick(NAMES)}"] * 2
        changes.append(f"UPDATE user:{pick(NAMES)} SET open = {pick(('true', 'false'))}")
        return pick(changes)

    async def _turn(self, client: Client, view: str) -> None:
        """Register the view, or unregister it."""
        key = common_pb2.ViewKey(id=view, auth_id=client.id)
        if view in client.views:
            client.views.remove(view)
            await self._mesh.scheduler.views.UnregisterView(views_pb2.UnregisterViewRequest(key=key))
            return
        client.views.add(view)
        viewer = viewer_of({"id": client.id, "access": ACCESS})
        spec = common_pb2.ViewSpec(key=key, surql=VIEWS[view], auth=pack_viewer(viewer))
        await self._mesh.scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))

    # --- at rest ---

    async def settle(self) -> None:
        """Both see what fresh queries answer, and follow it."""
        for client in self.clients:
            wrong: object = None

            async def equal(client: Client = client) -> bool:
                nonlocal wrong
                wrong = await self._difference(client)
                return not wrong

            try:
                await eventually(equal, SETTLE_SECONDS, what=f"the edges of {client.name}", every_s=0.05)
            except AssertionError as error:
                raise AssertionError(f"{error}: {wrong}") from error
        self.settled += 1

    async def _difference(self, client: Client) -> object:
        """What the client's edges have or lack against fresh queries of its own."""
        fresh = {
            (view, display(row["id"])) for view in client.views for row in (await client.database.query(VIEWS[view]))[0]
        }
        table = table_of(client.id, dedicated=self._dedicated)
        try:
            edges = await stored_edges(client.database, [table])
        except QueryError as error:
            assert "does not exist" in error.message, error
            return fresh
        await client.follow(table)
        return fresh ^ {(edge.view, edge.member) for edge in edges}


async def play(database: Database, own: Database, url: str, *, seed: int, steps: int, dedicated: bool,
               settle_every: int = 40) -> dict[str, int]:  # fmt: skip
    """A whole history over an empty database that is served at `url`; what it came to."""
    await database.query(SCHEMA)
    place = database.namespace, database.database
    clients: list[Client] = []
    mode = "dedicated" if dedicated else "single"
    async with small_mesh(database, own, ref_mode=mode, query_update_throttle_ms=10) as mesh:
        try:
            for name in NAMES:
                told: list[Mapping[str, Value]] = []
                client = Database(url, user="root", password="root", namespace=place[0], database=place[1],
                                  on_notification=told.append)  # fmt: skip
                clients.append(Client(name, client, told))
                await client.connect()
                await client.rpc("authenticate", [token_of(claims_of(RecordId("user", name), *place))])
            history = Play(database, mesh, clients, seed, dedicated=dedicated)
            await history.run(steps, settle_every)
        finally:
            for each in clients:
                await each.database.close()
    looks, heard = (sum(counted) for counted in zip(*((each.looks, each.heard) for each in clients), strict=True))
    return {"seed": seed, "steps": steps, "looks": looks, "heard": heard, "settled": history.settled}
