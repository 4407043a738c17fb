"""What the model database does for each text that the mesh sends it: one transaction at one instant, or a refusal.

The texts are the product's own constants where it has constants, and patterns where it composes them. A text that is
not known here is a violation: the product has learned to say something that the model must learn to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from sp00ky.proto.database import QueryError, StatementResult
from sp00ky.proto.merkle import digest_of, place_of
from sp00ky.proto.surrealql.ast import Select
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.values.kinds import NONE, Datetime, RecordId, Value
from sp00ky.proto.values.order import sort_key
from sp00ky.proto.whole.scope import Indexed, Scope, Source
from sp00ky.proto.whole.select import run_select
from sp00ky.scheduler.capture.schema import TABLES_TEXT
from sp00ky.scheduler.registering import statements as registrations
from sp00ky.ssp.edges import statements as edges

from tests.simulation.kernel import Violation
from tests.simulation.surreal import ModelSurreal, Owner

Variables = Mapping[str, Value]
# What our evaluator leaves to SurrealDB: a view that uses it is re-evaluated. The model takes it for an equality.
OPAQUE = "crypto::argon2::compare('hot', mark)"
PLAIN = "mark = 'hot'"


def ok(result: Value = NONE) -> StatementResult:
    return StatementResult(True, result)


def execute(surreal: ModelSurreal, text: str, variables: Variables, session: Variables) -> list[StatementResult]:
    """Every statement's outcome; of a transaction in which one fails, failures."""
    known = _KNOWN.get(text)
    if known is not None:
        return known(surreal, variables)
    if text.startswith("LET $page = "):
        return [ok(), ok(_summed(surreal, text, variables))]
    results = [_one(surreal, part, variables, session) for part in map(str.strip, text.split(";")) if part]
    failure = next((result for result in results if not result.ok), None)
    if failure is not None and text.startswith("BEGIN"):
        return [failure for _ in results]
    return results


def _one(surreal: ModelSurreal, text: str, variables: Variables, session: Variables) -> StatementResult:
    for pattern, act in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is not None:
            try:
                return ok(act(surreal, match, variables, session))
            except QueryError as error:
                return StatementResult(False, None, error.message, error.kind)
    raise Violation(f"the model database does not know: {text[:200]}")


def thrown(message: str) -> list[StatementResult]:
    return [StatementResult(False, None, f"An error occurred: {message}", "Thrown")]


def missing(table: str) -> QueryError:
    return QueryError(f"The table '{table}' does not exist", "NotFound", 0)


# --- edges (ssp/edges/statements.py) ---------------------------------------------------------------------------------


def _claim(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    ssp, epoch = variables["owner"].key, variables["epoch"]
    known = surreal.owners.get(ssp, Owner(0, 0, 0))
    if known.epoch > epoch:
        return thrown(edges.FENCED)
    if known.epoch < epoch:
        surreal.owners[ssp] = Owner(epoch, 0, known.written)
    return [ok()]


def _fence_other(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    ssp, epoch = variables["owner"].key, variables["epoch"]
    known = surreal.owners.get(ssp, Owner(0, 0, 0))
    if known.epoch < epoch:
        surreal.owners[ssp] = known._replace(epoch=epoch)
    return [ok()]


def _held(surreal: ModelSurreal, variables: Variables) -> bool:
    return surreal.is_held(variables["owner"].key, variables["epoch"], variables["turn"], variables["written"])


def _write(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    ssp, epoch = variables["owner"].key, variables["epoch"]
    before = surreal.owners.get(ssp)
    if not _held(surreal, variables):
        return thrown(edges.FENCED)
    gone = [each.key for each in variables["gone"]]
    new = [*variables["new"], *variables["more_new"]]
    if before is not None and any(row["id"].key in surreal.edges for row in new):
        surreal.owners[ssp] = before  # nothing of a failed transaction stays
        return thrown(f"Database record `{new[0]['id'].table}` already exists")
    views = {row["in"] for row in (*new, *variables["put"])}
    views |= {surreal.edges[key].view for key in gone if key in surreal.edges}
    for view in views:
        surreal.judge_writer(view, ssp, epoch)
    for key in gone:
        surreal.edges.pop(key, None)
    for row in (*new, *variables["put"]):
        surreal.put_edge(row)
    for fact in variables["facts"]:
        surreal.put_facts(fact)
    surreal.edge_transactions += 1
    return [ok()]


def _register(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    if not _held(surreal, variables):
        return thrown(edges.FENCED)
    surreal.register(variables["query"], variables["row"], variables["owner"].key, variables["epoch"])
    return [ok(0), ok()]


def _forget(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    if not _held(surreal, variables):
        return thrown(edges.FENCED)
    surreal.forget(variables["query"])
    return [ok(0), ok()]


def _no_rows(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    return [ok([])]


def _stored(surreal: ModelSurreal, variables: Variables) -> list[StatementResult]:
    found = surreal.edges_of(variables["query"])
    return [ok([{"id": RecordId("_00_list_ref", key), "version": edge.version} for key, edge in found.items()])]


# --- capture ---------------------------------------------------------------------------------------------------------


def _nothing(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    return NONE


def _info_for_ns(surreal: ModelSurreal, *_: object) -> Value:
    name = surreal.database
    return {"databases": {name: f"DEFINE DATABASE {name} CHANGEFEED 1d INCLUDE ORIGINAL"}}


def _tables(surreal: ModelSurreal, *_: object) -> Value:
    return [
        {"name": name, "id": number, "drop": False, "view": NONE, "permissions": {"select": False}}
        for number, name in enumerate(surreal.tables, 1)
    ]


def _info_for_table(surreal: ModelSurreal, *_: object) -> Value:
    return {"indexes": [], "fields": [], "tables": []}


def _session(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    return session.get(match[1], NONE)


def _clock(surreal: ModelSurreal, *_: object) -> Value:
    return Datetime(surreal.clock_ms * 1_000_000)


def _instance(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    instance = surreal.instances.get(str(variables["id"].key))
    return [] if instance is None else [instance]


def _upsert_instance(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    surreal.instances[str(variables["id"].key)] = str(variables["instance"])
    return []


def _show_changes(surreal: ModelSurreal, match: re.Match[str], *_: object) -> Value:
    return surreal.changes_since(int(match[1]), int(match[2]))


def _ids(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    table = match[1]
    if table not in surreal.records:
        raise missing(table)
    keys = sorted(surreal.records[table], key=sort_key)
    after = variables.get("after")
    if match[2] and isinstance(after, RecordId):
        keys = [key for key in keys if sort_key(key) > sort_key(after.key)]
    return [RecordId(table, key) for key in keys[: int(match[3])]]


def _records(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    found = [surreal.records.get(each.table, {}).get(each.key) for each in variables["ids"]]
    present = [record for record in found if record is not None]
    return [record["id"] for record in present] if match[1] else present


# --- integrity (proto/sums.py) ---------------------------------------------------------------------------------------


def _summed(surreal: ModelSurreal, text: str, variables: Variables) -> Value:
    """A page of the table: its count, and the sums, nodes or records that are asked for."""
    found = re.search(r"FROM \(SELECT \* FROM (\w+) ORDER BY id LIMIT \d+\)", text)
    assert found is not None, "tables of the model fit into one page"
    table = found[1]
    records = surreal.records.get(table, {})
    rows = [(RecordId(table, key), digest_of(records[key])) for key in sorted(records)]
    page: dict[str, Value] = {"n": len(rows), "last": rows[-1][0] if rows else NONE}
    if "total:" in text:
        return {**page, "total": sum(digest for _, digest in rows)}
    depth = variables["depth"]
    parents = depth - ("nodes:" in text)
    asked = [row for row in rows if variables["all"] or place_of(row[0])[:parents] in variables["wanted"]]
    if "records:" in text:
        return {**page, "records": [list(row) for row in asked]}
    below: dict[str, list[int]] = {}
    for record_id, digest in asked:
        below.setdefault(place_of(record_id)[:depth], []).append(digest)
    return {**page, "nodes": [[name, len(each), sum(each)] for name, each in sorted(below.items())]}


# --- re-evaluated views ----------------------------------------------------------------------------------------------


class ModelTables:
    """The rows of the model as the evaluator reads them."""

    def __init__(self, records: Mapping[str, Mapping[Value, dict[str, Value]]]) -> None:
        self._records = records

    def rows(self, table: str) -> Sequence[tuple[RecordId, dict[str, Value]]]:
        found = self._records.get(table, {})
        return [(RecordId(table, key), found[key]) for key in sorted(found, key=sort_key)]

    def get(self, record: RecordId) -> dict[str, Value] | None:
        return self._records.get(record.table, {}).get(record.key)

    def tables(self) -> Sequence[str]:
        return sorted(self._records)


@lru_cache(256)
def parsed(text: str) -> Select:
    return parse_select(text.replace(OPAQUE, PLAIN))


def evaluated(text: str, params: Variables, source: Source) -> Value:
    """A query's result by the plain evaluator."""
    return run_select(parsed(text), Scope(params, source))


def model_source(surreal: ModelSurreal) -> Source:
    return Indexed(ModelTables(surreal.records))


def _select(surreal: ModelSurreal, match: re.Match[str], variables: Variables, session: Variables) -> Value:
    for table in re.findall(r"\bFROM (\w+)", match[0]):
        if table not in surreal.records:
            raise missing(table)
    return evaluated(match[0], variables, model_source(surreal))


_KNOWN: Mapping[str, Callable[[ModelSurreal, Variables], list[StatementResult]]] = {
    edges.CLAIM: _claim,
    edges.FENCE_OTHER: _fence_other,
    edges.WRITE: _write,
    edges.REGISTER: _register,
    edges.FORGET: _forget,
    edges.STORED: _stored,
    # Nobody registers by rows here.
    registrations.OVERDUE: _no_rows,
    registrations.FIRST_PAGE: _no_rows,
    registrations.UNSAY_ORPHANS: _no_rows,
}
_PATTERNS: Sequence[tuple[re.Pattern[str], Callable[..., Value]]] = tuple(
    (re.compile(pattern), act)
    for pattern, act in (
        (r"BEGIN|COMMIT|DEFINE TABLE .*", _nothing),
        (r"SHOW CHANGES FOR DATABASE SINCE (\d+) LIMIT (\d+)", _show_changes),
        (r"RETURN \$(\w+)", _session),
        (r"RETURN time::now\(\)", _clock),
        (r"SELECT VALUE instance FROM \$id", _instance),
        (r"UPSERT \$id SET instance = \$instance", _upsert_instance),
        (r"INFO FOR NS", _info_for_ns),
        (re.escape(TABLES_TEXT), _tables),
        (r"INFO FOR TABLE \w+ STRUCTURE", _info_for_table),
        (r"SELECT VALUE id FROM (\w+) (WHERE id > \$after )?(?:ORDER BY id )?LIMIT (\d+)", _ids),
        (r"SELECT (?:\*|(VALUE id)) FROM \$ids", _records),
        (r"SELECT .*", _select),
    )
)
