"""The address that an SSP registers is one that a caller chooses and this process then calls: what it may be.

Only a bearer with the role `ssp` may register, and whoever has it is sent every row of the database; so this is no
defence against that SSP. It keeps a mistaken or stolen bearer from turning the scheduler into a client of what lies
beside it: `http` and `https` alone, no credentials, no redirect is followed (`client.py`), and never an address that
no SSP can have: link-local ones (among them the metadata services of clouds), multicast, unspecified, reserved. An SSP
does live on loopback and in private networks, so those are allowed.

Names are judged by what they resolve to, each time that a connection is opened: a name may change its mind.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NoReturn
from urllib.parse import urlsplit

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from sp00ky.proto.faults import Code, Fault

URL_CHARS_MAX: Final = 2_048
_METADATA: Final = frozenset(map(ip_address, ("fd00:ec2::254", "168.63.129.16")))  # those that are not link-local
Address = IPv4Address | IPv6Address


def checked_url(text: str) -> str:
    """The URL without a slash at its end. Raises Fault INVALID."""

    def refuse(reason: str) -> NoReturn:
        raise Fault(Code.INVALID, f"url of the ssp {reason}", "for example http://10.0.0.7:8667")

    if not 0 < len(text) <= URL_CHARS_MAX or not text.isprintable() or " " in text or "\\" in text:
        refuse(f"is no address of 1 to {URL_CHARS_MAX} characters without white space")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        refuse("cannot be read")
    if parts.scheme not in {"http", "https"}:
        refuse("does not begin with http:// or https://")
    if not host or port == 0:
        refuse("names no host, or port 0")
    if parts.username is not None or parts.password is not None:
        refuse("has a user in it")
    if parts.query or parts.fragment:
        refuse("has a query or a fragment")
    if (literal := _literal(host)) is not None and is_forbidden(literal):
        refuse(f"names {host}, where no ssp can be")
    return text.rstrip("/")


def is_forbidden(address: Address) -> bool:
    """Whether no SSP can be there."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    nowhere = address.is_link_local or address.is_multicast or address.is_unspecified
    return nowhere or (address.is_reserved and not address.is_loopback) or address in _METADATA


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


class GuardedResolver(ThreadedResolver):
    """Names only resolve to addresses at which an SSP can be."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        allowed = [each for each in found if (at := _literal(each["host"])) is not None and not is_forbidden(at)]
        if not allowed:
            raise OSError(f"{host} resolves to no address at which an ssp can be")
        return allowed
