"""A reader of view streams, as the README tells one to be: what it is told, folded, and checked against itself.

One view: each event is applied as it comes. Several on one stream: what comes is kept until `up-to-date`, applied
there, and forgotten when the stream breaks. It asserts what every stream promises: no change of what is not held, and
nothing that goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sp00ky.proto.folding import Change, Member, Placed, Result, Splice, fold
from sp00ky.proto.revision import parse_revision


@dataclass
class FoldedView:
    result: Result = field(default_factory=Result)
    revision: str = ""
    hash: str = ""
    state: str = ""

    @property
    def seq(self) -> int:
        return parse_revision(self.revision).seq


class FoldingReader:
    """`views` by id; `token`: what to come back with, for all of them; empty: nothing."""

    def __init__(self, *, several: bool = False) -> None:
        self.several = several
        self.views: dict[str, FoldedView] = {}
        self.token = ""
        self.seen: list[str] = []
        self.up_to_date = 0
        self._kept: list[tuple[str, dict[str, Any], str]] = []

    def reconnected(self) -> None:
        self._kept.clear()

    def take(self, kind: str, body: dict[str, Any], event_id: str) -> None:
        """One event: its type, its data, its id."""
        self.seen.append(kind)
        if not self.several:
            self._apply(kind, body)
        else:
            self._kept.append((kind, body, event_id))
            if kind == "up-to-date":
                for each in self._kept:
                    self._apply(each[0], each[1])
                self._kept.clear()
        if event_id:
            if self.token:
                assert parse_revision(event_id) >= parse_revision(self.token) or self._restarted, "a stream went back"
            self.token = event_id
            self._restarted = False

    _restarted = False

    def _apply(self, kind: str, body: dict[str, Any]) -> None:
        match kind:
            case "snapshot":
                view = self.views[body["id"]] = FoldedView()
                view.result = Result([_member(each) for each in body["members"]], _texts(body.get("rows", [])))
                self._now(view, body)
            case "delta":
                view = self.views[body["id"]]
                since = parse_revision(body["from"])
                assert since.seq >= view.seq, f"a change from {since.seq} came on top of {view.seq}"
                fold(view.result, _change(body))
                self._now(view, body)
            case "up-to-date":
                self.up_to_date += 1
                for view in self.views.values():
                    if view.seq < parse_revision(body["revision"]).seq:
                        view.revision = body["revision"]
            case "must-refetch":
                self.views.pop(body["id"], None)
                self._restarted = True
            case "gone":
                self.views.pop(body["id"], None)
            case _:
                raise AssertionError(f"a stream has no event {kind}: {body}")

    @staticmethod
    def _now(view: FoldedView, body: dict[str, Any]) -> None:
        view.revision, view.hash, view.state = body["revision"], body["hash"], body["state"]


def _member(body: dict[str, Any]) -> Member:
    return Member(body["id"], body.get("version", 0), body.get("parent", ""), body.get("parent_rel", ""))


def _texts(rows: list[Any]) -> list[Any]:
    """Rows stay what JSON made of them: they are only moved about."""
    return list(rows)


def _change(body: dict[str, Any]) -> Change:
    return Change(
        [_member(each) for each in body["removed"]],
        [Placed(each["at"], _member(each)) for each in body["added"]],
        [Placed(each["at"], _member(each)) for each in body["updated"]],
        [Splice(each["at"], each["remove"], tuple(each["insert"])) for each in body.get("rows", [])],
    )
