"""Random data, rules, queries and users: `Permitted` shows what SurrealDB answers to that user.

A draw defines every table anew with rules from a pool, and asks the same queries as each of several users: one that
owns records, one with a role in its token, one whose record is gone. An answer must be the engine's, an evaluation
error must be an error of the engine's; what is refused as not plain is counted, so that refusing is no way to pass.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache

import pytest
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import to_surql
from sp00ky.proto.whole.permitted import Permitted
from sp00ky.proto.whole.rules import TableRules, auth_params, parse_rules
from sp00ky.proto.whole.scope import EvaluationError, Indexed, NotPlain, Scope, Tables
from sp00ky.proto.whole.select import run_select
from sp00ky.scheduler.capture.schema import schema_row, table_schema

from tests.harness.oracle import OracleTables, Refused, exact
from tests.harness.users import ACCESS, UserOracle

DRAWS = 60
QUERIES = 14
NOTES = 12
TABLES = ("user", "team", "note", "page", "likes", "member")
ANN, BOB, EVE = (RecordId("user", name) for name in ("ann", "bob", "eve"))  # eve's record is deleted
ROLES: Mapping[RecordId, str] = {ANN: "reader", BOB: "admin", EVE: "guest"}

OF_TABLES = (
    *("FULL", "FULL", "NONE", "true", "false"),
    *("owner = $auth", "owner = $auth.id", "$auth IN readers", "open OR owner = $auth", "n > 1 AND open"),
    *("$auth.name = 'ann'", "owner.name = $auth.name", "owner.secret = 1", "$auth.team = owner.team"),
    *("$token.role = 'admin'", "$access = 'account' AND n != 2", "$session.rd = owner"),
    *("$auth.team.open", "team.boss = $auth", "$auth->member->team CONTAINS owner.team"),
    *("(SELECT VALUE id FROM user WHERE secret = 1) CONTAINS owner", "->likes", "count(<-likes) > 0"),
    *("owner IN (SELECT VALUE in FROM member WHERE out = $auth.team)", "$value = NONE", "$this.n > 1", "missing"),
    *("id IN (SELECT VALUE out FROM likes WHERE in = $auth)", "$before = NONE AND n", "in = $auth OR out.open"),
)
FAILING = ("n + 1 > 2", "string::len(title) > 1", "<int> n = 1")
OF_FIELDS = (
    *("NONE", "NONE", "owner = $auth", "$value > 1", "$value = 1", "open", "$auth.name = owner.name", "n > 1"),
    *("$token.role = 'admin'", "$this.open", "$value = $auth", "$auth IN readers", "(SELECT VALUE n FROM note)[0] = 1"),
)
FIELDS = ("n", "title", "secret", "tags", "tags.*", "o.x", "o.*", "items.*.p", "items.*", "owner", "items", "tags[0]")

CONDITIONS = (
    *("n = 1", "n > 1", "n = NONE", "open", "owner = $auth", "owner.name = 'ann'", "owner.secret = 1", "secret = 1"),
    *("tags CONTAINS 2", "o.x = 1", "->likes", "<-likes<-user CONTAINS $auth", "owner.team.open", "1 IN items.p"),
    *("owner IN (SELECT VALUE id FROM user)", "id IN (SELECT VALUE out FROM likes)", "n IN [1, 2]", "title = 'b'"),
    *(
        "owner = user:bob",
        "n = 1 AND owner = user:ann",
        "n + 1 > 2",
        "id = note:1",
        "id IN [note:1, page:1]",
        "n != 1 OR open",
    ),
)
FIELD_LISTS = (
    *("*", "*", "id, n, title", "id, secret, tags", "id, owner.name AS name, owner.secret AS s", "id, owner.* AS o"),
    *("id, ->likes AS edges, ->likes->note AS liked, <-likes.in AS by", "id, owner->member->team.open AS open"),
    *(
        "id, (SELECT id, n, secret FROM note WHERE owner = $parent.owner) AS others",
        "id, tags[0] AS first, items.p AS p",
    ),
    *("id, <-likes<-user.name AS fans, ->likes.* AS e", "id, count(<-likes) AS c, o.x AS x", "id, owner.id AS oid"),
    *("id, links.n AS l, links.* AS all", "id, links.owner.name AS names", "id, $auth AS me, $auth.team AS mine"),
    *("id, <->likes AS around, ->(likes WHERE n > 1)->note AS some", "id, owner.team.boss.name AS boss"),
    *("id, (SELECT count() FROM page GROUP ALL) AS pages", "id, owner.{name, secret} AS who", "*, owner.team AS team"),
    *("VALUE id", "VALUE n", "VALUE owner.name", "id, ->likes->note<-likes<-user AS also", "id, secret = 1 AS known"),
)
GROUPED = (
    *(
        "count() FROM {t} GROUP ALL",
        "count() AS c FROM {t} {w} GROUP ALL",
        "owner, count() AS c FROM {t} {w} GROUP BY owner",
    ),
    *("math::sum(n) AS s, count(open) AS o FROM {t} {w} GROUP ALL", "n, count() AS c FROM {t} {w} GROUP BY n"),
)
TARGETS = ("note", "note", "note", "page", "user", "likes", "member", "team", "[note:1, page:2, note:99]", "note:2..7")
TAILS = (
    "",
    "",
    "ORDER BY id LIMIT 3",
    "ORDER BY id DESC LIMIT 4 START 1",
    "LIMIT 3",
    "FETCH owner",
    "FETCH links, owner.team",
)


class Drawn:
    """One draw: tables with rules and rows in the engine, and the same as a source and rules of ours."""

    def __init__(self, seed: int, oracle: UserOracle) -> None:
        self._draw = random.Random(seed)
        self._oracle = oracle
        for table in TABLES:
            self._run(f"REMOVE TABLE IF EXISTS {table}")
        for table in TABLES:
            self._define(table)
        self._fill()
        self.source = oracle.tables(*TABLES)
        self.rules: Callable[[str], TableRules] = cache(self._rules)

    def _run(self, statement: str) -> None:
        answers = self._oracle.ask_all(statement)
        assert not any(isinstance(answer, Refused) for answer in answers), (statement, answers)

    def _define(self, table: str) -> None:
        choice, relation = self._draw.choice, "TYPE RELATION" if table in ("likes", "member") else ""
        rule = choice(FAILING) if self._draw.random() < 0.04 else choice(OF_TABLES)
        self._run(f"DEFINE TABLE {table} {relation} SCHEMALESS PERMISSIONS {_permission(rule)}")
        for name in self._draw.sample(FIELDS, choice((0, 0, 0, 1, 2, 3))):
            rule = "1 + title" if self._draw.random() < 0.02 else choice(OF_FIELDS)
            self._run(f"DEFINE FIELD {name} ON {table} PERMISSIONS {_permission(rule)}")

    def _fill(self) -> None:
        choice, users = self._draw.choice, (ANN, BOB, EVE)
        for user, name in ((ANN, "ann"), (BOB, "bob")):
            team = RecordId("team", choice((1, 2)))
            self._create(
                user, {"name": name, "team": team, "secret": choice((1, 2)), "n": choice((1, 2)), "open": True}
            )
            self._run(f"RELATE {to_surql(user)}->member->{to_surql(team)} SET open = {choice(('true', 'false'))}")
        for key in (1, 2):
            self._create(RecordId("team", key), {"open": choice((True, False)), "boss": choice(users), "n": key})
        for table in ("note", "page"):
            for key in range(NOTES):
                self._create(RecordId(table, key), self._content(table))
        for key in range(NOTES):
            ends = f"{to_surql(choice(users[:2]))}->likes:{key}->note:{choice(range(NOTES + 2))}"
            self._run(f"RELATE {ends} SET n = {choice((1, 2, 3))}, owner = {to_surql(choice(users))}, open = true")

    def _create(self, record: RecordId, content: dict[str, Value]) -> None:
        answer = self._oracle.ask("CREATE $record CONTENT $content", record=record, content=content)
        assert not isinstance(answer, Refused), answer

    def _content(self, table: str) -> dict[str, Value]:
        choice = self._draw.choice
        content: dict[str, Value] = {
            "n": choice((1, 2, 3)),
            "open": choice((True, False)),
            "owner": choice((ANN, BOB, EVE)),
            "readers": choice(([ANN], [ANN, BOB], [])),
            "title": choice(("a", "b", "cc")),
            "secret": choice((1, 2)),
            "tags": choice(([1, 2, 3, 1], [2], [], [1, 1])),
            "o": choice(({"x": 1, "y": 2}, {"x": 2}, {})),
            "items": choice(([{"p": 1, "q": 1}, {"p": 2}], [{"p": 3}], [])),
            "links": choice(([RecordId("note", 1), RecordId("page", 1), RecordId("note", 99)], [])),
            "team": RecordId("team", choice((1, 2))),
        }
        for name in self._draw.sample(sorted(set(content) - {"owner"}), choice((0, 0, 1, 2))):
            del content[name]
        return content

    def _rules(self, name: str) -> TableRules:
        database, info = self._oracle.ask_all(f"INFO FOR DB STRUCTURE; INFO FOR TABLE {name} STRUCTURE")
        assert not isinstance(database, Refused) and not isinstance(info, Refused)
        table = next(table for table in database["tables"] if table["name"] == name)
        row = schema_row(table_schema(table, info))
        return parse_rules(row["select"], row["fields"], indexes=row["indexes"])

    def query(self) -> str:
        choice = self._draw.choice
        target = choice(TARGETS)
        where = f"WHERE {choice(CONDITIONS)}" if self._draw.random() < 0.6 else ""
        if self._draw.random() < 0.15:
            return "SELECT " + choice(GROUPED).format(t=target, w=where)
        fields, tail = choice(FIELD_LISTS), choice(TAILS)
        if "+" in where or (fields.startswith("VALUE") and ("ORDER" in tail or "FETCH" in tail)):
            tail = ""  # of a WHERE that fails, LIMIT decides how many rows are asked
        return f"SELECT {fields} FROM {target} {where} {tail}"


def _permission(rule: str) -> str:
    return rule if rule in ("FULL", "NONE") else f"FOR select WHERE {rule}"


@pytest.fixture(scope="module")
def oracle() -> UserOracle:
    return UserOracle()


def seen(query: str, source: Tables, rules: Callable[[str], TableRules], params: dict[str, Value]) -> Value:
    return run_select(parse_select(query), Scope(params, Permitted(Indexed(source), rules, params)))


def test_a_user_sees_what_surrealdb_shows_it(oracle: UserOracle) -> None:
    asked, plain, rows, failed = 0, 0, 0, 0
    tokens = {user: oracle.sign_in(user, role=role) for user, role in ROLES.items()}
    params = {user: auth_params({"id": user, "access": ACCESS, "claims": tokens[user]}) for user in tokens}
    for seed in range(DRAWS):
        drawn = Drawn(seed, oracle)
        for query in [drawn.query() for _ in range(QUERIES)]:
            for user in tokens:
                expected = oracle.ask_as(user, query)
                asked += 1
                try:
                    answer = seen(query, drawn.source, drawn.rules, params[user])
                except EvaluationError:
                    assert isinstance(expected, Refused), (seed, query, user, expected)
                    failed += 1
                except NotPlain:
                    continue
                else:
                    assert exact(answer) == exact(expected), (seed, query, user)
                    rows += len(answer)
                plain += 1
    assert plain >= 1500 and plain > 0.9 * asked and rows > 1500 and failed > 5, (asked, plain, rows, failed)


@pytest.mark.parametrize(
    ("select", "fields", "query"),
    [
        ("FULL", {"n": "true"}, "SELECT id, n FROM note ORDER BY n DESC LIMIT 2"),
        ("owner.open", {}, "SELECT count() FROM note GROUP ALL"),
        ("open", {}, "SELECT count() FROM $table GROUP ALL"),
        ("open = $unknown", {}, "SELECT * FROM note"),
        ("open = $parent.open", {}, "SELECT id, (SELECT id FROM note) AS all FROM note"),
        ("$token.level = 1", {}, "SELECT * FROM note"),
        ("$token = {}", {}, "SELECT * FROM note"),
        ("$session.ip = NONE", {}, "SELECT * FROM note"),
        ("title + 1", {}, "SELECT * FROM note WHERE n = 1"),
        ("n = 1", {}, "SELECT * FROM note WHERE title + 1"),
        ("FULL", {"id": "NONE"}, "SELECT * FROM note"),
        ("FULL", {"items.p": "NONE"}, "SELECT * FROM note"),
        ("FULL", {"x…": "NONE"}, "SELECT * FROM note"),
    ],
)
def test_where_surrealdb_does_otherwise_is_refused(select: str, fields: dict[str, str], query: str) -> None:
    note = {"n": 2, "title": "a", "open": True, "items": [{"p": 1}], "id": RecordId("note", 1)}
    source = OracleTables({"note": [note]})
    params = auth_params({"id": ANN, "access": ACCESS, "claims": {"role": "reader"}})
    with pytest.raises(NotPlain) as caught:
        ruled = [{"name": name, "select": rule} for name, rule in fields.items()]
        seen(query, source, lambda _: parse_rules(select, ruled), params)
    assert not isinstance(caught.value, EvaluationError)


def test_an_index_and_a_hidden_field_are_refused_together() -> None:
    source = OracleTables({"note": [{"n": 2, "id": RecordId("note", 1)}]})
    hidden, params = [{"name": "n", "select": "NONE"}], auth_params({"id": ANN})

    def of(query: str, *indexes: list[str]) -> Value:
        return seen(query, source, lambda _: parse_rules("FULL", hidden, indexes=indexes), params)

    assert of("SELECT * FROM note", ["n"])
    assert of("SELECT * FROM note WHERE n = NONE") and of("SELECT * FROM note WHERE n = NONE", ["m"])
    assert of("SELECT * FROM note WHERE m = NONE ORDER BY id", ["n"], ["m", "n"])
    for query in ("SELECT * FROM note WHERE n = NONE", "SELECT * FROM note ORDER BY n", "SELECT * FROM note WHERE !n"):
        with pytest.raises(NotPlain, match="index"):
            of(query, ["m", "n"])


def test_a_query_may_read_of_its_user_what_was_stated() -> None:
    params = auth_params({"id": ANN, "access": ACCESS, "claims": {"role": "reader"}})
    permitted = Permitted(Indexed(OracleTables({})), lambda _: TableRules(), params)
    permitted.check_query(parse_select("SELECT $auth, $access, $token.role, $session.rd FROM note"))
    for beyond in ("$token.level", "$token", "$session.ip"):
        with pytest.raises(NotPlain, match="not stated"):
            permitted.check_query(parse_select(f"SELECT id, (SELECT id FROM note WHERE a = {beyond}) AS s FROM note"))
    nameless = Permitted(Indexed(OracleTables({})), lambda _: TableRules(), auth_params({"id": ANN}))
    with pytest.raises(NotPlain, match="not stated"):
        nameless.check_query(parse_select("SELECT * FROM note WHERE $access = NONE"))
