"""Whoever watches views, folding what it is shown, holds at every cut what a reader is told, however slow it is."""

from __future__ import annotations

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sp00ky.proto.folding import Member
from sp00ky.proto.memory import Memory
from sp00ky.proto.v1 import views_pb2
from sp00ky.proto.values.json import encode_json
from sp00ky.proto.values.text import record_id_text
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.watching import hub as hub_module
from sp00ky.ssp.watching.hub import Hub, Peer

from tests.harness.driven_engine import Driven
from tests.harness.library import Draw, Query, append
from tests.harness.watcher import Folded, Watcher
from tests.properties.test_twins import FAMILIES

SEEDS = st.integers(0, 2**32).map(random.Random)
QUICK = settings(deadline=None, max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
VIEWS = 8
STEPS = 15


def token(seq: int) -> str:
    return f"v1.00000000.00000001.{seq:020d}"


class Watched(Driven):
    """An engine whose steps the hub hears of."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(self.engine, token, Memory())

    def step(self, event: object):  # type: ignore[no-untyped-def]
        ready = super().step(event)
        self.hub.take(ready)
        return ready


class Gateway:
    """A peer that reads when it is told to."""

    def __init__(self, driven: Watched) -> None:
        self.driven = driven
        self.peer: Peer = driven.hub.join(lambda: None)
        self.watcher = Watcher()
        self.keys: dict[int, tuple[ViewKey, bool]] = {}

    def open(self, view: str, *, rows: bool) -> None:
        watch_id = len(self.watcher.views) + 1
        self.keys[watch_id] = ViewKey(view), rows
        self.watcher.views[watch_id] = Folded()
        self.driven.hub.open(self.peer, watch_id, ViewKey(view), rows=rows, at_least_seq=0)

    def read(self, count: int) -> None:
        while count and (data := self.peer.take()) is not None:
            self.watcher.hear(data)
            count -= 1

    def check(self) -> None:
        """All has been read, and the hub has just shown what is."""
        for watch_id, (key, rows) in self.keys.items():
            folded, reading = self.watcher.views[watch_id], self.driven.engine.view(key)
            if reading is None:
                assert folded.ended
                continue
            assert folded.result is not None and folded.settled, f"{key}: {folded}"
            assert folded.seq == self.driven.hub.seq == reading.seq or folded.state.error
            assert folded.result.members == members_of(reading), reading.surql
            assert folded.state.hash == reading.hash
            if rows:
                result = reading.rows()
                listed = result if isinstance(result, list) else [result]
                assert folded.single is not isinstance(result, list)
                assert folded.result.rows == [encode_json(row).decode() for row in listed], reading.surql


def members_of(reading: ViewReading) -> list[Member]:
    return [
        Member(
            record_id_text(each.id),
            each.version,
            "" if each.parent is None else record_id_text(each.parent),
            each.parent_rel,
        )
        for each in reading.members
    ]


@pytest.mark.parametrize("family", FAMILIES)
@QUICK
@given(source=SEEDS)
def test_what_is_folded_is_what_is_read(family: str, source: random.Random) -> None:
    draw, driven = Draw(source), Watched()
    append(driven, [draw.change() for _ in range(20)])
    driven.welcome()
    for number in range(VIEWS):
        text = source.choice(FAMILIES[family])
        query = Query(text, draw.params(text))
        driven.log.register(f"v{number}", query.surql, query.params)
    prompt, slow = Gateway(driven), Gateway(driven)
    small = source.choice((200, 2_000, hub_module.OUTBOX_BYTES_MAX))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "OUTBOX_BYTES_MAX", small)
        for number in range(VIEWS):
            for gateway in (prompt, slow):
                gateway.open(f"v{number}", rows=source.random() < 0.7)
        driven.catch_up()
        for _ in range(STEPS):
            for _ in range(source.randint(1, 3)):
                append(driven, draw.transaction())
                driven.catch_up()
            driven.hub.show(coarse=False)
            prompt.read(1 << 30)
            prompt.check()
            slow.read(source.randint(0, 4))
        slow.read(1 << 30)
        driven.hub.show(coarse=True)
        slow.read(1 << 30)
        slow.check()


def test_a_view_that_leaves_ends_its_watches_and_one_that_is_unknown_does_at_once() -> None:
    driven = Watched()
    driven.welcome()
    driven.log.register("here", "SELECT * FROM post")
    driven.catch_up()
    gateway = Gateway(driven)
    gateway.open("here", rows=True)
    gateway.open("nowhere", rows=False)
    driven.hub.show(coarse=True)
    gateway.read(1 << 30)
    assert gateway.watcher.views[1].shown == 1
    assert "not on this ssp" in gateway.watcher.views[2].ended
    driven.log.unregister("here")
    driven.catch_up()
    driven.hub.show(coarse=True)
    gateway.read(1 << 30)
    assert gateway.watcher.views[1].ended
    assert not driven.hub


def test_a_watch_ends_before_a_progress_that_does_not_speak_of_it() -> None:
    """Else its peer would take the result that it has for that of the later seq."""
    driven = Watched()
    driven.welcome()
    for view in ("leaves", "stays"):
        driven.log.register(view, "SELECT * FROM post")
    driven.catch_up()
    gateway = Gateway(driven)
    for view in ("leaves", "stays"):
        gateway.open(view, rows=True)
    driven.hub.show(coarse=True)
    gateway.read(1 << 30)
    driven.log.change("post", 1, {"n": 1})
    driven.log.unregister("leaves")
    driven.catch_up()
    driven.hub.show(coarse=True)
    kinds = []
    while (data := gateway.peer.take()) is not None:
        kinds.append(views_pb2.WatchViewsResponse.FromString(data).WhichOneof("frame"))
    assert kinds.index("ended") < kinds.index("progress")


def test_nothing_is_shown_before_the_seq_that_was_asked_for() -> None:
    driven = Watched()
    driven.welcome()
    driven.log.register("view", "SELECT * FROM post")
    driven.catch_up()
    gateway = Gateway(driven)
    gateway.watcher.views[1] = Folded()
    ahead = driven.log.head + 2
    driven.hub.open(gateway.peer, 1, ViewKey("view"), rows=False, at_least_seq=ahead)
    for _ in range(3):
        driven.hub.show(coarse=True)
        gateway.read(1 << 30)
        assert gateway.watcher.views[1].shown == (driven.engine.applied_seq >= ahead)
        driven.log.change("post", 1, {"n": 1})
        driven.catch_up()


def test_a_peer_that_reads_nothing_holds_no_more_than_its_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "OUTBOX_BYTES_MAX", 1_000)
    driven = Watched()
    driven.welcome()
    driven.log.register("view", "SELECT * FROM post")
    driven.catch_up()
    gateway = Gateway(driven)
    gateway.open("view", rows=True)
    driven.hub.show(coarse=True)
    for number in range(200):
        driven.log.change("post", number, {"n": number})
        driven.catch_up()
        driven.hub.show(coarse=True)
        assert gateway.peer.waiting_bytes < 1_500
    assert driven.hub.overflows
    gateway.read(1 << 30)
    gateway.check()


def test_watches_past_the_limit_are_refused_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "WATCHES_MAX", 1)
    driven = Watched()
    driven.welcome()
    driven.log.register("view", "SELECT * FROM post")
    driven.catch_up()
    gateway = Gateway(driven)
    gateway.open("view", rows=False)
    gateway.open("view", rows=True)
    driven.hub.show(coarse=True)
    gateway.read(1 << 30)
    assert gateway.watcher.views[1].shown and "1 watches" in gateway.watcher.views[2].ended
    assert driven.hub.metrics()["watches_refused_total"] == 1


def test_a_large_result_is_shown_at_coarse_cuts_and_said_to_be_behind_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LARGE", 2)
    driven = Watched()
    driven.welcome()
    for number in range(4):
        driven.log.change("post", number, {"n": number})
    driven.log.register("view", "SELECT * FROM post")
    driven.catch_up()
    gateway = Gateway(driven)
    gateway.open("view", rows=True)
    driven.hub.show(coarse=False)
    gateway.read(1 << 30)
    gateway.check()
    held = gateway.watcher.views[1].seq
    driven.log.change("post", 9, {"n": 9})
    driven.catch_up()
    driven.hub.show(coarse=False)
    gateway.read(1 << 30)
    view = gateway.watcher.views[1]
    assert (view.seq, view.settled, view.changed) == (held, False, 0)
    driven.hub.show(coarse=True)
    gateway.read(1 << 30)
    gateway.check()
    assert view.changed == 1
