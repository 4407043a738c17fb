"""I3: hostile SurrealQL is refused with its clause and place, or means what SurrealDB means by it; never is it pasted.

Three doors: registering (`/view/register`), explaining (`/view/explain`), asking the replica (`/proxy/query`). The
first two pass `admit`, the third reads a statement for itself. A parameter is a value, and is compared, whatever it is.
What a damaged query may do to the parser is in `tests/language/test_robust.py`, which the engine judges.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from grpc import aio
from sp00ky.proto.channel import fault_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.v1 import common_pb2, ingest_pb2, proxy_pb2, views_pb2
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.datastore.memory import MemoryDatastore
from sp00ky.scheduler.rpc.proxy import first_statement
from sp00ky.ssp.engine.engine import Engine

from tests.conftest import FreshDatabase
from tests.harness.scheduler import Peer, Scheduler, change
from tests.language.damaged import Damaged, corpus
from tests.language.engine_parser import EngineParser

# A text, and the clause or word that is named when it is refused.
REFUSED: dict[str, str] = {
    # more than one statement
    "SELECT * FROM t; REMOVE TABLE t": "a second statement at line 1, column 18",
    "SELECT * FROM t;;; DELETE t;": "a second statement at line 1, column 20",
    "SELECT * FROM t -- x\n; DELETE t": "a second statement at line 2, column 3",
    "/* SELECT * FROM t */ DELETE t": "DELETE at line 1, column 23",
    "-- SELECT * FROM t\nDELETE t": "DELETE at line 2, column 1",
    "BEGIN; SELECT * FROM t; COMMIT": "BEGIN",
    "USE NS other DB other; SELECT * FROM t": "USE",
    "LET $a = (DELETE t); SELECT * FROM t": "LET",
    # writes and waits inside one
    "SELECT * FROM (DELETE t)": "DELETE",
    "SELECT * FROM (CREATE t SET a = 1 RETURN AFTER)": "CREATE",
    "SELECT (UPDATE t SET a = 1) FROM t": "UPDATE",
    "SELECT { UPSERT t; RETURN 1 } FROM t": "UPSERT",
    "SELECT * FROM t WHERE (INSERT INTO t { a: 1 })": "INSERT",
    "SELECT * FROM t WHERE { REMOVE TABLE t; true }": "REMOVE",
    "SELECT * FROM t WHERE { SLEEP 10s; true }": "SLEEP",
    "SELECT * FROM t WHERE { USE NS other; true }": "syntax error",
    "SELECT * FROM t WHERE { DEFINE TABLE x; true }": "DEFINE",
    "SELECT |$x| { DELETE t } FROM t": "DELETE",
    # functions that reach out, wait, or never answer twice alike
    "SELECT * FROM t WHERE http::get('http://169.254.169.254/')": "http::get()",
    "SELECT HTTP::GET('http://[::1]/') FROM t": "http::get()",
    "SELECT http::post('http://a', { a: (SELECT * FROM user) }) FROM t": "http::post()",
    "SELECT sleep (10s) FROM t": "sleep",
    "SELECT * FROM t WHERE rand() > 0.5": "rand()",
    "SELECT * FROM t WHERE rand::bool()": "rand::bool()",
    "SELECT * FROM t ORDER BY RAND()": "ORDER BY RAND()",
    "SELECT time::now() FROM t": "time::now()",
    "SELECT session::token() FROM t": "session::token()",
    "SELECT fn::mine() FROM t": "fn::mine()",
    "SELECT function() { return this.secret } FROM t": "function",
    "SELECT file::get('/etc/passwd') FROM t": "file::get()",
    "SELECT api::invoke('/x') FROM t": "api::invoke()",
    # who asks
    "SELECT * FROM t WHERE $auth.admin = true": "$auth",
    "SELECT * FROM $session": "$session",
    "SELECT * FROM t WHERE $token.ID": "$token",
    "SELECT * FROM t WHERE $access = 'root'": "$access",
    "SELECT * FROM t VERSION d'2020-01-01T00:00:00Z'": "VERSION",
    # shapes that are no SELECT
    "INFO FOR ROOT": "INFO",
    "SELECT * FROM |t:100000|": "|t:n|",
    "": "empty",
    ";;;": "empty",
    "\x00SELECT * FROM t": "syntax error",
    "SELECT * FROM t\x00; DELETE t": "syntax error",
    "ＳＥＬＥＣＴ * FROM t": "syntax error",
    "SELECT * FROM t\u037e DELETE t": "syntax error",
    "SELECT * FROM t WHERE a = ‘x’": "syntax error",
    "SELECT\u200b* FROM t": "syntax error",
    "SELECT * FROM `t": "syntax error",
    "SELECT * FROM t WHERE a = 'x": "syntax error",
    "SELECT * FROM t /* never closed": "syntax error",
    "SELECT * FROM ⟨t": "syntax error",
    "SELECT * FROM other:other:t": "syntax error",
}
DEEP = ("(", "[", "{a:", "!", "-", "(SELECT ", "a[WHERE ", "f(", "IF 1 THEN ", "|$a| ", "<array<")


@pytest.mark.parametrize("text", REFUSED)
def test_i3_what_is_hostile_is_refused_by_its_clause(text: str) -> None:
    with pytest.raises(Fault) as refused:
        admit(text)
    fault = refused.value
    assert fault.code in (Code.UNSUPPORTED_QUERY, Code.INVALID)
    assert REFUSED[text].lower() in fault.message.lower(), fault.message
    assert "empty" in fault.message or {"line", "column", "excerpt"} <= fault.details.keys()
    assert fault.code is Code.INVALID or fault.hint


@pytest.mark.parametrize("text", REFUSED)
def test_i3_it_is_refused_when_it_is_explained_as_well(text: str) -> None:
    with pytest.raises(Fault) as refused:
        Engine().explain(text, {}, None)
    assert refused.value.code in (Code.UNSUPPORTED_QUERY, Code.INVALID)


# Words that begin a statement are names where there can be none: SurrealDB's own text puts them into backticks.
NAMES_INSIDE = {
    "SELECT * FROM t WHERE { KILL u'018fe0d5-5c2e-7b7d-8f0a-0123456789ab'; true }": "`KILL`",
    "SELECT * FROM t WHERE { LIVE SELECT * FROM t; true }": "`LIVE`",
    "SELECT * FROM t WHERE { OPTION IMPORT = true; true }": "`OPTION`",
    "SELECT * FROM (COMMIT)": "`COMMIT`",
}


def test_i3_what_looks_like_a_statement_inside_means_what_it_means_to_surrealdb() -> None:
    engine = EngineParser()
    for text, name in NAMES_INSIDE.items():
        admitted = admit(text)
        assert admitted.select is not None
        canonical = engine.canonical(f"({text})")
        assert canonical is not None and name in canonical
        assert engine.canonical(f"({print_node(admitted.select)})") == canonical


@pytest.mark.parametrize("opening", DEEP)
def test_i3_depth_is_an_error_and_no_end_of_the_stack(opening: str) -> None:
    for doing in (admit, first_statement):
        with pytest.raises(Fault) as refused:
            doing(f"SELECT {opening * 5_000}1 FROM t")
        assert refused.value.code in (Code.INVALID, Code.TOO_LARGE, Code.UNSUPPORTED_QUERY)


# --- against a scheduler ---------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    async with Scheduler(MemoryDatastore()) as running:
        rows = [change("t", number, n=number, name=name) for number, name in enumerate(NAMES)]
        await running.ingest.Ingest(ingest_pb2.IngestRequest(changes=[*rows, change("canary", 1, alive=True)]))
        yield running


INJECTIONS = (
    "x'; REMOVE TABLE canary; --", "x' OR true --", "` ; DELETE canary; `", "⟩; DELETE canary; ⟨", "$auth", "t:1",
    "(SELECT * FROM canary)", "{ DELETE canary }", "function() { return 1 }", "http::get('http://127.0.0.1:1/')",
    "\\'; DELETE canary; --", "\u2019; DELETE canary", "a\nb; DELETE canary", "null", "NONE", "é\u0301", "\u202ex",
)  # fmt: skip
NAMES = ("plain", *INJECTIONS)


async def rows_of(scheduler: Scheduler, query: str, **params: object) -> object:
    request = proxy_pb2.QueryRequest(query=query, vars=pack(params))  # type: ignore[arg-type]
    return unpack((await scheduler.proxy.Query(request)).result)


async def test_i3_a_parameter_is_compared_and_never_read(scheduler: Scheduler) -> None:
    for value in INJECTIONS:
        found = await rows_of(scheduler, "SELECT VALUE name FROM t WHERE name = $value", value=value)
        assert found == [value]
        assert await rows_of(scheduler, "SELECT VALUE name FROM t WHERE name = $a AND $b", a="plain", b=value) in (
            ["plain"], [],
        )  # fmt: skip
    assert await rows_of(scheduler, "SELECT VALUE alive FROM canary") == [True]


async def test_i3_what_shadows_a_name_of_the_query_is_refused_or_loses(scheduler: Scheduler) -> None:
    for name in ("auth", "session", "access", "token"):
        for text in ("SELECT * FROM t", f"SELECT * FROM t WHERE ${name} = 1"):
            spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql=text, params=pack({name: {"id": 1}}))
            with pytest.raises(aio.AioRpcError) as refused:
                await scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
            assert fault_of(refused.value).code in (Code.INVALID, Code.UNSUPPORTED_QUERY)
            assert f"${name}" in fault_of(refused.value).message
    shadowed = await rows_of(scheduler, "SELECT VALUE $this.n FROM t WHERE n = 1", this={"n": 99}, value=7, parent=8)
    assert shadowed == [1], "the row is the row"


NOT_SERVED = (
    "DELETE t", "SELECT * FROM t; DELETE canary", "DELETE canary; SELECT * FROM t", "SELECT * FROM (DELETE canary)",
    "SELECT * FROM t WHERE { CREATE canary; true }", "RETURN { REMOVE TABLE canary }", "RETURN http::get('http://a')",
    "USE NS other; SELECT * FROM t", "INFO FOR ROOT", "RETURN sleep (1s)", "RETURN function() { return 1 }",
    "SELECT * FROM t; /* ; */ UPDATE canary SET alive = false", "LIVE SELECT * FROM t",
)  # fmt: skip


@pytest.mark.parametrize("query", NOT_SERVED)
async def test_i3_the_proxy_only_reads(scheduler: Scheduler, query: str) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await rows_of(scheduler, query)
    fault = fault_of(refused.value)
    assert fault.code in (Code.INVALID, Code.UNSUPPORTED_QUERY), fault
    assert await rows_of(scheduler, "SELECT VALUE alive FROM canary") == [True]


async def test_i3_a_refused_view_leaves_nothing_behind(scheduler: Scheduler) -> None:
    peer = Peer(scheduler.address, "a")
    await peer.join()
    head = scheduler.driver.coordinator.head_seq
    for text in REFUSED:
        spec = common_pb2.ViewSpec(key=common_pb2.ViewKey(id="v"), surql=text)
        with pytest.raises(aio.AioRpcError) as refused:
            await scheduler.views.RegisterView(views_pb2.RegisterViewRequest(spec=spec))
        assert fault_of(refused.value).code in (Code.INVALID, Code.UNSUPPORTED_QUERY), text
    assert (scheduler.driver.coordinator.head_seq, len(scheduler.driver.coordinator.views)) == (head, 0)
    await peer.close()


# --- anything ---------------------------------------------------------------------------------------------------------

SEEDS_OF_EVIL = tuple(text for text in REFUSED if "syntax" not in REFUSED[text] and text.strip("; "))


@pytest.mark.parametrize("seed", range(3))
def test_i3_hostile_queries_damaged_at_random(seed: int) -> None:
    """What passes is one statement that prints to itself, and has no write in it, however it came to be."""
    damaged, chance = Damaged(seed, [*corpus()[::20], *SEEDS_OF_EVIL]), random.Random(seed)
    passed = 0
    for _ in range(600):
        text = damaged.text()
        if chance.random() < 0.2:
            text = text.replace(" ", chance.choice(["\t", "\n", "/**/", " -- ;\n", "\u00a0", "\u2028"]), 3)
        try:
            admitted = admit(text)
        except Fault as fault:
            assert fault.code in (Code.INVALID, Code.UNSUPPORTED_QUERY, Code.TOO_LARGE)
            continue
        passed += 1
        if admitted.select is not None:
            printed = print_node(admitted.select)
            assert admit(printed).select == admitted.select
    assert passed > 40


async def test_i3_names_cannot_break_out_of_what_is_written(fresh_database: FreshDatabase) -> None:
    """What we print is read by SurrealDB as the one statement that it is, whatever tables and fields are called."""
    database = await fresh_database()
    await database.query("CREATE canary:1 SET alive = true")
    for name in INJECTIONS:
        table = name.replace("\n", " ")
        await database.query("CREATE type::table($table) SET n = 1", {"table": table})
        escaped = table.replace("\\", "\\\\").replace("`", "\\`")
        text = f"SELECT `{escaped}` FROM `{escaped}` WHERE `{escaped}` = {encode_json(name).decode()}"
        admitted = admit(text)
        assert admitted.select is not None
        statement = print_node(admitted.select)
        results = await database.query(statement)
        assert len(results) == 1, statement
    assert await database.query("SELECT VALUE alive FROM canary") == [[True]]
