"""What an SSP that speaks HTTP only is sent, as the documents have it. Pure.

`POST /ingest` is one change: `{table, op, id, record, hash}`, and of ours `seq`, which grows by every change that is
sent and by others that are not, and `txn_last`. A change that is sent again, since its answer was lost, has its `seq`
again: by it an SSP knows it as the same. A deletion's record is its id alone. Values are as `/proxy/query` answers
them.

`POST /view/register` is `{id, surql, clientId, params, ttl, lastActiveAt, format}`. The mesh decides when a view has
expired, and says so by `/view/unregister`; the ttl that is sent is beyond that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import unpack

MESH_PREFIX: Final = "_00_"
BEYOND_ANY_TTL: Final = "520w"
OPS: Final[Mapping[int, str]] = {
    common_pb2.OP_CREATE: "CREATE",
    common_pb2.OP_UPDATE: "UPDATE",
    common_pb2.OP_DELETE: "DELETE",
}


def is_sent(change: common_pb2.Change) -> bool:
    """The mesh's own tables are nobody's rows."""
    return not change.table.startswith(MESH_PREFIX)


def ingest_body(entry: common_pb2.Entry) -> bytes:
    """Of an entry that is a change."""
    change = entry.change
    record_id = encode_json(RecordId(change.table, unpack(change.key)))
    has_record = change.op != common_pb2.OP_DELETE
    record = encode_json(unpack(change.packed)) if has_record else b'{"id":' + record_id + b"}"
    return orjson.dumps(
        {
            "table": change.table,
            "op": OPS[change.op],
            "id": orjson.Fragment(record_id),
            "record": orjson.Fragment(record),
            "hash": "",
            "seq": entry.seq,
            "txn_last": entry.txn_last,
        }
    )


def register_body(spec: common_pb2.ViewSpec, at_ms: int) -> bytes:
    """`at_ms`: unix milliseconds, of the view's last sign of life."""
    return orjson.dumps(
        {
            "id": spec.key.id,
            "surql": spec.surql,
            "clientId": spec.client_id,
            "params": orjson.Fragment(encode_json(unpack(spec.params)) if spec.params else b"{}"),
            "ttl": BEYOND_ANY_TTL,
            "lastActiveAt": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z"),
            "format": spec.format or "streaming",
        }
    )


def unregister_body(view_id: str) -> bytes:
    return orjson.dumps({"id": view_id})
