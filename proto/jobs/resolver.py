"""Names of backends, resolved to those addresses alone that may be connected to (`target.py`)."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from sp00ky.proto.jobs.target import Network, may_connect


class GuardedResolver(AbstractResolver):
    """Answers with those addresses alone that may be connected to."""

    def __init__(self, trusted: Sequence[Network], resolver: AbstractResolver | None = None) -> None:
        self._trusted = trusted
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if may_connect(each["host"], self._trusted)]
        if not allowed:
            addresses = ", ".join(sorted({each["host"] for each in found}))
            raise OSError(None, f"{host} is {addresses}, where no job may go; see allowed_networks")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()
