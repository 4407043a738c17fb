"""`string::is_*` of notations: addresses, identifiers, places on the map, dates.

Each is a grammar of some Rust crate. Where the whole grammar is small it is here; where it is not (URLs, e-mail,
international names, record ids) only what is surely in or surely out has an answer.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from sp00ky.proto.values.kinds import Table, Value
from sp00ky.proto.values.literal import LiteralError, read_datetime, read_record_id
from sp00ky.proto.whole.functions import ANY, TEXT, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

_HEX = "[0-9a-fA-F]"
_DASHED = rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
_UUID = re.compile(rf"{_HEX}{{32}}|{_DASHED}|\{{{_DASHED}\}}|[uU][rR][nN]:[uU][uU][iI][dD]:{_DASHED}")
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}")
_LATITUDE = re.compile(r"[-+]?(?:[1-8]?[0-9](?:\.[0-9]+)?|90(?:\.0+)?)")
_LONGITUDE = re.compile(r"[-+]?(?:180(?:\.0+)?|(?:1[0-7][0-9]|[1-9]?[0-9])(?:\.[0-9]+)?)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SURE_URL = re.compile(
    rf"(?:https?|ftp|wss?)://({_LABEL}(?:\.{_LABEL})*)(?::[0-9]{{1,4}})?(?:[/?#][A-Za-z0-9/?#=&%._~+,;:@!$'()*-]*)?",
    re.IGNORECASE,
)
_NAME_MAX = 253  # characters of a domain name
_LOCAL_MAX = 64  # characters before the @


@function("string::is_hexadecimal", kinds=(TEXT,))
def is_hexadecimal(text: str) -> bool:
    return re.fullmatch(rf"{_HEX}+", text) is not None


@function("string::is_uuid", kinds=(TEXT,))
def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


@function("string::is_ulid", kinds=(TEXT,))
def is_ulid(text: str) -> bool:
    return _ULID.fullmatch(text) is not None


@function("string::is_ipv4", kinds=(TEXT,))
def is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


@function("string::is_ipv6", kinds=(TEXT,))
def is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text  # a scope is Python's own


@function("string::is_ip", kinds=(TEXT,))
def is_ip(text: str) -> bool:
    return is_ipv4(text) or is_ipv6(text)


@function("string::is_latitude", kinds=(TEXT,))
def is_latitude(text: str) -> bool:
    return _on_the_map(_LATITUDE, text)


@function("string::is_longitude", kinds=(TEXT,))
def is_longitude(text: str) -> bool:
    return _on_the_map(_LONGITUDE, text)


def _on_the_map(pattern: re.Pattern[str], text: str) -> bool:
    if not text.isascii():
        raise NotPlain("digits beyond ASCII")
    return pattern.fullmatch(text) is not None


@function("string::is_datetime", kinds=(TEXT, TEXT), optional=1)
def is_datetime(text: str, form: str | None = None) -> bool:
    if form is not None:
        raise NotPlain("string::is_datetime in a form of its own")
    try:
        read_datetime(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except LiteralError:
        if not text[:1].isdecimal() and text[:1] not in ("+", "-"):
            return False
        raise NotPlain("string::is_datetime of an unusual form") from None
    return True


@function("string::is_domain", kinds=(TEXT,))
def is_domain(text: str) -> bool:
    if not text.isascii() or len(text) > _NAME_MAX:
        raise NotPlain("a domain name that is long or beyond ASCII")
    name = text.removesuffix(".")
    return _DOMAIN.fullmatch(name) is not None and not name.rpartition(".")[2].isdecimal()


@function("string::is_email", kinds=(TEXT,))
def is_email(text: str) -> bool:
    local, at, host = text.rpartition("@")
    if not at or not local or not host:
        return False
    if (
        not text.isascii()
        or text[0] in '"@'
        or '"' in text
        or "[" in host
        or host.endswith(".")
        or len(local) > _LOCAL_MAX
    ):
        raise NotPlain("an e-mail address of an unusual form")
    return _LOCAL.fullmatch(local) is not None and is_domain(host)


@function("string::is_url", kinds=(TEXT,))
def is_url(text: str) -> bool:
    sure = _SURE_URL.fullmatch(text)
    if sure is not None and not _looks_like_number(sure[1]) and "xn--" not in text.lower():
        return True
    if text.isascii() and text.isprintable() and _SCHEME.match(text.lstrip()) is None:
        return False
    raise NotPlain("a URL of an unusual form")


def _looks_like_number(host: str) -> bool:
    """Then it is an IPv4 address, or no host."""
    return host.rpartition(".")[2][:1].isdecimal()


@function("string::is_record", kinds=(TEXT, ANY), optional=1)
def is_record(text: str, *table: Value) -> bool:
    if ":" not in text:
        return False
    try:
        record = read_record_id(text)
    except LiteralError:
        raise NotPlain("text that may be a record id") from None
    if not table:
        return True
    if type(table[0]) not in (str, Table):
        raise EvaluationError("string::is_record with a table that is no name")
    name = table[0].name if type(table[0]) is Table else table[0]
    return bool(record.table == name)
