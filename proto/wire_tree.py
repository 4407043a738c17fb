"""A node of a tree as `IntegrityService` answers it, of tables and views alike."""

from __future__ import annotations

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.merkle import PLACE_DIGITS, Tree, is_prefix
from sp00ky.proto.v1 import integrity_pb2


def checked_prefix(prefix: str) -> str:
    """Raises Fault INVALID for what no node of a tree is called."""
    if not is_prefix(prefix):
        raise Fault(
            Code.INVALID, f'prefix "{prefix[:32]}" is none of a tree', f"0 to {PLACE_DIGITS} of 0-9a-f, lower case"
        )
    return prefix


def node_message(tree: Tree, prefix: str, revision: str) -> integrity_pb2.GetNodeResponse:
    node = tree.node(prefix)
    response = integrity_pb2.GetNodeResponse(prefix=prefix, revision=revision, rows=node.rows, hash=node.hash)
    for name, child in tree.children(prefix).items():
        response.children.add(prefix=name, rows=child.rows, hash=child.hash)
    return response
