"""The address that an SSP registers is one that a caller chooses and this process then calls: what it may be.

Only a bearer with the role `ssp` may register, and whoever has it is sent every row of the database; so this is no
defence against that SSP. It keeps a mistaken or stolen bearer from turning the scheduler into a client of what lies
beside it: `http` and `https` alone, no credentials, no redirect is followed (`client.py`), and never an address that
no SSP can have: link-local ones (among them the metadata services of clouds), multicast, unspecified, reserved. An SSP
does live on loopback and in private networks, so those are allowed.

The URL is read by the library that connects, and what it read is what is kept: there is no second reading to disagree
with. A host is a plain ASCII name or an address written in full. Whatever else a resolver may take for an address is
none: full-width digits, one number, octal or hexadecimal parts, parts left out, a dot at the end.

Names are judged by what they resolve to, each time that a connection is opened: a name may change its mind. Addresses
are never resolved, so `SspClient` takes only what has been checked.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NoReturn

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from sp00ky.proto.faults import Code, Fault
from yarl import URL

URL_CHARS_MAX: Final = 2_048
_METADATA: Final = frozenset(map(ip_address, ("fd00:ec2::254", "168.63.129.16")))  # those that are not link-local
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*(?!0x[0-9a-f]*$|[0-9]+$)[a-z0-9_-]{1,63}", re.ASCII | re.IGNORECASE)
Address = IPv4Address | IPv6Address


def checked_url(text: str) -> str:
    """The URL as it will be called, without a slash at its end. Raises Fault INVALID."""

    def refuse(reason: str) -> NoReturn:
        raise Fault(Code.INVALID, f"url of the ssp {reason}", "for example http://10.0.0.7:8667")

    if not 0 < len(text) <= URL_CHARS_MAX or not text.isprintable() or " " in text or "\\" in text:
        refuse(f"is no address of 1 to {URL_CHARS_MAX} characters without white space")
    if not text.isascii():
        refuse("is not plain ASCII")
    try:
        url = URL(text)
        host, port = url.raw_host or "", url.port
    except ValueError:
        refuse("cannot be read")
    if url.scheme not in {"http", "https"}:
        refuse("does not begin with http:// or https://")
    if not host or port == 0:
        refuse("names no host, or port 0")
    if "@" in text.split("/")[2]:
        refuse("has a user in it")
    if "?" in text or "#" in text:
        refuse("has a query or a fragment")
    literal = _literal(host)
    if literal is None and not _NAME.fullmatch(host):
        refuse("has a host that is neither a plain name nor an address written in full")
    if literal is not None and is_forbidden(literal):
        refuse(f"names {host}, where no ssp can be")
    return str(url).rstrip("/")


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
