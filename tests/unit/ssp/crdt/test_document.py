"""The merge itself: any order, any number of times, and nothing of what is refused."""

from __future__ import annotations

import base64
import random

import pytest
from loro import LoroDoc
from sp00ky.proto.faults import Code, Fault
from sp00ky.ssp.crdt.declared import Kind
from sp00ky.ssp.crdt.document import VERSION, Document
from sp00ky.ssp.crdt.limits import Limits, kept
from sp00ky.ssp.crdt.store import Mark

from tests.harness.editors import FIELD, Editor, merged

OPS_MAX = 100_000


def document(state: bytes = b"", kind: Kind = Kind.TEXT) -> Document:
    return Document(FIELD, kind, OPS_MAX, state)


def three_editors(seed: int) -> list[Editor]:
    """Who have typed, and sometimes heard of each other."""
    draw = random.Random(seed)
    editors = [Editor(peer) for peer in (1, 2, 3)]
    for _ in range(60):
        editor = draw.choice(editors)
        editor.edit(draw)
        if draw.random() < 0.2:
            editor.hear(draw.choice(editors).snapshot())
    return editors


@pytest.mark.parametrize("seed", range(20))
def test_updates_in_any_order_and_twice_are_what_loro_merges(seed: int) -> None:
    editors, draw = three_editors(seed), random.Random(seed)
    whole = merged(*editors)
    held, updates = document(), [update for editor in editors for update in editor.told] * 2
    draw.shuffle(updates)
    while updates:  # what is too early comes again later
        late = []
        for update in updates:
            try:
                held.merge(update)
            except Fault as fault:
                assert VERSION in fault.details
                late.append(update)
        assert len(late) < len(updates)
        updates = late
    assert held.value() == whole
    assert document(held.snapshot()).value() == whole


def _flipped(update: bytes, at: int) -> bytes:
    return update[:at] + bytes([update[at] ^ 1]) + update[at + 1 :]


def refusals() -> dict[str, tuple[bytes, Code]]:
    other, field, map_of_it, ahead, vast = Editor(7), Editor(8, "title"), Editor(9), Editor(10), Editor(11)
    update = other.type("x")
    ahead.type("seen by nobody")
    return {
        "empty": (b"", Code.INVALID),
        "no update": (b"hello", Code.INVALID),
        "cut": (update[:-1], Code.INVALID),
        **{f"flipped at {at}": (_flipped(update, at), Code.INVALID) for at in (0, 20, 30, len(update) - 1)},
        "another field": (field.type("x"), Code.INVALID),
        "another kind": (map_of_it.changed(lambda doc: doc.get_map(FIELD).insert("a", 1)), Code.INVALID),
        "one of its containers is another's": (
            Editor(12).changed(lambda doc: (doc.get_text(FIELD).insert(0, "y"), doc.get_list("z").insert(0, 1))),
            Code.INVALID,
        ),
        "from the future": (ahead.type("later"), Code.INVALID),
        "on what is not here": (_on_top_of(ahead), Code.INVALID),
        "huge": (vast.type("a" * (OPS_MAX + 1)), Code.TOO_LARGE),
        "huge, packed small": (_packed(vast), Code.TOO_LARGE),
    }


def _on_top_of(editor: Editor) -> bytes:
    reader = Editor(13)
    reader.hear(editor.snapshot())
    return reader.type("!")


def _packed(editor: Editor) -> bytes:
    snapshot = editor.snapshot()
    assert len(snapshot) < OPS_MAX / 10
    return snapshot


@pytest.mark.parametrize("name", refusals())
def test_i10_what_is_refused_changes_nothing(name: str) -> None:
    editor = Editor(1)
    held = document()
    held.merge(editor.type("kept"))
    held.saved_as(held.snapshot())
    held.merge(editor.type(" and not yet saved"))
    update, code = refusals()[name]
    for _ in range(2):
        before = held.value(), held.snapshot(), held.moved
        with pytest.raises(Fault) as refused:
            held.merge(update)
        assert refused.value.code is code
        assert (held.value(), held.snapshot(), held.moved) == before
    assert held.merge(editor.type("!")) and held.value() == "kept and not yet saved!"


def test_who_is_ahead_is_told_from_where_to_send() -> None:
    editor, held = Editor(1), document()
    editor.type("first")
    with pytest.raises(Fault) as refused:
        held.merge(editor.type(" second"))
    held.merge(editor.lacks(base64.b64decode(refused.value.details[VERSION])))
    assert held.value() == "first second"


def test_what_is_not_saved_can_be_forgotten() -> None:
    editor, held = Editor(1), document()
    held.merge(editor.type("saved"))
    held.saved_as(held.snapshot())
    assert not held.moved and held.merge(editor.type("!")) and held.moved
    held.forget_unsaved()
    assert held.value() == "saved" and not held.moved


@pytest.mark.parametrize(
    ("kind", "change", "value"),
    [
        (Kind.TEXT, lambda doc: doc.get_text(FIELD).insert(0, "é"), "é"),
        (Kind.MAP, lambda doc: doc.get_map(FIELD).insert("a", None), {"a": None}),
        (Kind.LIST, lambda doc: doc.get_list(FIELD).insert(0, 1.5), [1.5]),
        (Kind.COUNTER, lambda doc: doc.get_counter(FIELD).increment(2), 2),
        (Kind.COUNTER, lambda doc: doc.get_counter(FIELD).decrement(0.5), -0.5),
    ],
)
def test_every_kind_has_its_value(kind: Kind, change: object, value: object) -> None:
    held = document(kind=kind)
    assert type(held.value()) is type(document(kind=kind).value())
    held.merge(Editor(1).changed(change))
    assert held.value() == value
    assert document(held.snapshot(), kind).value() == value


def test_history_is_dropped_once_it_is_large_and_old() -> None:
    limits, editor, held = Limits(history_bytes=1_000, history_secs=60), Editor(1), document()
    draw = random.Random(5)
    for _ in range(600):
        held.merge(editor.edit(draw))
    away = Editor(2)  # who has seen this, and will edit it
    away.hear(editor.snapshot())
    state, mark, dropped = kept(held, None, limits, now=0.0)
    assert mark is not None and not dropped and len(state) > limits.history_bytes
    for _ in range(50):
        held.merge(editor.edit(draw))
    assert kept(held, mark, limits, now=59.0)[1:] == (mark, False)
    state, mark, dropped = kept(held, mark, limits, now=60.0)
    assert dropped and len(state) < len(held.snapshot())
    shallow = document(state)
    assert shallow.value() == editor.text
    shallow.merge(away.type("from before the mark was passed"))
    assert shallow.value() == merged(editor, away)
    with pytest.raises(Fault) as refused:
        shallow.merge(_long_away(editor))
    assert refused.value.code is Code.REVISION_GONE
    nothing: bytes = LoroDoc().oplog_vv.encode()  # type: ignore[no-untyped-call]
    with pytest.raises(Fault) as refused:
        shallow.since(nothing)
    assert refused.value.code is Code.REVISION_GONE


def _long_away(editor: Editor) -> bytes:
    """An edit of somebody who saw the first ten updates."""
    away = Editor(3)
    for update in editor.told[:10]:
        away.hear(update)
    return away.type("old")


def test_a_small_document_keeps_its_history() -> None:
    held = document()
    held.merge(Editor(1).type("short"))
    assert kept(held, Mark(held.frontiers(), 0.0), Limits(), now=1e12) == (held.snapshot(), None, False)
