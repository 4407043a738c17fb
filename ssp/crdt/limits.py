"""What collaborative fields may cost, and how long their history is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sp00ky.proto.faults import Code, Fault
from sp00ky.ssp.config import SspSettings
from sp00ky.ssp.crdt.document import Document
from sp00ky.ssp.crdt.store import Mark

WAITING_MAX: Final = 4_096  # updates of one document that wait to be written
GROUP_MAX: Final = 512  # of them in one transaction
WEIGHT_BYTES: Final = 64 * 1024  # a document of so many bytes counts as two in the cache, and so on


@dataclass(frozen=True, slots=True)
class Limits:
    documents_max: int = 10_000
    update_bytes_max: int = 256 * 1024
    document_bytes_max: int = 4 * 1024 * 1024  # of a snapshot; no more operations, either
    history_bytes: int = 256 * 1024  # a snapshot up to that size keeps all of its history
    history_secs: int = 7 * 86_400  # that far back history is always kept

    def require_update(self, update: bytes) -> None:
        if len(update) > self.update_bytes_max:
            hint = "send less at once, or raise SPKY_CRDT_UPDATE_BYTES_MAX"
            message = f"the update has {len(update)} bytes, the limit is {self.update_bytes_max}"
            raise Fault(Code.TOO_LARGE, message, hint)

    def require_state(self, state: bytes) -> None:
        if len(state) > self.document_bytes_max:
            hint = "raise SPKY_CRDT_DOCUMENT_BYTES_MAX"
            message = f"the document would have {len(state)} bytes, the limit is {self.document_bytes_max}"
            raise Fault(Code.TOO_LARGE, message, hint)


def limits_of(settings: SspSettings) -> Limits:
    return Limits(
        settings.crdt_cache_size,
        settings.crdt_update_bytes_max,
        settings.crdt_document_bytes_max,
        settings.crdt_history_bytes,
        settings.crdt_history_secs,
    )


class Kept(NamedTuple):
    """What to store of a document. `dropped`: some of its history is not in it any more."""

    state: bytes
    mark: Mark | None = None
    dropped: bool = False


def kept(document: Document, mark: Mark | None, limits: Limits, now: float) -> Kept:
    """The state to store, and the version that history will be kept from later.

    Dropping history right away would refuse those who edit at this moment. So a large document is marked first, and
    what came before the mark is dropped once the mark is old enough, when the next mark is set."""
    state = document.snapshot()
    if len(state) <= limits.history_bytes:
        return Kept(state)
    if mark is None and limits.history_secs:
        return Kept(state, Mark(document.frontiers(), now))
    if mark is not None and now - mark.at < limits.history_secs:
        return Kept(state, mark)
    shallow = document.shallow(mark.frontiers if mark else document.frontiers())
    next_mark = Mark(document.frontiers(), now)
    return Kept(shallow, next_mark, dropped=True) if len(shallow) < len(state) else Kept(state, next_mark)
