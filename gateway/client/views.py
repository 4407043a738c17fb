"""What the mesh answers of a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sp00ky.proto.folding import Member


@dataclass(frozen=True, slots=True)
class Registration:
    """`ssp_url` answers for the view itself; a read at least as fresh as `revision` finds it there."""

    query_id: str
    ssp_id: str
    ssp_url: str
    revision: str


@dataclass(frozen=True, slots=True)
class View:
    """A view at a revision. `rows` is None unless they were asked for."""

    id: str
    revision: str
    hash: str
    state: str
    mode: str
    error: str
    ssp_id: str
    members: Sequence[Member]
    rows: Any


def registration_of(body: Mapping[str, Any]) -> Registration:
    return Registration(body["query_id"], body["ssp_id"], body.get("ssp_url", ""), body["revision"])


def view_of(body: Mapping[str, Any]) -> View:
    return View(
        id=body["id"],
        revision=body.get("revision", ""),
        hash=body.get("hash", ""),
        state=body.get("state", ""),
        mode=body.get("mode", ""),
        error=body.get("error") or "",
        ssp_id=body.get("ssp_id", ""),
        members=[
            Member(each["id"], each["version"], each.get("parent", ""), each.get("parent_rel", ""))
            for each in body.get("members", ())
        ],
        rows=body.get("rows"),
    )
