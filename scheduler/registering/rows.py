"""Rows of `_00_query` as registrations: what a row, or its absence, asks for. Pure.

A row stands for one view: `_00_query:id` for a service's, `_00_query:[id, user]` for a user's, whose name the database
has written into `auth`. Who made the row is in `registration`:

    0      a client. The row is the registration: it is there, so the view is; it says how long the view lives.
    n > 0  the mesh, for the registration with the seq n, which came over HTTP or gRPC. It shows what is registered, and
           asks for nothing; deleting it while that registration lives ends the view.
    none   the mesh, before it wrote this field.

A client that writes to a row of the mesh's makes it 0, and by that the view its own (deploy/surreal/views.surql).

Decisions are by state and never by history: what a row asks for follows from the row as it is now and the view as it is
now, so that a change that is told twice, late, or only found by reading all rows comes to the same.

Invariant: a view that `by_row` marks lives exactly as long as a client's row says its text, params and user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import NONE, Duration, RecordId, Value
from sp00ky.proto.values.text import parse_record_id, record_id_text
from sp00ky.proto.viewer import pack_viewer, viewer_of
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.registering.specs import ID_CHARS_MAX, ROW_BYTES_MAX, check_texts, checked_spec, packed_params

QUERY_TABLE: Final = "_00_query"
VIEW_TABLE: Final = "_00_view"
BY_CLIENT: Final = 0
_U64_MAX: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A view as it is registered. `foreign`: its SSP speaks HTTP only, and writes the row as upstream's does."""

    spec: common_pb2.ViewSpec
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """A view that is new, or renewed with another ttl or client."""

    spec: common_pb2.ViewSpec


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The row of a view that came another way is a client's now: whoever else holds it is to be written into it."""

    spec: common_pb2.ViewSpec


@dataclass(frozen=True, slots=True)
class Replace:
    """Another registration under the id: the one that is there ends."""

    spec: common_pb2.ViewSpec


@dataclass(frozen=True, slots=True)
class Unregister:
    key: ViewKey


@dataclass(frozen=True, slots=True)
class Refuse:
    """The row can be no registration. `ends`: a view that it was until now."""

    row: Value  # its key
    auth: RecordId | None
    fault: Fault
    ends: ViewKey | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """The row is gone, and nothing is registered for it: so is what was said of it."""

    row: Value


Command: TypeAlias = Register | TakeOver | Replace | Unregister | Refuse | Forget


def row_id(key: ViewKey) -> RecordId:
    """The row of a view."""
    return RecordId(QUERY_TABLE, [key.id, parse_record_id(key.auth_id)] if key.auth_id else key.id)


def key_of_row(row: Value) -> ViewKey | None:
    """The view that a row of this key stands for; None if for none."""
    match row:
        case str():
            return ViewKey(row)
        case [str() as view_id, RecordId() as user]:
            return ViewKey(view_id, record_id_text(user))
    return None


def decide(row: Mapping[str, Value], kept: Kept | None) -> Command | None:
    """What a row that is there asks for, of the view `kept` under its key. One too large to read has `bytes`."""
    key = row["id"].key
    view = key_of_row(key)
    if row.get("registration") != BY_CLIENT:
        is_left_over = kept is not None and kept.spec.by_row
        return Unregister(view) if is_left_over and view is not None else None
    try:
        spec = spec_of(row, kept)
    except Fault as fault:
        auth = row.get("auth")
        ends = view if kept is not None else None
        return Refuse(key, auth if isinstance(auth, RecordId) else None, fault, ends)
    if kept is None:
        return Register(spec)
    if not _same_query(kept.spec, spec):
        return Replace(spec)
    if not kept.spec.by_row:
        return TakeOver(spec)
    return Register(spec) if spec != kept.spec else None


def decide_absent(row: Value, kept: Kept | None, registration: int | None) -> Command | None:
    """What it means that there is no row of this key. `registration`: of the row that was deleted; None: not known."""
    if kept is None:
        return Forget(row)
    is_its_own = registration is not None and registration > 0 and registration == kept.spec.registered_seq
    key = ViewKey(kept.spec.key.id, kept.spec.key.auth_id)
    return Unregister(key) if kept.spec.by_row or is_its_own else None


def spec_of(row: Mapping[str, Value], kept: Kept | None = None) -> common_pb2.ViewSpec:
    """The registration that a client's row is. Raises Fault INVALID, TOO_LARGE, UNSUPPORTED_QUERY."""
    key = key_of_row(row["id"].key)
    if key is None:
        raise Fault(
            Code.INVALID,
            "the key of a query is neither text nor [text, user]",
            "call fn::query::register, or create _00_query:⟨id⟩",
        )
    if len(key.id) > ID_CHARS_MAX:  # before anything that would say it
        raise Fault(Code.INVALID, f"view id has {len(key.id)} characters", f"use 1 to {ID_CHARS_MAX}")
    if "bytes" in row:
        raise Fault(Code.TOO_LARGE, f'row of view "{key.id}" has {row["bytes"]} bytes', f"use at most {ROW_BYTES_MAX}")
    user = _user(row, key)
    surql = row.get("surql")
    if not isinstance(surql, str) or not surql:
        raise Fault(Code.INVALID, f'view "{key.id}" has no surql', "one SELECT")
    params = row.get("params")
    spec = common_pb2.ViewSpec(
        key=common_pb2.ViewKey(id=key.id, auth_id=key.auth_id),
        surql=surql,
        params=b"" if _absent(params) else packed_params(params, key.id),
        client_id=_text(row.get("clientId")),
        ttl_ms=_ttl_ms(row.get("ttl"), key.id),
        format=_text(row.get("format")),
        auth=b"" if user is None else pack_viewer(viewer_of(user)),
        by_row=True,
    )
    check_texts(spec)
    if kept is not None and kept.foreign and not kept.spec.by_row:
        spec.surql, spec.params = kept.spec.surql, kept.spec.params  # such an SSP writes them in a form of its own
    if kept is not None and _same_query(kept.spec, spec):
        spec.auth, spec.registered_seq = kept.spec.auth, kept.spec.registered_seq
        return spec
    return checked_spec(spec)


def _user(row: Mapping[str, Value], key: ViewKey) -> Mapping[str, Value] | None:
    """As the database wrote who it is, which must be whom the key names."""
    auth = row.get("auth")
    stated = record_id_text(auth) if isinstance(auth, RecordId) else ""
    if stated != key.auth_id:
        where = f"[id, {stated}]" if stated else "id alone"
        raise Fault(
            Code.INVALID,
            f'auth of view "{key.id}" is {stated or "not set"}, and its key names {key.auth_id or "no user"}',
            f"the key of such a row is {where}",
        )
    if not stated:
        return None
    access, claims = row.get("access"), row.get("claims")
    return {"id": auth, "access": None if _absent(access) else access, "claims": None if _absent(claims) else claims}


def _same_query(kept: common_pb2.ViewSpec, spec: common_pb2.ViewSpec) -> bool:
    """Of the same user. His claims are those that it was registered with."""
    return (kept.surql, kept.params, kept.key) == (spec.surql, spec.params, spec.key)


def _ttl_ms(ttl: Value, view_id: str) -> int:
    """0: it lives until it is deleted. A shorter one than a millisecond must not become that."""
    if not isinstance(ttl, Duration):
        return 0
    milliseconds = max(1, -(-ttl.ns // 1_000_000))
    if milliseconds > _U64_MAX:
        raise Fault(Code.INVALID, f'ttl of view "{view_id}" is longer than a view can live')
    return milliseconds


def _absent(value: Value) -> bool:
    return value is None or value is NONE


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
