"""The bearer of a browser's stream: neither EventSource nor WebSocket can send headers, so it may stand elsewhere.

In the address as `access_token`, for WebSockets also among the subprotocols as `bearer.<token>` beside `sp00ky.v1`,
which is what the server then chooses. Neither is logged: what is logged of a request is its path. The header counts
first.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

PROTOCOL: Final = "sp00ky.v1"
_BEARER: Final = "bearer."


def authorization_of(request: web.Request) -> str:
    """What stands for the `Authorization` header of a stream."""
    given = request.headers.get("Authorization", "")
    if given:
        return given
    token = request.query.get("access_token", "")
    if not token:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        token = next((each.strip()[len(_BEARER) :] for each in offered if each.strip().startswith(_BEARER)), "")
    return f"Bearer {token}" if token else ""
