"""The client's own parts: events out of bytes in any pieces, and steps out of events over broken connections."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.gateway import event_reader
from sp00ky.gateway.client.watch import Watch
from sp00ky.gateway.event_reader import EventReader, ServerEvent
from sp00ky.gateway.sse import encode_event
from sp00ky.proto.faults import Code, Fault

TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20)
EVENTS = st.lists(st.tuples(TEXT, st.from_regex(r"[a-z-]{1,9}", fullmatch=True), TEXT), max_size=8)


@given(EVENTS, st.data())
def test_any_pieces_give_the_events_that_were_written(events: list[tuple[str, str, str]], data: st.DataObject) -> None:
    written = b"retry: 1000\n\n" + b"".join(
        encode_event(text.encode(), name=name, event_id=event_id) + b":\n\n" for event_id, name, text in events
    )
    cuts = data.draw(st.lists(st.integers(0, len(written)), max_size=10).map(sorted))
    reader = EventReader()
    read = [
        event
        for begin, end in zip([0, *cuts], [*cuts, len(written)], strict=True)
        for event in reader.feed(written[begin:end])
    ]
    assert read == [ServerEvent(name, event_id, text.encode()) for event_id, name, text in events]


def test_a_stream_is_read_as_the_standard_has_it() -> None:
    written = b':\nevent: mesh\r\nid: 7\ndata: {"a":\ndata: 1}\n\ndata: 2\n\nevent: empty\n\ndata: cut off\n'
    assert list(EventReader().feed(written)) == [
        ServerEvent("mesh", "7", b'{"a":\n1}'),
        ServerEvent("message", "", b"2"),
    ]


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_reader, "EVENT_BYTES_MAX", 100)
    reader = EventReader()
    list(reader.feed(b"data: " + b"x" * 90))
    with pytest.raises(ValueError, match="larger than 100"):
        list(reader.feed(b"x" * 90))


def test_many_events_are_no_large_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_reader, "EVENT_BYTES_MAX", 100)
    reader = EventReader()
    for _ in range(50):
        assert len(list(reader.feed(b"data: x\n\n"))) == 1


def event(name: str, event_id: str = "", **body: Any) -> ServerEvent:
    return ServerEvent(name, event_id, json.dumps(body).encode())


def snapshot(view: str, revision: str, *rows: int, event_id: str = "") -> ServerEvent:
    members = [{"id": f"t:{row}", "version": 1} for row in rows]
    return event("snapshot", event_id, id=view, revision=revision, members=members, rows=list(rows), state="live")


def entered(view: str, revision: str, row: int, event_id: str = "") -> ServerEvent:
    splices = [{"at": 0, "remove": 0, "insert": [row]}]
    added = [{"at": 0, "id": f"t:{row}", "version": 2}]
    return event("delta", event_id, id=view, revision=revision, added=added, rows=splices, state="live")


def test_one_view_moves_with_each_event() -> None:
    watch = Watch(["a"], rows_asked=True)
    first = watch.take(snapshot("a", "r1", 1, 2, event_id="r1"))
    assert first is not None and first.deltas["a"].rows == [1, 2] and len(first.deltas["a"].added) == 2
    assert watch.take(event("up-to-date", "r2", revision="r2")) is None and watch.since == "r2"
    second = watch.take(entered("a", "r3", 0, event_id="r3"))
    assert second is not None and second.deltas["a"].rows == [0, 1, 2]
    assert [each.id for each in second.deltas["a"].added] == ["t:0"] and watch.since == "r3"


def test_several_views_move_at_the_revisions_of_all_and_what_was_told_in_part_is_void() -> None:
    watch = Watch(["a", "b"], rows_asked=True)
    assert watch.take(snapshot("a", "r1", 1)) is None
    assert watch.take(event("up-to-date", revision="r1")) is None, "b is not there yet"
    assert watch.take(snapshot("b", "r1", 5)) is None
    begun = watch.take(event("up-to-date", "r1", revision="r1"))
    assert begun is not None and set(begun.deltas) == {"a", "b"} and begun.revision == "r1"
    assert watch.take(entered("a", "r2", 0)) is None
    watch.broke()
    assert watch.since == "r1"
    assert watch.take(entered("a", "r2", 0)) is None, "it is told again"
    assert watch.take(entered("b", "r2", 4)) is None
    moved = watch.take(event("up-to-date", "r2", revision="r2"))
    assert moved is not None and moved.deltas["a"].rows == [0, 1] and moved.deltas["b"].rows == [4, 5]


def test_a_snapshot_in_place_of_what_was_held_tells_the_difference() -> None:
    watch = Watch(["a"], rows_asked=True)
    watch.take(snapshot("a", "r1", 1, 2, event_id="r1"))
    assert watch.take(event("must-refetch", id="a", code="SPKY_REVISION_GONE", message="gone")) is None
    step = watch.take(snapshot("a", "r9", 2, 3, event_id="r9"))
    assert step is not None
    delta = step.deltas["a"]
    assert ([each.id for each in delta.added], [each.id for each in delta.removed]) == (["t:3"], ["t:1"])
    assert delta.rows == [2, 3]


def test_a_single_value_is_no_list() -> None:
    watch = Watch(["a"], rows_asked=True)
    one = watch.take(event("snapshot", "r1", id="a", revision="r1", members=[], row={"n": 1}))
    two = watch.take(event("delta", "r2", id="a", revision="r2", row={"n": 2}))
    assert one is not None and two is not None
    assert (one.deltas["a"].rows, two.deltas["a"].rows) == ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("name", ["gone", "fault"])
def test_the_end_is_raised(name: str) -> None:
    with pytest.raises(Fault) as caught:
        Watch(["a"], rows_asked=False).take(event(name, code="SPKY_NOT_FOUND", message="it is gone"))
    assert caught.value.code is Code.NOT_FOUND


def test_views_are_named_once() -> None:
    for views in ([], ["a", "a"]):
        with pytest.raises(Fault):
            Watch(views, rows_asked=True)
