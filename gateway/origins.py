"""Which web pages may call: an allow-list of origins (CORS), empty by default.

A page of an origin that is not listed gets no permission to read an answer, and nothing that it can make a browser send
changes anything: a request that may change something and names a foreign origin is 403. So a page somebody happens to
visit cannot write through a mesh that listens on loopback without a secret. A request without `Origin` comes from no
page, one whose origin is the server's own from its dashboard.

Whose page `http://evil.example:9667` is, its name does not say: whoever owns the name may let it point at this server
(DNS rebinding), and the browser takes the page for the server's own. It has no bearer, so it gains nothing where one is
asked for. Where none is, a host counts as this server's only if nobody else can have it: an address, `localhost`, the
host it was told to listen on, or that of a listed origin. Under another host nothing can be changed by a page, and
under a name with a dot, which anyone can buy, nothing is answered: a page's reads of its own origin carry no `Origin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from aiohttp import web
from sp00ky.proto.faults import Code, Fault
from yarl import URL

ANY: Final = "*"
_METHODS: Final = "GET, POST, PUT, DELETE"
_REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id"
_RESPONSE_HEADERS: Final = "Spky-Revision, X-Request-Id, Retry-After"
_MAX_AGE_SECONDS: Final = 600
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    def __init__(self, allowed: str, listen_host: str = "", *, asks_bearer: bool = False) -> None:
        """`allowed`: origins with commas between, as `https://app.example.org`; `*` is every one."""
        self._allowed = frozenset(filter(None, (origin.strip().rstrip("/") for origin in allowed.split(","))))
        self._asks_bearer = asks_bearer
        listed = {_host_of(origin.partition("://")[2]) for origin in self._allowed}
        self._hosts = (listed | {"localhost", listen_host.lower()}) - {""}

    def permission(self, request: web.Request) -> Mapping[str, str]:
        """Headers of an answer that let the asking page read it; none for others."""
        origin = request.headers.get("Origin", "")
        if not origin or not self._lists(origin):
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _RESPONSE_HEADERS,
            "Vary": "Origin",
        }

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks whether it may; None if it asks no such thing. Raises Fault FORBIDDEN."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        if not self._lists(request.headers.get("Origin", "")):
            raise _foreign()
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        }
        return web.Response(status=204, headers=headers)

    def require_known(self, request: web.Request) -> None:
        """Raises Fault FORBIDDEN for what a foreign page makes a browser send, unless it can only read; and for all
        that is sent to a name that another may own."""
        named = request.headers.get("Host", "")
        is_own = self._asks_bearer or ANY in self._allowed or self._knows(_host_of(named))
        if not is_own and "." in named:
            raise Fault(Code.FORBIDDEN, "host is not known", "call by address, or list it in SPKY_GATEWAY_CORS_ORIGINS")
        origin = request.headers.get("Origin")
        if origin is None or (request.method in _SAFE_METHODS and "Upgrade" not in request.headers):
            return
        if not (is_own and origin == f"{request.scheme}://{named}") and not self._lists(origin):
            raise _foreign()

    def _knows(self, host: str) -> bool:
        return host in self._hosts or _is_address(host)

    def _lists(self, origin: str) -> bool:
        return origin in self._allowed or ANY in self._allowed


def _foreign() -> Fault:
    return Fault(Code.FORBIDDEN, "origin is not allowed", "list it in SPKY_GATEWAY_CORS_ORIGINS")


def _host_of(authority: str) -> str:
    """Without port and brackets; empty for what cannot be read."""
    try:
        return (URL(f"http://{authority}").raw_host or "").lower()
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
