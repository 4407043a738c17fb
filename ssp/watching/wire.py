"""Results and their changes as messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sp00ky.proto.folding import Change, Member, Placed, Result
from sp00ky.proto.v1 import views_pb2

STATES: Final[Mapping[str, views_pb2.ViewState]] = {
    "pending": views_pb2.VIEW_STATE_PENDING,
    "live": views_pb2.VIEW_STATE_LIVE,
    "lagging": views_pb2.VIEW_STATE_LAGGING,
    "failed": views_pb2.VIEW_STATE_FAILED,
}
MODES: Final[Mapping[str, views_pb2.ViewMode]] = {
    "incremental": views_pb2.VIEW_MODE_INCREMENTAL,
    "reevaluated": views_pb2.VIEW_MODE_REEVALUATED,
}


def shown_message(result: Result, state: views_pb2.ResultState, *, single: bool) -> views_pb2.ResultShown:
    return views_pb2.ResultShown(
        state=state, members=map(_member, result.members), rows_json=result.rows, single=single
    )


def changed_message(change: Change, state: views_pb2.ResultState) -> views_pb2.ResultChanged:
    message = views_pb2.ResultChanged(
        state=state,
        removed=map(_member, change.removed),
        added=map(_placed, change.added),
        updated=map(_placed, change.updated),
    )
    for at, removed, inserted in change.rows:
        message.rows.add(at=at, removed=removed, rows_json=inserted)
    return message


def _placed(placed: Placed) -> views_pb2.PlacedMember:
    return views_pb2.PlacedMember(at=placed.at, member=_member(placed.member))


def _member(member: Member) -> views_pb2.Member:
    return views_pb2.Member(id=member.id, version=member.version, parent=member.parent, parent_rel=member.parent_rel)
