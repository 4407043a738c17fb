"""The dashboard's files: static, of this server alone, without a build step.

The page holds no data, so it is served to anyone; what it shows it reads with the bearer that its user gives it, which
it keeps in memory. `POLICY` keeps everything else out: no script, style, font, image or connection of another host, no
inline script or style, no frame around it, no form that is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from sp00ky.gateway.exchange import Answer, Asked
from sp00ky.proto.faults import Code, Fault

PAGE: Final = "index.html"
MEDIA_TYPES: Final[Mapping[str, str]] = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILE_NAMES: Final = tuple(
    sorted(
        entry.name
        for entry in files(__package__).iterdir()
        if entry.is_file() and entry.name.endswith(tuple(MEDIA_TYPES))
    )
)
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page(asked: Asked, response: None) -> Answer:
    """It is told whether to ask its user for a token before it reads."""
    html = _content(PAGE)
    if asked.asks_bearer:
        html = html.replace(b'<html lang="en">', b'<html lang="en" data-asks>')
    return Answer(html, 200, "text/html; charset=utf-8", HEADERS)


def answer_of(asked: Asked, response: None) -> Answer:
    """Raises Fault NOT_FOUND."""
    name = asked.path["file"]
    if name not in FILE_NAMES:
        raise Fault(Code.NOT_FOUND, f'the dashboard has no file "{name[:64]}"', "the dashboard is at /")
    media_type = MEDIA_TYPES[name[name.rindex(".") :]]
    return Answer(_content(name), 200, f"{media_type}; charset=utf-8", HEADERS)


@cache
def _content(name: str) -> bytes:
    return (files(__package__) / name).read_bytes()
