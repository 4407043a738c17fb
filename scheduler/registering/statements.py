"""The SurrealQL of registrations in the database. Values travel as parameters.

Nothing here can fail for what a client has written: times are compared as differences, which a ttl of any length and a
time of any year have (their sums overflow, and one such row would stop the search for all).
"""

from __future__ import annotations

from typing import Final

# Not the COMPUTED fields: they cost twice the rest.
_FIELDS: Final = "id, surql, params, clientId, ttl, format, auth, access, claims, registration"

# What each table must have to be the mesh's, and not one that a write has made after somebody removed it.
IS_INSTALLED: Final = """
RETURN (INFO FOR TABLE _00_query).fields.registration != NONE AND (INFO FOR TABLE _00_view).fields.auth != NONE
"""

FIRST_PAGE: Final = "SELECT VALUE id FROM _00_query ORDER BY id LIMIT $rows_max"
NEXT_PAGE: Final = "SELECT VALUE id FROM _00_query WHERE id > $after ORDER BY id LIMIT $rows_max"
SIZES: Final = """
SELECT id, auth, registration, IF registration = 0 {
    bytes::len(encoding::cbor::encode([surql, params, clientId, format, access, claims]))
} ELSE { 0 } AS bytes FROM $rows
"""
HAS_NO_SIZE: Final = "encoding::cbor::encode()"  # in the database's complaint about a row without a form on the wire
ROWS: Final = f"SELECT {_FIELDS} FROM $rows"

# Rows whose time may be over, and rows with a subscriber whose time is.
OVERDUE: Final = """
SELECT VALUE id FROM _00_query WHERE registration = 0 AND ttl != NONE AND (
    (lastActiveAt < time::now() AND time::now() - lastActiveAt > ttl)
    OR !array::is_empty(array::filter(subscribers ?? [],
        |$each| $each.seenAt < time::now() AND time::now() - $each.seenAt > ttl))
) LIMIT $rows_max
"""

# By the database's clock, and unless a sign of life came meanwhile.
EXPIRE: Final = """
DELETE $row WHERE registration = 0 AND ttl != NONE
    AND lastActiveAt < time::now() AND time::now() - lastActiveAt > ttl RETURN VALUE $before.id;
UPDATE $row SET subscribers = array::filter(subscribers ?? [],
        |$each| $each.seenAt >= time::now() OR time::now() - $each.seenAt <= $this.ttl)
    WHERE registration = 0 AND ttl != NONE AND subscribers != NONE RETURN NONE
"""

# Somebody comes who has no hand in the database: the view lives at least as long as he wants it, for ever without $ttl.
JOIN: Final = """
UPDATE $row SET
    lastActiveAt = time::now(),
    clientId = $client ?? clientId,
    ttl = IF ttl = NONE OR $ttl = NONE { NONE } ELSE { array::max([ttl, $ttl]) },
    subscribers = IF $client = NONE { subscribers } ELSE { array::append(
        array::filter(fn::query::holders($this), |$each| $each.id != $client), { id: $client, seenAt: time::now() }) }
WHERE registration = 0 RETURN VALUE id
"""

# Those who hold the view by other ways than its row, which is a client's from now on.
HAND_OVER: Final = """
UPDATE $row SET subscribers = array::concat(fn::query::holders($this), array::map(
    array::filter($clients, |$client| $client NOT IN array::map(fn::query::holders($this), |$each| $each.id)),
    |$client| { id: $client, seenAt: time::now() }))
WHERE registration = 0 RETURN VALUE id
"""

LEAVE: Final = "fn::query::unregister($row, $client); SELECT VALUE id FROM $row"

# What the scheduler says of rows that are no views (`by`). An SSP's own words take the place of these.
SAID_BY: Final = "scheduler"
SAY: Final = "FOR $said IN $facts { UPSERT $said.id CONTENT $said RETURN NONE }"
UNSAY: Final = "DELETE $views WHERE by = 'scheduler' RETURN NONE"
UNSAY_ORPHANS: Final = """
DELETE _00_view WHERE by = 'scheduler' AND !record::exists(type::record('_00_query', record::id(id))) RETURN NONE
"""
