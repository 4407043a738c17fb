"""`parse::email::*` and `parse::url::*`, of addresses in plain ASCII.

An e-mail address is split where both halves follow the plain grammar of RFC 5321 (a dot-atom, host names of letters,
digits and hyphens). A URL is split where its scheme is one of the web's and every part is written as the WHATWG URL
standard would write it, so that nothing has to be normalized but letter case and a port. All else is NotPlain: the
standards' own rewriting (Punycode, percent encoding, numbers as addresses) is not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sp00ky.proto.values.kinds import NONE, Value
from sp00ky.proto.whole.functions import TEXT, function
from sp00ky.proto.whole.scope import NotPlain

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@({_LABEL}(?:\.{_LABEL})*)\Z")
_NO_EMAIL = re.compile(r"[^@\"()<>\[\]\\]*\Z")
_LOCAL_MAX, _HOST_MAX = 64, 200
_URL = re.compile(
    rf"(https?|ftp|wss?)://(?:[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]*)?@)?({_LABEL}(?:\.{_LABEL})*)(?::(\d{{1,5}}))?"
    r"((?:/[A-Za-z0-9_~!$&()*+,;=:@.-]*)*)(?:\?([A-Za-z0-9_~!$&()*+,;=:@./?-]*))?"
    r"(?:\#([A-Za-z0-9_~!$&()*+,;=:@./?-]*))?\Z",
    re.IGNORECASE,
)
_NO_URL = re.compile(r"[A-Za-z0-9_./ -]*\Z")  # without a colon there is no scheme
_PORTS = {"http": 80, "https": 443, "ftp": 21, "ws": 80, "wss": 443}
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class _Url:
    scheme: str
    host: str
    port: int
    path: str
    query: str | None
    fragment: str | None


def _email(text: str) -> tuple[str, str] | None:
    """The two halves; None if it is no address."""
    match = _EMAIL.match(text)
    if match is None:
        if _NO_EMAIL.match(text) and "@" not in text:
            return None
        raise NotPlain("an e-mail address of this form")
    user, host = match.groups()
    last = host.rsplit(".", 1)[-1]
    if len(user) > _LOCAL_MAX or len(host) > _HOST_MAX or last.isdigit() or "--" in host:
        raise NotPlain("an e-mail address of this form")
    return user, host


@function("parse::email::host", kinds=(TEXT,))
def email_host(text: str) -> Value:
    found = _email(text)
    return NONE if found is None else found[1]


@function("parse::email::user", kinds=(TEXT,))
def email_user(text: str) -> Value:
    found = _email(text)
    return NONE if found is None else found[0]


def _url(text: str) -> _Url | None:
    """The parts; None if it is no URL."""
    match = _URL.match(text)
    if match is None:
        if _NO_URL.match(text):
            return None
        raise NotPlain("a URL of this form")
    scheme, host, port, path, query, fragment = match.groups()
    last = host.rsplit(".", 1)[-1]
    segments = path.split("/")
    if last[0].isdigit() or "--" in host or {".", ".."} & set(segments) or int(port or 0) > _PORT_MAX:
        raise NotPlain("a URL of this form")
    scheme = scheme.lower()
    return _Url(scheme, host.lower(), int(port) if port else _PORTS[scheme], path or "/", query, fragment)


@function("parse::url::scheme", kinds=(TEXT,))
def url_scheme(text: str) -> Value:
    found = _url(text)
    return NONE if found is None else found.scheme


@function("parse::url::host", "parse::url::domain", kinds=(TEXT,))
def url_host(text: str) -> Value:
    found = _url(text)
    return NONE if found is None else found.host


@function("parse::url::port", kinds=(TEXT,))
def url_port(text: str) -> Value:
    """The scheme's own, if there is none."""
    found = _url(text)
    return NONE if found is None else found.port


@function("parse::url::path", kinds=(TEXT,))
def url_path(text: str) -> Value:
    found = _url(text)
    return NONE if found is None else found.path


@function("parse::url::query", kinds=(TEXT,))
def url_query(text: str) -> Value:
    found = _url(text)
    return NONE if found is None or found.query is None else found.query


@function("parse::url::fragment", kinds=(TEXT,))
def url_fragment(text: str) -> Value:
    found = _url(text)
    return NONE if found is None or found.fragment is None else found.fragment
