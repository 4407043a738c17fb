"""Where the scheduler is: from what an operator writes to a gRPC address.

| written                        | address                                                          |
|--------------------------------|------------------------------------------------------------------|
| `http://host:9667`             | `grpc_address` of element 0 of its `GET /info`                   |
| `grpc://host:9668`             | `host:9668`, without asking                                      |
| `unix:/path`                   | itself, without asking                                           |
| `http://a:9667,http://b:9667`  | of the first that answers, asked in turn until one does          |

A scheduler that listens on every interface does not know its host: it says `0.0.0.0`, and the URL's host stands for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
from sp00ky.proto.faults import Code, Fault

ATTEMPT_SECONDS = 2.0
log = logging.getLogger(__name__)
PAUSE_SECONDS = 0.2
_ANSWER_BYTES_MAX = 8 * 1024 * 1024
_WILDCARDS = frozenset({"", "0.0.0.0", "[::]", "::", "*"})


async def resolve_scheduler(url: str, timeout_s: float) -> str:
    """The gRPC address of the scheduler (one of a list) at `url`; asks again until `timeout_s` have passed.

    Raises Fault INVALID for text that is none of the forms, UNAVAILABLE with the last reason."""
    places = [place.strip() for place in url.split(",") if place.strip()]
    direct = [_direct_address(place) for place in places]
    if not places:
        raise Fault(Code.INVALID, "scheduler url is empty", "for example http://127.0.0.1:9667")
    if direct[0]:
        return direct[0]
    deadline = time.monotonic() + timeout_s
    waiting = False
    async with aiohttp.ClientSession() as session:
        while True:
            address, reason = await _first_answer(session, places, direct, deadline)
            if address:
                return address
            if time.monotonic() + PAUSE_SECONDS >= deadline:
                break
            if not waiting:
                log.warning(
                    "waiting up to %g s for the scheduler at %s (SPKY_SCHEDULER_URL): %s", timeout_s, url, reason
                )
                waiting = True
            await asyncio.sleep(PAUSE_SECONDS)
    raise Fault(
        Code.UNAVAILABLE, f"scheduler {url} does not answer: {reason}", "is it running, and SPKY_SCHEDULER_URL right?"
    )


def _direct_address(place: str) -> str:
    """The address that needs no asking; "" for an HTTP one. Raises Fault INVALID."""
    if place.startswith("unix:"):
        return place
    parts = urlsplit(place)
    try:
        known = parts.scheme in {"grpc", "http", "https"} and bool(parts.hostname)
        port = parts.port
    except ValueError:
        known, port = False, None
    if not known or (parts.scheme == "grpc" and port is None):
        raise Fault(Code.INVALID, f'scheduler url "{place}" is not http://host:port or grpc://host:port')
    return parts.netloc.rpartition("@")[2] if parts.scheme == "grpc" else ""


async def _first_answer(
    session: aiohttp.ClientSession, places: Sequence[str], direct: Sequence[str], deadline: float
) -> tuple[str, str]:
    """(address, "") of the first place that answers, or ("", why the last did not)."""
    reason = ""
    for place, address in zip(places, direct, strict=True):
        if address:
            return address, ""
        left = max(0.05, min(ATTEMPT_SECONDS, deadline - time.monotonic()))
        try:
            return await _ask(session, place, left), ""
        except Fault as fault:
            reason = fault.message
        except TimeoutError:
            reason = f"no answer within {left:.1f} s"
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
    return "", reason


async def _ask(session: aiohttp.ClientSession, place: str, timeout_s: float) -> str:
    async with session.get(f"{place.rstrip('/')}/info", timeout=aiohttp.ClientTimeout(total=timeout_s)) as response:
        if response.status != 200:
            raise Fault(Code.UNAVAILABLE, f"{place}/info answers {response.status}")
        try:
            if (response.content_length or 0) > _ANSWER_BYTES_MAX:
                raise ValueError("too large")
            entities = await response.json(content_type=None)
            address = entities[0]["grpc_address"] if entities[0]["entity"] == "scheduler" else ""
        except (ValueError, LookupError, TypeError) as error:
            raise Fault(Code.UNAVAILABLE, f"{place}/info is not a scheduler's") from error
    if not isinstance(address, str) or not address:
        raise Fault(Code.UNAVAILABLE, f"{place}/info names no grpc_address")
    return with_host_of(place, address)


def with_host_of(url: str, address: str) -> str:
    """The address, a wildcard host replaced by the URL's."""
    host, _, port = address.rpartition(":")
    if host not in _WILDCARDS:
        return address
    named = urlsplit(url).hostname or "127.0.0.1"
    return f"[{named}]:{port}" if ":" in named else f"{named}:{port}"
