"""Who else runs jobs: each SSP writes a row of `_00_runner` every BEAT_S, and reads the others'.

It decides one thing only, whether a job that failed here may be left to somebody else; a wrong answer costs a delay.
What else a row says, how each outbox fares here, is for the eyes of operators.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sp00ky.proto.database import Database
from sp00ky.proto.faults import Fault
from sp00ky.proto.values.kinds import RecordId, Value

BEAT_S = 2.0
_BEAT = """
UPSERT $me SET seen = time::now(), tables = $tables, outboxes = $outboxes RETURN NONE;
SELECT VALUE id FROM _00_runner WHERE id != $me AND seen > time::now() - 6s AND tables CONTAINSANY $tables;
"""


class Peers:
    def __init__(
        self, database: Database, ssp_id: str, tables: list[str], outboxes: Callable[[], Value] = dict
    ) -> None:
        self._database = database
        self._me = RecordId("_00_runner", ssp_id)
        self._tables = tables
        self._outboxes = outboxes
        self.others = 0

    @property
    def alone(self) -> bool:
        return self.others == 0

    async def beat(self) -> None:
        """Raises Fault."""
        answers = await self._database.query_raw(
            _BEAT, {"me": self._me, "tables": self._tables, "outboxes": self._outboxes()}
        )
        self.others = len(answers[1].result) if answers[1].ok else 0

    async def leave(self) -> None:
        with contextlib.suppress(Fault):
            await self._database.query("DELETE $me RETURN NONE", {"me": self._me})
