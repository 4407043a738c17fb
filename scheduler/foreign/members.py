"""The SSPs that speak HTTP only: who registered, and what their heartbeats are told.

Registering is joining, always: such an SSP keeps nothing over a restart that could be built upon, and cannot say how
far it had come. So each registration replaces the one before it, and whatever ends a stream, a restart of the scheduler
too, is told to the SSP by its next heartbeat, to which the answer then is to register again.

What an SSP is posted carries the secret that it registered with, and never another: no secret is learned by
registering. One that came with a JWT, which proves a role and no secret, is posted to without a bearer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sp00ky.proto.faults import RETRY_AFTER_MS, Code, Fault
from sp00ky.proto.v1 import replication_pb2
from sp00ky.scheduler import errors
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.foreign.address import checked_url
from sp00ky.scheduler.foreign.client import SspClient
from sp00ky.scheduler.foreign.member import FRAMES, Counters, HttpMember, Scheduler

WELCOME_SECONDS: Final = 10.0
ID_CHARS_MAX: Final = 128
VERSION_CHARS_MAX: Final = 128
ENV_BYTES_MAX: Final = 16 * 1024
RETRY_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Registration:
    """What an SSP says of itself."""

    ssp_id: str
    url: str
    version: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False)  # that it presented; empty: none

    def hello(self) -> replication_pb2.Hello:
        """Raises Fault INVALID."""
        ssp_id, env_bytes = self.ssp_id, sum(len(name) + len(value) for name, value in self.env.items())
        if not 0 < len(ssp_id) <= ID_CHARS_MAX or not ssp_id.isprintable() or not ssp_id.strip():
            raise Fault(Code.INVALID, f"ssp_id is not 1 to {ID_CHARS_MAX} printable characters")
        if len(self.version) > VERSION_CHARS_MAX or env_bytes > ENV_BYTES_MAX:
            raise Fault(Code.INVALID, f"version has more than {VERSION_CHARS_MAX} characters, or env {ENV_BYTES_MAX}")
        url = checked_url(self.url)
        return replication_pb2.Hello(ssp_id=ssp_id, http_url=url, version=self.version, env=self.env, credit=FRAMES)


class HttpMembers:
    def __init__(self, scheduler: Scheduler, settings: SchedulerSettings) -> None:
        self._scheduler = scheduler
        self._poll_seconds = settings.ssp_poll_interval_ms / 1000
        self._members_max = settings.http_ssps_max
        self._members: dict[str, HttpMember] = {}
        self._counters = Counters()

    async def register(self, registration: Registration) -> replication_pb2.Welcome:
        """Join; the welcome names the snapshot. Raises Fault INVALID, NOT_READY, CONFLICT, OVERLOADED, UNAVAILABLE."""
        hello = registration.hello()
        self._require_place(hello.ssp_id)
        former = self._members.get(hello.ssp_id)
        if former is not None:
            await former.close()
        client = SspClient(hello.http_url, registration.secret)
        try:
            member = HttpMember(self._scheduler, hello, client, self._counters, poll_seconds=self._poll_seconds)
        except Fault:
            await client.close()
            raise
        self._members[hello.ssp_id] = member
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                return await asyncio.shield(member.welcomed)
        except TimeoutError:
            await member.close()
            raise Fault(Code.UNAVAILABLE, f'ssp "{hello.ssp_id}" got no welcome in time', "register again") from None

    def _require_place(self, ssp_id: str) -> None:
        known = self._scheduler.coordinator.ssps.get(ssp_id)
        if known is not None and not known.http_only and known.session_id:
            message = f'ssp "{ssp_id}" is connected by a stream'
            raise Fault(Code.CONFLICT, message, "register under another id, or stop that one")
        self._forget_gone()
        following = sum(member.follows for name, member in self._members.items() if name != ssp_id)
        if following >= self._members_max:
            message = f"{following} ssps that speak HTTP only follow the log already"
            details = {"http_ssps_max": str(self._members_max), RETRY_AFTER_MS: str(RETRY_MS)}
            raise Fault(Code.OVERLOADED, message, "SPKY_HTTP_SSPS_MAX is the limit", details)

    def beat(self, ssp_id: str, heartbeat: replication_pb2.Heartbeat) -> None:
        """Raises Fault NOT_FOUND for an SSP that is not known, CONFLICT for one that has to register again."""
        known = self._scheduler.coordinator.ssps.get(ssp_id)
        if known is None or not known.http_only:
            raise errors.unknown_ssp(ssp_id)
        member = self._members.get(ssp_id)
        if member is None or not member.follows:
            reason = (member.reason if member is not None else "the scheduler was started again") or "its stream ended"
            message = f'ssp "{ssp_id}" has to bootstrap again: {reason}'
            raise Fault(Code.CONFLICT, message, "drop all state and POST /ssp/register")
        member.beat(heartbeat)

    def _forget_gone(self) -> None:
        known = self._scheduler.coordinator.ssps
        for ssp_id, member in list(self._members.items()):
            if ssp_id not in known and not member.follows:
                del self._members[ssp_id]

    def metrics(self) -> dict[str, float]:
        counters = self._counters
        return {
            "http_ssps": sum(member.follows for member in self._members.values()),
            "http_ssp_deliveries": counters.delivered,
            "http_ssp_retries": counters.retries,
            "http_ssps_lost": counters.lost,
            "http_ssp_views_refused": counters.views_refused,
        }

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members.values()))
        self._members.clear()
