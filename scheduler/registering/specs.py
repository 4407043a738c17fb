"""What a registration must say to be one, whichever way it came: over gRPC, over HTTP, or as a row of `_00_query`.

Pure. Raises Fault INVALID, TOO_LARGE or UNSUPPORTED_QUERY, which name the view and the clause.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.surrealql.shape import lift
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.json import from_json
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.values.pack import holds_only_i64, pack, unpack
from sp00ky.proto.viewer import auth_id_of, canonical_auth_id, check_params, pack_viewer, unpack_viewer, viewer_of

ID_CHARS_MAX: Final = 512
SURQL_CHARS_MAX: Final = 64 * 1024
PARAMS_BYTES_MAX: Final = 1024 * 1024
CLIENT_ID_CHARS_MAX: Final = 512  # it is in each edge of the view
FORMAT_CHARS_MAX: Final = 64
ROW_BYTES_MAX: Final = 4 * 1024 * 1024  # of a row of `_00_query`, as the database encodes it


def checked_spec(stated: common_pb2.ViewSpec, params_json: str = "") -> common_pb2.ViewSpec:
    """A copy with packed, canonical params and auth; `params_json` is read where `params` is empty."""
    spec = common_pb2.ViewSpec()
    spec.CopyFrom(stated)
    if not 0 < len(spec.key.id) <= ID_CHARS_MAX:
        raise Fault(Code.INVALID, f"view id has {len(spec.key.id)} characters", f"use 1 to {ID_CHARS_MAX}")
    if len(spec.surql) > SURQL_CHARS_MAX:
        raise Fault(Code.TOO_LARGE, f'query of view "{spec.key.id}" is longer than {SURQL_CHARS_MAX} characters')
    check_texts(spec)
    spec.params = _packed_params(spec, params_json)
    _state_auth(spec)
    admit(spec.surql, as_user=bool(spec.auth))
    return spec


def check_texts(spec: common_pb2.ViewSpec) -> None:
    """What comes with a query and is no part of it. Raises Fault TOO_LARGE."""
    texts = (("client id", spec.client_id, CLIENT_ID_CHARS_MAX), ("format", spec.format, FORMAT_CHARS_MAX))
    for name, text, chars_max in texts:
        if len(text) > chars_max:
            message = f'{name} of view "{spec.key.id}" has {len(text)} characters'
            raise Fault(Code.TOO_LARGE, message, f"use at most {chars_max}")


def packed_params(params: Value, view_id: str) -> bytes:
    """Canonical; empty for none."""
    try:
        packed = pack(params)
    except ValueError as error:
        raise Fault(Code.INVALID, f'params of view "{view_id}" cannot be read: {error}') from error
    if not isinstance(params, dict):
        raise Fault(Code.INVALID, f'params of view "{view_id}" are not an object')
    if not holds_only_i64(packed):
        raise Fault(Code.INVALID, f'params of view "{view_id}" hold an integer above 2^63 - 1')
    check_params(params)
    if len(packed) > PARAMS_BYTES_MAX:
        raise Fault(Code.TOO_LARGE, f'params of view "{view_id}" are larger than {PARAMS_BYTES_MAX} bytes')
    return packed if params else b""


def shape_of(spec: common_pb2.ViewSpec) -> str:
    """What views have in common that share a circuit: 32 hex digits; empty for a query that a circuit cannot keep."""
    select = admit(spec.surql, as_user=bool(spec.auth)).select
    if select is None:
        return ""
    key = f"{lift(select, unpack(spec.params) if spec.params else {}).key}\0{bool(spec.auth)}"
    return blake2b(key.encode(), digest_size=16).hexdigest()


def _packed_params(spec: common_pb2.ViewSpec, params_json: str) -> bytes:
    if not spec.params and not params_json:
        return b""
    try:
        params = unpack(spec.params) if spec.params else from_json(params_json)
    except ValueError as error:
        raise Fault(Code.INVALID, f'params of view "{spec.key.id}" cannot be read: {error}') from error
    return packed_params(params, spec.key.id)


def _state_auth(spec: common_pb2.ViewSpec) -> None:
    """Both names of the user, `auth` and the key's `auth_id`, of either; they must agree."""
    if not spec.auth and not spec.key.auth_id:
        return
    viewer = unpack_viewer(spec.auth) if spec.auth else viewer_of(spec.key.auth_id)
    auth_id = auth_id_of(viewer)
    if spec.key.auth_id and canonical_auth_id(spec.key.auth_id) != auth_id:
        raise Fault(Code.INVALID, f'view "{spec.key.id}" has auth id {spec.key.auth_id}, and auth of {auth_id}')
    spec.key.auth_id, spec.auth = auth_id, pack_viewer(viewer)
