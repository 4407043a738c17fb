"""Editors of a collaborative field, as an application has them: a Loro document each, which tells what it changed."""

from __future__ import annotations

import random
from typing import Any

from loro import ExportMode, LoroDoc, VersionVector

FIELD = "content"


class Editor:
    """`peer`: its number in Loro's histories. `told`: every update that it has made, in order."""

    def __init__(self, peer: int, field: str = FIELD) -> None:
        self.doc: Any = LoroDoc()  # type: ignore[no-untyped-call]
        self.doc.peer_id = peer
        self.field = field
        self.peer = str(peer)
        self.told: list[bytes] = []

    def type(self, text: str, at: int | None = None) -> bytes:
        """Insert, at the end unless told where; the update."""
        return self.changed(lambda doc: self._insert(doc, text, at))

    def edit(self, draw: random.Random) -> bytes:
        """Insert or delete somewhere; the update."""
        length = self.doc.get_text(self.field).len_unicode
        if length > 3 and draw.random() < 0.3:
            at = draw.randrange(length - 1)
            return self.changed(
                lambda doc: doc.get_text(self.field).delete(at, 1 + draw.randrange(min(3, length - at)))
            )
        return self.type(draw.choice(["a", "bc", "é", "👍", "\n"]), draw.randrange(length + 1))

    def changed(self, change: Any) -> bytes:
        before = self.doc.oplog_vv
        change(self.doc)
        self.doc.commit()
        update: bytes = self.doc.export(ExportMode.Updates(before))
        self.told.append(update)
        return update

    def hear(self, update: bytes) -> None:
        self.doc.import_(update)

    def lacks(self, version: bytes) -> bytes:
        """What somebody at that version lacks of ours."""
        update: bytes = self.doc.export(ExportMode.Updates(VersionVector.decode(version)))
        return update

    def version(self) -> bytes:
        encoded: bytes = self.doc.oplog_vv.encode()
        return encoded

    def snapshot(self) -> bytes:
        state: bytes = self.doc.export(ExportMode.Snapshot())
        return state

    @property
    def text(self) -> str:
        said: str = self.doc.get_text(self.field).to_string()
        return said

    def _insert(self, doc: Any, text: str, at: int | None) -> None:
        place = doc.get_text(self.field)
        place.insert(place.len_unicode if at is None else at, text)


def merged(*editors: Editor) -> str:
    """What Loro itself makes of them all."""
    whole = Editor(0)
    for editor in editors:
        whole.hear(editor.snapshot())
    return whole.text
