"""Two users and a mesh of real processes: what one may not read is never in the other's views or edges.

Rows move in and out of sight by writes, links, edges and changes of the table's permissions, and an SSP is killed in
the middle. Whatever else may be seen for a moment, of each user's *private* records, and of the field `secret`, no rule
of this test shows anything to the other; readers outside the mesh look for them all the time. At rest each view is what
SurrealDB answers to a fresh query of its user, and so are its edges.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from sp00ky.proto.database import Database
from sp00ky.proto.edge_tables import SHARED
from sp00ky.proto.values.kinds import RecordId

from tests.harness.edges import edge_tables, edges_of, stored_edges, table_of
from tests.harness.eventually import eventually
from tests.harness.mesh import Mesh, running_mesh
from tests.harness.users import ACCESS, DEFINE_ACCESS, claims_of, token_of

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PLACE = ("sp00ky", "sp00ky")
RULES = (
    "owner = $auth OR $auth IN readers",
    "owner = $auth OR (!private AND owner.open)",
    "owner = $auth OR (!private AND owner.team = $auth.team AND n > 10)",
    "owner = $auth OR (!private AND $auth->shares->note CONTAINS id)",
    "owner = $auth OR (!private AND $token.role = 'editor')",
    "owner = $auth OR (!private AND id IN (SELECT VALUE out FROM shares))",
    "owner = $auth AND !private",
)
SCHEMA = f"""
{DEFINE_ACCESS};
DEFINE TABLE user SCHEMALESS PERMISSIONS FOR select WHERE id = $auth OR open;
DEFINE TABLE note SCHEMALESS PERMISSIONS FOR select WHERE {RULES[0]};
DEFINE FIELD secret ON note PERMISSIONS FOR select WHERE owner = $auth;
DEFINE TABLE shares TYPE RELATION SCHEMALESS PERMISSIONS FOR select WHERE in = $auth;
CREATE user:ann SET name = 'Ann', team = 1, open = true; CREATE user:bob SET name = 'Bob', team = 2, open = false;
"""
VIEWS = {
    "all": "SELECT * FROM note",
    "mine": "SELECT id, n, secret FROM note WHERE owner = $auth ORDER BY n, id LIMIT 6",
    "owners": "SELECT id, n, owner.name AS by, owner.team AS team FROM note WHERE n > 10",
    "below": "SELECT *, (SELECT id, n, secret FROM note WHERE owner = $parent.id) AS notes FROM user",
    "given": "SELECT id, ->shares->note AS given, ->shares->note.secret AS secrets FROM user",
    "fetched": "SELECT * FROM note WHERE about != NONE FETCH about",
    "linked": "SELECT id, about.secret AS secret FROM note WHERE about.n > 10",
    "counted": "SELECT owner, count() AS c, math::sum(n) AS s FROM note GROUP BY owner",
}
WRITES_A_ROUND = 25


@dataclass(frozen=True)
class User:
    name: str
    other: str
    claims: dict[str, Any] = field(hash=False)

    @property
    def id(self) -> str:
        return f"user:{self.name}"

    @property
    def auth(self) -> dict[str, Any]:
        return {"id": self.id, "access": ACCESS, "claims": self.claims}

    @property
    def token(self) -> str:
        return token_of(self.claims)

    def assert_blind(self, members: list[str], seen: str) -> None:
        """Nothing of the other's that is never his to see, but for its name in a link of a record that he may."""
        assert not [member for member in members if f"{self.other}-private" in member], (self.name, members)
        for word in (f"private to {self.other}", f"secret of {self.other}"):
            assert word not in seen, f"{self.name} was shown {word}: …{seen[max(seen.find(word) - 300, 0) :][:600]}"


USERS = [
    User(name, other, claims_of(RecordId("user", name), *PLACE, role=role))
    for name, other, role in (("ann", "bob", "editor"), ("bob", "ann", "guest"))
]


class Scene:
    """The mesh, root's connection, and one of each user."""

    def __init__(self, mesh: Mesh, database: Database, connections: dict[User, Database]) -> None:
        self.mesh = mesh
        self.database = database
        self.connections = connections
        self.looks = 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with running_mesh(tmp_path_factory.mktemp("users"), ssps=2) as mesh:
        database = await mesh.database()
        await database.query(SCHEMA)
        connections = {user: await mesh.database() for user in USERS}
        for user, connection in connections.items():
            await connection.rpc("authenticate", [user.token])
        yield Scene(mesh, database, connections)


class Notes:
    """Writes as a service makes them: each record's key says whose it is, and whether it is private for ever."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._random = random.Random(seed)
        self._keys: list[str] = []

    async def write(self, statements: int) -> None:
        while statements > 0:
            size = self._random.randint(1, 5)
            statements -= size
            texts = [self._statement() for _ in range(size)]
            await self._database.query("BEGIN; " + "; ".join(texts) + "; COMMIT;", conflict_retries=20)

    def _statement(self) -> str:
        pick = self._random.choice
        makers = (self._create, self._create, self._change, self._change, self._share, self._user, self._remove)
        return pick(makers)() if len(self._keys) > 6 else self._create()

    def _create(self) -> str:
        owner, kind = self._random.choice(("ann", "bob")), self._random.choice(("private", "open", "wandering"))
        key = f"{owner}-{kind}-{len(self._keys)}"
        self._keys.append(key)
        readers = "[user:ann, user:bob]" if kind == "open" and self._random.random() < 0.3 else "[]"
        secret = "" if kind == "wandering" else f"secret: 'secret of {owner}', "
        private = f"private: true, text: 'private to {owner}'" if kind == "private" else "private: false"
        content = f"owner: user:{owner}, {private}, {secret}readers: {readers}"
        return f"UPSERT note:`{key}` CONTENT {{ {content}, n: {self._random.randrange(30)}, about: {self._any()} }}"

    def _change(self) -> str:
        key = self._random.choice(self._keys)
        changes = [f"n = {self._random.randrange(30)}", f"about = {self._any()}"]
        if "wandering" in key:
            changes.append(f"owner = user:{self._random.choice(('ann', 'bob'))}")
        if "private" not in key:
            changes.append(f"readers = [user:{self._random.choice(('ann', 'bob'))}]")
        return f"UPDATE note:`{key}` SET {self._random.choice(changes)}"

    def _share(self) -> str:
        who = f"user:{self._random.choice(('ann', 'bob'))}"
        return self._random.choice((f"RELATE {who}->shares->{self._any()}", f"DELETE shares WHERE in = {who}"))

    def _user(self) -> str:
        changes = f"open = {self._random.choice(('true', 'false'))}, team = {self._random.choice((1, 2))}"
        return f"UPDATE user:{self._random.choice(('ann', 'bob'))} SET {changes}"

    def _remove(self) -> str:
        return f"DELETE {self._any()}"

    def _any(self) -> str:
        return f"note:`{self._random.choice(self._keys)}`"


# --- looking from outside -------------------------------------------------------------------------------------------


async def watch(scene: Scene, done: asyncio.Event) -> None:
    """Look at every view and all edges of both users, until `done`; AssertionError when one sees what he never may."""
    while not done.is_set():
        for user, connection in scene.connections.items():
            edges = await stored_edges(connection, [SHARED, *(table_of(each.id) for each in USERS)])
            assert all((edge.user, edge.table) == (user.id, table_of(user.id)) for edge in edges), edges
            user.assert_blind([edge.member for edge in edges], "")
            for view in VIEWS:
                try:
                    status, body = await scene.mesh.view(view, rows="1", auth=user.id)
                except (aiohttp.ClientError, TimeoutError):
                    continue  # its SSP was killed
                if status == 200:
                    user.assert_blind([member["id"] for member in body["members"]], json.dumps(body))
                    scene.looks += 1


async def has_table(database: Database, user: User) -> bool:
    return table_of(user.id) in await edge_tables(database)


async def fresh(scene: Scene, user: User) -> dict[str, Any]:
    """Each query as SurrealDB answers it to the user now."""
    answers = await scene.mesh.sql(";\n".join(VIEWS.values()), user.token)
    return dict(zip(VIEWS, answers, strict=True))


async def held(scene: Scene, user: User) -> dict[str, Any]:
    answers = await asyncio.gather(*(scene.mesh.consistent(view, auth=user.id) for view in VIEWS))
    return dict(zip(VIEWS, answers, strict=True))


async def assert_settled(scene: Scene, *, redefined: bool) -> None:
    """Every view is its user's fresh query; at once after writes, soon after a change of permissions, of which the mesh
    learns by asking."""
    for user in USERS:
        truth = await fresh(scene, user)

        async def equal(user: User = user, truth: dict[str, Any] = truth) -> bool:
            rows = {view: answer["rows"] for view, answer in (await held(scene, user)).items()}
            return rows == truth

        if redefined:
            await eventually(equal, 15.0, what=f"the views of {user.name} to follow the rule", every_s=0.1)
        views = await held(scene, user)
        for view, answer in views.items():
            assert answer["rows"] == truth[view], f"{view} of {user.name}: {answer['rows']}\nfresh: {truth[view]}"
        await assert_edges(scene, user, views)


async def assert_edges(scene: Scene, user: User, views: dict[str, Any]) -> None:
    """As the user finds them in SurrealDB, they are the members of his views."""
    expected = {(view, member["id"], member["version"]) for view in views for member in views[view]["members"]}
    found: set[tuple[str, str, int]] = set()

    async def equal() -> bool:
        nonlocal found
        edges = await stored_edges(scene.connections[user], [table_of(user.id)])
        found = {(edge.view, edge.member, edge.version) for edge in edges}
        return found == expected

    try:
        await eventually(equal, 10.0, what=f"the edges of {user.name} to be his members", every_s=0.05)
    except AssertionError as error:
        raise AssertionError(f"{error}: {sorted(found ^ expected)}") from error


# --- tests ----------------------------------------------------------------------------------------------------------


async def test_a_user_never_sees_what_is_anothers(scene: Scene) -> None:
    mesh = scene.mesh
    for user in USERS:
        for view, surql in VIEWS.items():
            await mesh.register(view, surql, auth=user.auth)
    for user in USERS:
        await eventually(partial(has_table, scene.database, user), 20.0, what=f"the edges of {user.name}")
    notes, done = Notes(scene.database, seed=5), asyncio.Event()
    watching = asyncio.create_task(watch(scene, done))
    try:
        for number, rule in enumerate(RULES):
            if number:
                redefined = f"DEFINE TABLE OVERWRITE note SCHEMALESS PERMISSIONS FOR select WHERE {rule}"
                await scene.database.query(redefined)
            if number == len(RULES) // 2:
                mesh.kill(mesh.ready["ssps"][0]["id"])
            await notes.write(WRITES_A_ROUND)
            await assert_settled(scene, redefined=number > 0)
            await notes.write(WRITES_A_ROUND)
            await assert_settled(scene, redefined=False)
            if watching.done():
                break
    finally:
        done.set()
        await watching
    assert scene.looks > 100


async def test_a_rule_that_cannot_be_kept_takes_everything_back(scene: Scene) -> None:
    """A failed view of a user has no edges; when the rule can be kept again it is what it was."""

    async def edges(user: User) -> int:
        return len(await edges_of(scene.connections[user], "all", user.id))

    assert all([await edges(user) for user in USERS])
    await scene.database.query("DEFINE TABLE OVERWRITE note SCHEMALESS PERMISSIONS FOR select WHERE $unknown = NONE")
    for user in USERS:

        async def failed(user: User = user) -> bool:
            status, body = await scene.mesh.view("all", rows="1", auth=user.id)
            return status == 200 and body["state"] == "failed" and body["members"] == body["rows"] == []

        await eventually(failed, 15.0, what=f"the view of {user.name} to fail", every_s=0.1)

        async def gone(user: User = user) -> bool:
            return not await edges(user)

        await eventually(gone, 10.0, what=f"the edges of {user.name} to go", every_s=0.1)
    await scene.database.query(f"DEFINE TABLE OVERWRITE note SCHEMALESS PERMISSIONS FOR select WHERE {RULES[1]}")
    for user in USERS:

        async def back(user: User = user) -> bool:
            _, body = await scene.mesh.view("all", auth=user.id)
            return bool(body["state"] == "live")

        await eventually(back, 15.0, what=f"the view of {user.name} to live", every_s=0.1)
    await assert_settled(scene, redefined=True)


@pytest.mark.parametrize("other", ["ann", "bob"])
async def test_a_view_is_only_its_users(scene: Scene, other: str) -> None:
    """The name of a view is its id and its user: without the user there is no such view."""
    status, body = await scene.mesh.view("all")
    assert status == 404, body
    status, body = await scene.mesh.view("all", auth=f"user:{other}x")
    assert status == 404, body
