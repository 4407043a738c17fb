"""How high the mesh's seqs have come, as SurrealDB knows it.

An SSP's incarnation is a seq, and it writes under it; `written` is the seq up to which its edges are, and no edge's
version is above it. So what the mesh wrote into this database bears no seq above the highest of `_00_owner`. A store
numbering from below it would hand out incarnations that fence nobody, and versions that look old to clients.
"""

from __future__ import annotations

from sp00ky.proto.database import Database
from sp00ky.proto.revision import Seq

_MARK = "SELECT VALUE math::max([epoch, written ?? 0]) FROM _00_owner"


async def seqs_handed_out(database: Database) -> Seq:
    """The highest seq that the mesh left in the database; 0 if it left none. Raises Fault UNAVAILABLE."""
    [marks] = await database.query(_MARK)
    return Seq(max((int(mark) for mark in marks if isinstance(mark, int)), default=0))
