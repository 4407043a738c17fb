"""aiohttp's protocol, except for what it says of a request that it cannot read: nothing of its bytes.

Those bytes may hold a bearer, in the line or in a header, and aiohttp puts them into its log, with a trace, and into
its answer. Here such a request is counted, answered with 400 in our one form, and its connection is closed; the log has
at most one line a second and server for all of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import http_exceptions, web
from sp00ky.gateway.errors import Refused, error_answer
from sp00ky.gateway.exchange import Api
from sp00ky.gateway.telemetry import Telemetry

LINE_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Unreadable:
    """What one server has had of it."""

    def __init__(self, api: Api, telemetry: Telemetry, now: Callable[[], float] = time.monotonic) -> None:
        self._api, self._telemetry, self._now = api, telemetry, now
        self._quiet_until = 0.0
        self._untold = 0

    def answer(self, error: BaseException, address: str) -> web.Response:
        self._telemetry.rejected("connection", "unreadable")
        self._untold += 1
        if self._now() >= self._quiet_until:
            kind = type(error).__name__
            log.info("%d unreadable requests, the last (%s) from %s", self._untold, kind, address)
            self._quiet_until, self._untold = self._now() + LINE_SECONDS, 0
        answer = error_answer(Refused(400, "request is not HTTP/1.1 as this server reads it"), self._api)
        response = web.Response(body=answer.body, status=answer.status, content_type=answer.media_type)
        response.force_close()
        return response


class Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("_unreadable",)

    def __init__(self, unreadable: Unreadable, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._unreadable = unreadable

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, http_exceptions.HttpProcessingError) and not request.writer.output_size:
            return self._unreadable.answer(exc, str(request.remote or ""))
        return super().handle_error(request, status, exc, message)
