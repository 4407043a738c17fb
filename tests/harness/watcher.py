"""One who watches views over `WatchViews`: folds what it is shown, and holds it against what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field

from sp00ky.proto.folding import Change, Member, Placed, Result, Splice, fold
from sp00ky.proto.v1 import views_pb2


@dataclass
class Folded:
    """A watched view, as its messages say it is. `seq`: of the last message or progress."""

    result: Result | None = None
    state: views_pb2.ResultState = field(default_factory=views_pb2.ResultState)
    single: bool = False
    seq: int = 0
    settled: bool = False
    ended: str = ""
    shown: int = 0  # how often whole
    changed: int = 0


class Watcher:
    """Takes the messages of one stream, in order."""

    def __init__(self) -> None:
        self.views: dict[int, Folded] = {}
        self.seq = 0  # of the last progress

    def hear(self, data: bytes) -> None:
        response = views_pb2.WatchViewsResponse.FromString(data)
        match response.WhichOneof("frame"):
            case "shown":
                self._shown(response.shown)
            case "changed":
                self._changed(response.changed)
            case "ended":
                self.views[response.ended.watch_id].ended = response.ended.reason or "ended"
            case "progress":
                self._progress(response.progress)
            case other:
                raise AssertionError(f"a message of no kind: {other}")

    def _shown(self, shown: views_pb2.ResultShown) -> None:
        view = self.views[shown.watch_id]
        view.result = Result(list(map(member_of, shown.members)), list(shown.rows_json))
        view.single, view.shown = shown.single, view.shown + 1
        self._stated(view, shown.state)

    def _changed(self, changed: views_pb2.ResultChanged) -> None:
        view = self.views[changed.watch_id]
        assert view.result is not None, "a change of what was never shown"
        assert seq_in(changed.from_revision) <= view.seq, f"from {changed.from_revision}, held at {view.seq}"
        fold(view.result, change_of(changed))
        view.changed += 1
        self._stated(view, changed.state)

    def _stated(self, view: Folded, state: views_pb2.ResultState) -> None:
        assert not view.ended, "a view that has ended moves"
        assert seq_in(state.revision) >= view.seq, f"{state.revision} after {view.seq}"
        view.seq, view.state, view.settled = seq_in(state.revision), state, True

    def _progress(self, progress: views_pb2.WatchProgress) -> None:
        assert seq_in(progress.revision) >= self.seq, "progress goes backwards"
        self.seq = seq_in(progress.revision)
        unsettled = set(progress.unsettled)
        for watch_id, view in self.views.items():
            if view.result is not None and not view.ended:
                view.settled = watch_id not in unsettled
                if view.settled:
                    view.seq = self.seq


def change_of(changed: views_pb2.ResultChanged) -> Change:
    return Change(
        list(map(member_of, changed.removed)),
        [Placed(each.at, member_of(each.member)) for each in changed.added],
        [Placed(each.at, member_of(each.member)) for each in changed.updated],
        [Splice(each.at, each.removed, tuple(each.rows_json)) for each in changed.rows],
    )


def member_of(member: views_pb2.Member) -> Member:
    return Member(member.id, member.version, member.parent, member.parent_rel)


def seq_in(token: str) -> int:
    return int(token.rpartition(".")[2])
