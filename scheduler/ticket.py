"""What a caller of Ingest waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sp00ky.proto.revision import Seq
from sp00ky.proto.tracing import Begun


class IngestTicket:
    """A queued batch: `seq()` answers when it is durable, and what `settle` says of its `hints`: that they have been
    read from SurrealDB, or are kept until they have."""

    def __init__(
        self,
        durable: asyncio.Future[Seq],
        hints: int,
        settle: Callable[[], Coroutine[Any, Any, Seq]],
        append: Begun | None = None,
    ) -> None:
        self.hints = hints
        self._append = append
        self._durable = durable
        self._settled = asyncio.ensure_future(settle()) if hints else None

    async def seq(self) -> Seq:
        try:
            seq = await self._durable
        except BaseException as error:
            self.abandon(error)
            raise
        if self._append is not None:
            self._append.end({"spky.seq": seq})
        return max(seq, await self._settled) if self._settled is not None else seq

    def abandon(self, error: BaseException | None = None) -> None:
        """The caller went away; what is queued is applied all the same."""
        if self._append is not None:
            self._append.end(error=error)
        if self._settled is not None:
            self._settled.cancel()
        self._durable.cancel()
