"""Who asks, where proxies stand between: the nearest address that is no trusted proxy's.

A proxy says for whom it asks in `X-Forwarded-For`, behind what others have said before it. Only what a trusted one said
is believed, so a client cannot choose the address that its rate counts to: without trusted proxies the header is
nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web
from sp00ky.proto.faults import Code, Fault

HOPS_MAX = 16  # looked at, from the nearest on


class Proxies:
    def __init__(self, trusted: str) -> None:
        """`trusted`: addresses or networks with commas between, as `10.0.0.0/8`. Raises Fault INVALID."""
        self._trusted = [_network(text) for each in trusted.split(",") if (text := each.strip())]

    def are_trusted(self, address: str) -> bool:
        if not self._trusted:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)

    def client_of(self, request: web.Request) -> str:
        address = request.remote or ""
        if not self.are_trusted(address):
            return address
        hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for hop in reversed(hops[-HOPS_MAX:]):
            try:
                address = str(ip_address(hop.strip()))
            except ValueError:
                return address
            if not self.are_trusted(address):
                return address
        return address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise Fault(
            Code.INVALID, f'trusted proxy "{text}" is no address or network', "for example 10.0.0.0/8"
        ) from None
