"""A mesh over HTTP, for the client commands: standard library only, so that they start fast.

A refused connection, an error body of ours and anything else become one `Fault` with the server's own message.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

from sp00ky.proto.faults import Code, Fault

TIMEOUT_SECONDS = 60.0
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
            raise fault_of_response(self.url + path, error.code, error.read()) from None
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or str(error.reason)
            raise self._unreachable(reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(str(error) or type(error).__name__) from None
        except ValueError as error:
            raise Fault(Code.INVALID, f"{self.url}{path} is not an API of the mesh: {error}") from None

    def _unreachable(self, reason: str) -> Fault:
        return Fault(
            Code.UNAVAILABLE, f"cannot reach {self.url}: {reason.lower()}", "is it running? see --url, SPKY_URL"
        )


def fault_of_response(url: str, status: int, body: bytes) -> Fault:
    """The fault that an error answer stands for."""
    try:
        said = json.loads(body)
        return Fault(Code(said["code"]), said["message"], said.get("hint") or "")
    except (ValueError, KeyError, TypeError):
        text = " ".join(body.decode(errors="replace").split())[:200]
        return Fault(Code.INTERNAL, f"{url} answers {status}: {text or 'nothing'}")


def view_path(view_id: str) -> str:
    return f"/view/{quote(view_id, safe='')}"
