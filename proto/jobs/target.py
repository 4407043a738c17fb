"""Where a job may go: its path is joined to its backend's URL and can lead nowhere else.

The path is written by whoever may create a job, so it is hostile; the URL is the operator's. Invariants:

* the URL called has the scheme, host, port and user of the configured one, and a path below its path: `@host`,
  `//host`, `\\host`, `..` (also when it is percent-encoded) and absolute URLs are refused, not mended;
* the address connected to is one that was checked: a name is resolved once, and what it resolves to may be neither
  loopback, link-local (cloud metadata), unspecified, multicast nor reserved, nor one of these inside an IPv6 address.
  An address or `localhost` that is itself the configured host is what the operator asked for, and so is every network
  listed in `allowed_networks`. Private networks are where backends are, and allowed.

Source: OWASP's server-side request forgery prevention; fault I7.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

from sp00ky.proto.faults import Code, Fault

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

PATH_CHARS_MAX = 2_048
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\#]")
_UNSAFE_IN_ROUTE = re.compile(r"//|%(?:2f|5c|00|0a|0d)", re.IGNORECASE)
_KEPT = "/%:@!$&'()*+,;=~-._"
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOOPBACK = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


def joined(base_url: str, path: str) -> str:
    """The URL of a job's path at a backend. Raises Fault INVALID for a path that is no plain path."""
    if not path.startswith("/") or len(path) > PATH_CHARS_MAX:
        raise _refused(path, "it does not begin with / or is too long")
    route, mark, query = path.partition("?")
    if _UNSAFE.search(path) or _UNSAFE_IN_ROUTE.search(route):
        raise _refused(path, "it has white space, a fragment, //, a backslash, or one of them encoded")
    if any(unquote(segment) in {".", ".."} for segment in route.split("/")):
        raise _refused(path, "it has a segment . or ..")
    url = base_url.rstrip("/") + quote(route, safe=_KEPT) + mark + quote(query, safe="?" + _KEPT)
    stated, made = urlsplit(base_url), urlsplit(url)
    inside = made.path.startswith(stated.path.rstrip("/") + "/")
    assert (made.scheme, made.netloc) == (stated.scheme, stated.netloc) and inside, "a job's path stays at its backend"
    return url


def _refused(path: str, reason: str) -> Fault:
    return Fault(Code.INVALID, f'path "{path[:80]}" cannot be called: {reason}', "a path is like /orders/charge?x=1")


def trusted_networks(base_url: str, listed: Sequence[str]) -> tuple[Network, ...]:
    """The networks that may be connected to although they would be refused: those listed, and the configured host's own
    address. Raises Fault INVALID for what is no network."""
    try:
        networks: list[Network] = [ipaddress.ip_network(each, strict=False) for each in listed]
    except ValueError as error:
        raise Fault(Code.INVALID, f"allowed_networks: {error}") from None
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        networks += _LOOPBACK
    else:
        with contextlib.suppress(ValueError):  # a name: what it resolves to is judged
            networks.append(ipaddress.ip_network(host))
    return tuple(networks)


def may_connect(address: str, trusted: Sequence[Network]) -> bool:
    """Whether a resolved address may be connected to."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    forms = [found, *_inside(found)]
    if any(form in network for form in forms for network in trusted if form.version == network.version):
        return True
    return not any(_is_special(form) for form in forms)


def _inside(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        found += address.teredo
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


def _is_special(address: Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or (address.is_reserved and not _is_mapped(address))
        or address in ipaddress.ip_network("0.0.0.0/8" if address.version == 4 else "::/96")
    )


def _is_mapped(address: Address) -> bool:
    """Reserved by its form alone; the IPv4 address in it is judged by itself."""
    return isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64)
