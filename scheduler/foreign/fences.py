"""Fences that an SSP which speaks HTTP only cannot raise: the scheduler does it before it tells that SSP of a view.

A lost owner writes its edges under its epoch in `_00_owner`, and cannot once that has been raised (ssp/edges). The
other way round there is no fence: an SSP that speaks HTTP only writes without an epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId

_FENCE: Final = """
BEGIN;
LET $epoch_now = (SELECT VALUE epoch FROM ONLY $owner);
IF $epoch_now = NONE OR $epoch_now < $epoch { UPSERT $owner SET epoch = $epoch RETURN NONE };
COMMIT;
"""


async def raise_fences(database: Database | None, ssp_ids: Iterable[str], epoch: int) -> None:
    """No incarnation below `epoch` of these SSPs can write from here on. Raises Fault when the database does not do it;
    without a database nobody writes edges."""
    if database is None:
        return
    for ssp_id in ssp_ids:
        await database.query(_FENCE, {"owner": RecordId("_00_owner", ssp_id), "epoch": epoch})
