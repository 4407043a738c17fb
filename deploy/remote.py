"""A mesh over HTTP, for the client commands: standard library only, so that they start fast.

A refused connection, an error body of ours and anything else become one `Fault` with the server's own message. Where
the address is the mistake, the fault says what answers there. Invariant: no byte that is not text is ever in a message.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, urlencode

from sp00ky.proto.faults import Code, Fault

TIMEOUT_SECONDS = 60.0
PEEK_SECONDS: Final = 3.0
OF_SCHEDULER: Final = "give the scheduler's or the gateway's as --url"
NO_ENDPOINT: Final = "no endpoint "
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Remote:
    """`url` of the scheduler's, a gateway's or an SSP's HTTP API. Every call raises Fault."""

    def __init__(self, url: str, secret: str = "") -> None:
        self.url = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def get(self, path: str, **arguments: str) -> Any:
        return self._call("GET", path + (f"?{urlencode(arguments)}" if arguments else ""), None, "")

    def post(self, path: str, body: object) -> Any:
        return self._call("POST", path, json.dumps(body).encode(), "application/json")

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path, None, "")

    def post_lines(self, path: str, lines: bytes) -> Any:
        return self._call("POST", path, lines, "application/x-ndjson")

    def _call(self, method: str, path: str, body: bytes | None, media_type: str) -> Any:
        headers = {**self.headers, **({"Content-Type": media_type} if media_type else {})}
        try:
            request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise self.refusal(path, error.code, error.read()) from None
        except (OSError, http.client.HTTPException) as error:
            raise self.unanswered(error) from None
        except ValueError:
            raise self._elsewhere(f"{path} answers no JSON") from None

    def unanswered(self, error: Exception) -> Fault:
        """Of a request that got no answer, or none in HTTP."""
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
            message = f"{self.url} does not speak HTTP/1: it is a gRPC port, or no service of the mesh"
            ports = "9667 of a scheduler, 8667 of an SSP, 7667 of a gateway"
            return Fault(Code.INVALID, message, f"give the HTTP port as --url: unless configured, {ports}")
        reason = getattr(error, "reason", error)
        text = printable(getattr(reason, "strerror", None) or str(reason)) or type(error).__name__
        message = f"cannot reach {self.url}: {text.lower()}"
        return Fault(Code.UNAVAILABLE, message, "is it running? see --url, SPKY_URL")

    def refusal(self, path: str, status: int, body: bytes) -> Fault:
        """Of an answer that is an error. One of no service of the mesh, or of a service that has no such endpoint, is
        an address given by mistake."""
        fault = fault_of_response(self.url + path, status, body)
        if fault.code is Code.NOT_FOUND and fault.message.startswith(NO_ENDPOINT):
            return Fault(Code.INVALID, f"{self.url} is an SSP's API", OF_SCHEDULER) if self._is_ssp() else fault
        if fault.code is Code.INTERNAL and status in range(400, 500):
            return self._elsewhere(f"{path.partition('?')[0]} answers {status}")
        return fault

    def _elsewhere(self, seen: str) -> Fault:
        version = self._text_at("/version")
        what = f"a SurrealDB ({version})" if version.startswith("surrealdb") else "not an API of the mesh"
        return Fault(Code.INVALID, f"{self.url} is {what}: {seen}", OF_SCHEDULER)

    def _is_ssp(self) -> bool:
        try:
            return bool(json.loads(self._text_at("/info"))[0]["entity"] == "ssp")
        except (ValueError, LookupError, TypeError):
            return False

    def _text_at(self, path: str) -> str:
        """What a second look finds; empty for nothing."""
        try:
            with _OPENER.open(self.url + path, timeout=PEEK_SECONDS) as response:
                return printable(response.read(1_000_000).decode())
        except (OSError, http.client.HTTPException, ValueError):
            return ""


def fault_of_response(url: str, status: int, body: bytes) -> Fault:
    """The fault that an error answer stands for."""
    try:
        said = json.loads(body)
        return as_told_here(Fault(Code(said["code"]), said["message"], said.get("hint") or ""))
    except (ValueError, KeyError, TypeError):
        text = printable(body[:1000].decode(errors="replace"))[:200]
        return Fault(Code.INTERNAL, f"{url} answers {status}: {text or 'nothing'}")


def as_told_here(fault: Fault) -> Fault:
    """A server tells of its protocol; who types a command has options."""
    if fault.code is not Code.UNAUTHENTICATED:
        return fault
    return Fault(fault.code, fault.message, "give the services' secret: --secret, or SPKY_AUTH_SECRET")


def printable(text: str) -> str:
    """On one line, and harmless to a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).replace("\ufffd", " ").split())


def view_path(view_id: str) -> str:
    return f"/view/{quote(view_id, safe='')}"
