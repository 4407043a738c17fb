"""The SurrealQL the edges are written with. Values travel as parameters; nothing is ever pasted into the text.

Every transaction first writes the owner row under this SSP's incarnation and throws if nothing matched: reading a
lease does not fence a late writer, writing it does, because the database then orders the two transactions. Each also
counts `turn` up: one that was given up (a lost connection, a timeout) and is carried out late comes after its turn, and
throws in place of undoing what was written since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sp00ky.proto.database import ROWS_PER_INSERT
from sp00ky.proto.edge_tables import SHARED, dedicated_table
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import escape_ident
from sp00ky.ssp.edges.outbox import EDGES_PER_TRANSACTION_MAX, PendingEdges, record_of_view, user_of
from sp00ky.ssp.edges.tables import EdgeTables, define, reader_row
from sp00ky.ssp.engine.events import ViewKey

FENCED = "sp00ky: fenced"
NO_EDGE = "none"  # the key of no edge

CLAIM = """
BEGIN;
LET $epoch_now = (SELECT VALUE epoch FROM ONLY $owner);
IF $epoch_now != NONE AND $epoch_now > $epoch { THROW 'sp00ky: fenced' };
IF $epoch_now = NONE OR $epoch_now < $epoch {
    UPSERT $owner SET epoch = $epoch, turn = 0, claimedAt = time::now() RETURN NONE
};
COMMIT;
"""

# A new owner raises the old owner's epoch before it reads the stored edges, so no late write can follow the read.
FENCE_OTHER = """
BEGIN;
LET $epoch_now = (SELECT VALUE epoch FROM ONLY $owner);
IF $epoch_now = NONE OR $epoch_now < $epoch { UPSERT $owner SET epoch = $epoch RETURN NONE };
COMMIT;
"""

_HELD = """
BEGIN;
LET $held = (UPDATE $owner SET written = math::max([written ?? 0, $written]), turn = $turn
    WHERE epoch = $epoch AND (turn ?? 0) < $turn RETURN VALUE id);
IF array::len($held) = 0 { THROW 'sp00ky: fenced' };
"""

# An INSERT of many rows costs 80 µs a row, RELATE 120 µs, an UPDATE that finds nothing and RELATE then 150 µs, one that
# finds its row 75 µs, an INSERT … ON DUPLICATE KEY UPDATE 250 µs; but on an engine in memory INSERT costs by the square
# of all that its transaction inserts, so no more than the first rows are inserted. What is said to be new and is not
# fails the transaction (`is_not_new`), which is sent again with everything in `put`. INSERT and RELATE would make a
# table that is gone, without its permissions; the DELETE before fails there, and names an edge of every table for that.
# A view's row costs 70 µs, by UPSERT 110.
WRITE = (
    _HELD
    + """
DELETE $gone RETURN NONE;
INSERT RELATION $new RETURN NONE;
FOR $edge IN $more_new {
    LET $query = $edge.in; LET $id = $edge.id; LET $record = $edge.out;
    RELATE $query->$id->$record CONTENT $edge RETURN NONE
};
FOR $edge IN $put {
    IF array::is_empty((UPDATE $edge.id SET version = $edge.version, updatedAt = time::now() RETURN VALUE id)) {
        LET $query = $edge.in; LET $id = $edge.id; LET $record = $edge.out;
        RELATE $query->$id->$record CONTENT $edge RETURN NONE
    }
};
FOR $fact IN $facts {
    IF array::is_empty((UPDATE $fact.id CONTENT $fact RETURN VALUE id)) { CREATE $fact.id CONTENT $fact RETURN NONE }
};
COMMIT;
"""
)

# The one before the last is how many edges were removed.
# A row that a client made (`registration` 0) is the client's and stays as it is; so does what the scheduler says of one
# that is refused (`by`).
REGISTER = (
    _HELD
    + """
LET $shown = array::filter([$query], |$each| $each.registration != 0);
UPSERT $shown MERGE $row RETURN NONE;
0;
COMMIT;
"""
)

FORGET = (
    _HELD
    + """
LET $edges = (SELECT VALUE id FROM _00_list_ref WHERE in = $query LIMIT $edges_max);
DELETE $edges RETURN NONE;
IF array::len($edges) < $edges_max {
    DELETE $query WHERE registration != 0 RETURN NONE; DELETE $view WHERE by = NONE RETURN NONE
};
array::len($edges);
COMMIT;
"""
)

# A user's: {own} is the user's own table, {define} makes it. `turn` is there to be written: see tables.py. A table of
# that name before the user's first view is none of ours: any record user makes one by writing to it, and it would hide
# the user's edges from the user.
_REGISTER_DEDICATED = """
IF !record::exists($reader) {{ REMOVE TABLE IF EXISTS {own} }};
{define}
UPSERT $reader SET user = $user, turn = (turn ?? 0) + 1, emptied = NONE RETURN NONE;
LET $shown = array::filter([$query], |$each| $each.registration != 0);
UPSERT $shown MERGE $row RETURN NONE;
UPSERT $view SET auth = $user, edges = $own RETURN NONE;
LET $elsewhere = (SELECT VALUE id FROM _00_list_ref WHERE in = $query LIMIT $edges_max);
DELETE $elsewhere RETURN NONE;
array::len($elsewhere);
COMMIT;
"""

_EDGES_IN_OWN = """
LET $in_own = IF record::exists($reader) {{
    {define}
    SELECT VALUE id FROM {own} WHERE in = $query LIMIT $edges_max
}} ELSE {{ [] }};
DELETE $in_own RETURN NONE;
"""

_USED_LESS = """
IF record::exists($reader) {
    LET $used = (SELECT VALUE id FROM _00_view WHERE edges = $own LIMIT 1);
    UPDATE $reader SET turn = (turn ?? 0) + 1, emptied = IF array::is_empty($used) { time::now() } RETURN NONE
};
"""

_REGISTER_SINGLE = (
    _EDGES_IN_OWN
    + """
LET $shown = array::filter([$query], |$each| $each.registration != 0);
UPSERT $shown MERGE $row RETURN NONE;
UPDATE $view SET edges = '_00_list_ref' RETURN NONE;
{used_less}
array::len($in_own);
COMMIT;
"""
)

_FORGET_USERS = (
    _EDGES_IN_OWN
    + """
LET $shared = (SELECT VALUE id FROM _00_list_ref WHERE in = $query LIMIT $edges_max);
DELETE $shared RETURN NONE;
LET $more = array::len($in_own) >= $edges_max OR array::len($shared) >= $edges_max;
IF !$more {{
    DELETE $query WHERE registration != 0 RETURN NONE; DELETE $view WHERE by = NONE RETURN NONE;
    UPDATE $view SET edges = NONE RETURN NONE
}};
{used_less}
IF $more {{ $edges_max }} ELSE {{ 0 }};
COMMIT;
"""
)

STORED = "SELECT id, version FROM type::table($edges) WHERE in = $query"


def register(key: ViewKey, tables: EdgeTables) -> str:
    return _of_user(_REGISTER_DEDICATED if tables.dedicated else _REGISTER_SINGLE, key) if key.auth_id else REGISTER


def forget(key: ViewKey) -> str:
    """In either mode, from both tables."""
    return _of_user(_FORGET_USERS, key) if key.auth_id else FORGET


def _of_user(template: str, key: ViewKey) -> str:
    auth = user_of(key.auth_id)
    own = escape_ident(dedicated_table(auth))
    return _HELD + template.format(define=define(auth), own=own, used_less=_USED_LESS)


def view_params(key: ViewKey) -> dict[str, Value]:
    """Parameters of `register` and `forget`, beside the holder's and the row."""
    params: dict[str, Value] = {
        "query": record_of_view(key),
        "view": view_row(key),
        "edges_max": EDGES_PER_TRANSACTION_MAX,
    }
    if key.auth_id:
        auth = user_of(key.auth_id)
        params |= {"user": auth, "reader": reader_row(auth), "own": dedicated_table(auth)}
    return params


def is_tables_lost(message: str) -> bool:
    """Whether SurrealDB complains that a table of the mesh's own is not there."""
    return "does not exist" in message and "table '_00_" in message


def is_not_new(message: str) -> bool:
    """Whether SurrealDB complains that an edge is stored already."""
    return "already exists" in message and SHARED in message


class Facts(NamedTuple):
    """What the mesh says about a view, in a row of its own so that clients' heartbeats do not conflict with it."""

    revision: str
    hash: str
    row_count: int
    state: str
    mode: str
    ssp_id: str
    error: str = ""


class Holder(NamedTuple):
    """Who writes: the SSP, under the incarnation that the database must still know as its epoch. `turn`: of this
    transaction, above all before it in this process."""

    ssp_id: str
    incarnation: int
    turn: int

    def params(self, written_seq: int) -> dict[str, Value]:
        owner = owner_row(self.ssp_id)
        return {"owner": owner, "epoch": self.incarnation, "turn": self.turn, "written": written_seq}


def owner_row(ssp_id: str) -> RecordId:
    return RecordId("_00_owner", ssp_id)


def view_row(key: ViewKey) -> RecordId:
    return RecordId("_00_view", record_of_view(key).key)


def auth_field(key: ViewKey) -> dict[str, Value]:
    """Whose rows a view's are: the user may select them, and nobody else who is one."""
    return {"auth": user_of(key.auth_id)} if key.auth_id else {}


def write_params(
    holder: Holder,
    written_seq: int,
    batch: Mapping[ViewKey, PendingEdges],
    clients: Mapping[ViewKey, str],
    facts: Mapping[ViewKey, Facts],
    *,
    tables: EdgeTables,
) -> dict[str, Value]:
    """Parameters of WRITE for one transaction."""
    new: list[Value] = []
    put: list[Value] = []
    gone: list[Value] = []
    for key, edges in batch.items():
        table = tables.table_of(key)
        shared: dict[str, Value] = {"in": record_of_view(key), "clientId": clients.get(key, ""), **auth_field(key)}
        for edge, member in edges.put.items():
            row = {"id": RecordId(table, edge), "out": member.id, "version": member.version, **shared}
            if member.parent is not None:
                row |= {"parent": member.parent, "parent_rel": member.parent_rel}
            (new if edge in edges.fresh else put).append(row)
        gone.extend(RecordId(table, edge) for edge in (*edges.gone, *([NO_EDGE] if edges.fresh else [])))
    rows = [
        {
            "id": view_row(key),
            "revision": fact.revision,
            "hash": fact.hash,
            "rowCount": fact.row_count,
            "state": fact.state,
            "mode": fact.mode,
            "ssp": fact.ssp_id,
            "edges": tables.table_of(key),
            **({"error": fact.error} if fact.error else {}),
            **auth_field(key),
        }
        for key, fact in facts.items()
    ]
    first, rest = new[:ROWS_PER_INSERT], new[ROWS_PER_INSERT:]
    return {**holder.params(written_seq), "new": first, "more_new": rest, "put": put, "gone": gone, "facts": rows}


def none_new(params: Mapping[str, Value]) -> dict[str, Value]:
    """The same edges, whether they are stored or not."""
    return {**params, "new": [], "more_new": [], "put": [*params["put"], *params["new"], *params["more_new"]]}
