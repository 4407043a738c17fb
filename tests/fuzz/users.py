"""Cases with users: tables and fields with permissions that change in the history, queries asked by several users.

Rules are drawn from templates that lead from a record to the user in every way there is (its own fields, links, graph
steps, sub-selects, the user's own record, the token), and from the conditions that queries have. Each query is asked
by one or two users, now and then twice or by the owner too, so that views share what may be shared.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_expr

from tests.fuzz.case import DEFINE_INDEX, Case, Query
from tests.fuzz.expressions import Row
from tests.fuzz.selects import Selects
from tests.fuzz.tables import FIELDS, PARTS, Tables

USERS: Final = ("user:1", "user:2", "user:ann")  # each may be missing, for a while or for ever
ROLES: Final[Mapping[str, str]] = MappingProxyType({"user:1": "admin"})
_MARK: Final = " PERMISSIONS "
_OPEN: Final = ("FULL", "FULL", "NONE", "true", "false")
_OF_ANY: Final = (
    *("n > 1", "n = $auth.n", "$auth != NONE", "$token.role = 'admin'", "$access = 'account' AND n != 2", "n"),
    *("$session.rd = user:1", "$auth.team.n > 1", "$this.n < 3", "$value = NONE", "$auth.boss = NONE", "missing"),
)
_OF_TABLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "item": (
            *("u = $auth", "u = $auth.id", "u.team = $auth.team", "u.boss = $auth OR ok", "u.n = 1", "ok"),
            *("$auth->likes->item CONTAINS id", "<-likes<-user CONTAINS $auth", "count(<-likes) > 0", "<-likes"),
            *("id IN (SELECT VALUE out FROM likes WHERE in = $auth)", "ls.u CONTAINS $auth", "t CONTAINS 1"),
            *("u IN (SELECT VALUE id FROM user WHERE n > 1)", "o.l = $auth OR u = $auth", "u.team.lead = $auth"),
            *("(SELECT VALUE lead FROM team WHERE items CONTAINS $parent.id) CONTAINS $auth", "u = $auth AND n < 3"),
        ),
        "user": (
            *("id = $auth", "id = $auth OR n > 1", "team = $auth.team", "boss = $auth", "team.lead = $auth"),
            *("->knows->user CONTAINS $auth", "$auth->knows->user CONTAINS id", "tags CONTAINS 'a'", "->likes"),
            *("id IN (SELECT VALUE u FROM item)", "meta.l = $auth OR id = $auth"),
        ),
        "team": (
            *("lead = $auth", "id = $auth.team", "items.u CONTAINS $auth", "n > 1 OR lead = $auth", "x = 1"),
            *("id IN (SELECT VALUE team FROM user WHERE boss = $auth)", "lead.team = $auth.team"),
        ),
        "likes": (*("in = $auth", "out.u = $auth", "w > 1", "in.team = $auth.team", "in = $auth OR out.ok"),),
        "knows": (*("in = $auth OR out = $auth", "n > 1", "out.boss = $auth", "in.n = 1"),),
    }
)
_OF_FIELD: Final = (
    *("NONE", "NONE", "NONE", "$value = 1", "$value > 1", "$value = $auth", "n > 1", "$auth.n = n", "$this.n = 1"),
    *("$token.role = 'admin'", "id = $auth", "$value IN $auth.tags", "$auth->likes", "(SELECT VALUE n FROM team)[0]"),
    *("$value.team = $auth.team", "$auth.boss != NONE"),
)
_INSIDE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "object": tuple(f".{part}" for part in (*PARTS, "*")),
        "objects": (".*", ".*.n", ".*.l"),
        "numbers": (".*", "[0]"),
        "texts": (".*",),
    }
)
_OWN: Final = (
    *("SELECT * FROM item WHERE u = $auth", "SELECT *, u.* AS whose FROM item", "SELECT VALUE id FROM user"),
    *("SELECT * FROM user WHERE id = $auth", "SELECT id, $auth.team.name AS t FROM item WHERE u.team = $auth.team"),
    *("SELECT id, ->likes->item AS i FROM user", "SELECT *, (SELECT * FROM item WHERE u = $parent.id) AS i FROM user"),
    *("SELECT * FROM $auth", "SELECT * FROM $auth->likes->item", "SELECT id, n FROM item ORDER BY n, id LIMIT 3"),
    *("SELECT * FROM item FETCH u, u.team", "SELECT id FROM item WHERE u.n > 1 ORDER BY id LIMIT 2"),
    *("SELECT count() FROM item GROUP ALL", "SELECT u, count() AS c FROM item GROUP BY u", "SELECT * FROM item, user"),
    *("SELECT * FROM item WHERE n = 1", "SELECT *, <-likes<-user.name AS by FROM item WHERE count(<-likes) > 0"),
    *("SELECT id, t, o, s FROM item", "SELECT * FROM item WHERE id IN $auth->likes->item", "SELECT * FROM team"),
    *("SELECT * FROM likes", "SELECT *, team.* AS whole FROM user", "SELECT lead.name AS by, id FROM team"),
    *("SELECT * FROM item WHERE s = 'a' OR u = $auth ORDER BY n DESC, id LIMIT 4 START 1", "SELECT * FROM item:1..3"),
)  # fmt: skip


def with_users(draw: random.Random, tables: Tables, case: Case) -> Case:
    """The case with permissions, changes of them, and its queries asked by users."""
    rules = Rules(draw, tables)
    schema = rules.schema(case.schema)
    steps = tuple(tuple(rules.step(step)) for step in case.steps)
    own = [Query(text, since=draw.choice((0, 1, 1, 2))) for text in draw.sample(_OWN, 6)]
    queries = tuple(each for query in (*own, *case.queries[:14]) for each in _asked(draw, query))
    return replace(case, schema=schema, steps=steps, queries=queries)


def _asked(draw: random.Random, query: Query) -> Iterator[Query]:
    """By one or two users; now and then by one of them twice, and by the owner."""
    users = draw.sample(USERS, draw.choice((1, 2)))
    for user in (*users, *users[: draw.random() < 0.2]):
        yield replace(query, auth=user)
    if draw.random() < 0.1 and "$auth" not in query.text:
        yield query


@dataclass
class Rules:
    """Definitions with permissions, and changes of them."""

    draw: random.Random
    tables: Tables
    _defined: tuple[str, ...] = ()  # the tables' definitions, without permissions

    def schema(self, statements: tuple[str, ...]) -> tuple[str, ...]:
        self._defined = tuple(each for each in statements if each.startswith("DEFINE TABLE"))
        fields = [each for each in statements if each.startswith("DEFINE FIELD")]
        made = [each + self._of_table(each) for each in self._defined]
        made += [each + (self._of_field(each) if self.draw.random() < 0.12 else "") for each in fields]
        made += [self._new_field() for _ in range(self.draw.choice((0, 0, 1, 2, 3)))]
        return (*made, *(each for each in statements if each.startswith(DEFINE_INDEX)))

    def step(self, statements: tuple[str, ...]) -> list[str]:
        """The transaction with changes of rules, or of what the users are, in it or in its place."""
        draw, made = self.draw, list(statements)
        if draw.random() < 0.4:
            rules = [self._change() for _ in range(draw.choice((1, 1, 2)))]
            made = draw.choice((rules, [*rules, *made], [*made, *rules]))
        if draw.random() < 0.4:
            name = draw.choice(("n", "n", "team", "boss"))
            made.append(f"UPDATE {draw.choice(USERS)} SET {name} = {self.tables.stored('user', name)}")
        return made

    def _change(self) -> str:
        if self.draw.random() < 0.3:
            return self._new_field()
        statement = self.draw.choice(self._defined)
        return statement.replace("DEFINE TABLE", "DEFINE TABLE OVERWRITE") + self._of_table(statement)

    def _of_table(self, statement: str) -> str:
        table, share = statement.split()[2], self.draw.random()
        pools = ((0.25, _OPEN), (0.75, _OF_TABLE[table]), (0.85, _OF_ANY))
        pool = next((pool for upto, pool in pools if share < upto), None)
        return permissions(self._condition(table) if pool is None else self.draw.choice(pool))

    def _of_field(self, statement: str) -> str:
        table = statement.split(" ON ")[1].split(maxsplit=1)[0]
        return permissions(self._condition(table) if self.draw.random() < 0.15 else self.draw.choice(_OF_FIELD))

    def _new_field(self) -> str:
        """A rule of a field, or of a part of one, or of elements; where the field has a type, it loses it."""
        table = self.draw.choice(tuple(FIELDS))
        name = self.draw.choice([name for name in FIELDS[table] if name not in ("in", "out")])
        kind = FIELDS[table][name]
        if self.draw.random() < 0.3:
            name += self.draw.choice(_INSIDE.get(kind.partition(":")[0], ("",)))
        whole = kind == "object" and name in FIELDS[table] and table in self.tables.full
        flexible = " TYPE option<object> FLEXIBLE" if whole else ""
        statement = f"DEFINE FIELD OVERWRITE {name} ON {table}{flexible}"
        return statement + self._of_field(statement)

    def _condition(self, table: str) -> str:
        """As queries have it; a rule has no parameters of its own, and a definition that does not parse is none."""
        selects = Selects(self.draw, self.tables)
        text = selects.condition(Row(table), 1)
        for name, value in reversed(selects.params.items()):
            text = text.replace(f"${name}", value)
        try:
            parse_expr(text)
        except ParseError:
            return "n > 1"
        return text


def permissions(rule: str) -> str:
    """The clause at the end of a definition."""
    return f"{_MARK}{rule}" if rule in ("FULL", "NONE") else f"{_MARK}FOR select WHERE {rule}"


def permission_of(statement: str) -> tuple[str, str]:
    """A definition without its permissions, and the rule; empty if it has none."""
    head, _, clause = statement.partition(_MARK)
    return head, clause.removeprefix("FOR select WHERE ")


def redefines(statements: tuple[str, ...]) -> bool:
    """Whether a transaction changes definitions."""
    return any(re.match(r"DEFINE|REMOVE|ALTER", statement) for statement in statements)
