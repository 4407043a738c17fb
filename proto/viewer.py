"""The user a view is registered for, as it travels: `{id: record, access: text, claims: object}`.

The record is the user, `$auth` in its queries and in the rules of tables; `access` is the name of the access method it
signed in with, `$access`; `claims` are those of its token, `$token`. What is not stated is not known, and a view whose
query or rules read it cannot be kept here. A user's name on the wire and in keys is its record id in canonical text:
`user:1` and `user:⟨1⟩` are two users, ``user:`a b` `` and `user:⟨a b⟩` are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Range, RecordId, Value
from sp00ky.proto.values.pack import PackError, pack, unpack
from sp00ky.proto.values.text import TextError, parse_record_id, record_id_text

ID_CHARS_MAX: Final = 512
AUTH_BYTES_MAX: Final = 64 * 1024
_NAMES: Final = frozenset({"id", "access", "claims"})
_PROTECTED: Final = ("access", "auth", "session", "token")  # SurrealDB does not let a query set these


def viewer_of(stated: Value) -> dict[str, Value]:
    """Of a record id, its text or an object that holds either; every name is there. Raises Fault INVALID."""
    if not isinstance(stated, Mapping):
        stated = {"id": stated}
    if unknown := stated.keys() - _NAMES:
        raise Fault(Code.INVALID, f'auth has "{sorted(unknown)[0][:64]}"', "it has id, access and claims")
    access, claims = stated.get("access"), stated.get("claims")
    if not isinstance(access, str | None):
        raise Fault(Code.INVALID, "access of auth is not text")
    if not isinstance(claims, dict | None):
        raise Fault(Code.INVALID, "claims of auth are not an object")
    return {"id": _user(stated.get("id")), "access": access or "", "claims": claims or {}}


def _user(stated: Value) -> RecordId:
    try:
        user = parse_record_id(stated) if isinstance(stated, str) else stated
    except (TextError, RecursionError) as error:
        raise Fault(Code.INVALID, f"auth is no record id: {error}"[:200], "for example user:1") from None
    if not isinstance(user, RecordId) or isinstance(user.key, Range):
        raise Fault(Code.INVALID, "auth is not the record id of a user", "for example user:1")
    return user


def check_params(params: Mapping[str, Value]) -> None:
    """Raises Fault INVALID for a parameter that says who asks: that is what `auth` is for."""
    for name in _PROTECTED:
        if name in params:
            raise Fault(Code.INVALID, f"params have ${name}, which cannot be set", "state the user as auth")


def auth_id_of(viewer: Mapping[str, Value]) -> str:
    """The user's canonical name. Raises Fault INVALID if it is too long for a key."""
    name = record_id_text(viewer["id"])
    if len(name) > ID_CHARS_MAX:
        raise Fault(Code.INVALID, f"auth has an id of {len(name)} characters", f"use up to {ID_CHARS_MAX}")
    return name


def canonical_auth_id(text: str) -> str:
    """The canonical name of the user that this text names; empty stays empty. Raises Fault INVALID."""
    return auth_id_of(viewer_of(text)) if text else ""


def pack_viewer(viewer: Mapping[str, Value]) -> bytes:
    """Raises Fault INVALID or TOO_LARGE."""
    try:
        packed = pack(dict(viewer))
    except PackError as error:
        raise Fault(Code.INVALID, f"auth cannot be stored: {error}") from None
    if len(packed) > AUTH_BYTES_MAX:
        raise Fault(Code.TOO_LARGE, f"auth has {len(packed)} bytes, the limit is {AUTH_BYTES_MAX}")
    return packed


def unpack_viewer(packed: bytes) -> dict[str, Value]:
    """Raises Fault INVALID."""
    try:
        stated = unpack(packed)
    except ValueError as error:
        raise Fault(Code.INVALID, f"auth cannot be read: {error}") from None
    return viewer_of(stated)
