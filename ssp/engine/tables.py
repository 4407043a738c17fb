"""The tables this SSP holds, and how they come in.

    Absent ──want──▶ Loading(at_seq, backlog) ──last page──▶ Held
                        ▲          │
                        └─backlog──┘ full: the load starts again at the newer applied seq

A load is exactly the revision at which it was begun; entries applied meanwhile wait in its backlog as net changes, so
the table is at the applied seq the moment it is held. Other tables go on live. Invariant: a table is in one of
`held`, `loading` or neither; a page counts only for the load whose number it carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sp00ky.ssp.circuit.arrangement import Arrangement, Moved, NetChange
from sp00ky.ssp.engine.events import PageReceived
from sp00ky.ssp.engine.ready import LoadPage


@dataclass(slots=True)
class Loading:
    load_id: int
    at_seq: int
    arrangement: Arrangement
    after_key: bytes = b""
    backlog: dict[bytes, NetChange] = field(default_factory=dict)


class Tables:
    """`backlog_max` bounds the records that may change during one load."""

    def __init__(self, backlog_max: int) -> None:
        self.held: dict[str, Arrangement] = {}
        self.loading: dict[str, Loading] = {}
        self.reloads = 0
        self._backlog_max = backlog_max
        self._load_id = 0

    def clear(self) -> None:
        self.held.clear()
        self.loading.clear()

    def want(self, table: str, at_seq: int) -> LoadPage | None:
        """Begin to load the table unless it is held or coming; the first page to ask for."""
        if table in self.held or table in self.loading:
            return None
        return self._begin(table, at_seq)

    def names(self) -> list[str]:
        """The tables that are held or coming."""
        return [*self.held, *self.loading]

    def release(self, table: str) -> None:
        """Nobody needs the table: forget it."""
        self.held.pop(table, None)
        self.loading.pop(table, None)

    def restart(self, at_seq: int) -> list[LoadPage]:
        """A new stream: loads under way begin again, at the revision it resumes from."""
        return [self._begin(table, at_seq) for table in sorted(self.loading)]

    def _begin(self, table: str, at_seq: int) -> LoadPage:
        self._load_id += 1
        self.loading[table] = Loading(self._load_id, at_seq, Arrangement(table))
        return LoadPage(self._load_id, table, at_seq, b"")

    def take_page(self, page: PageReceived) -> LoadPage | bool:
        """The next page to ask for; True if the table is held now; False for a page of no present load."""
        loading = self.loading.get(page.table)
        if loading is None or loading.load_id != page.load_id:
            return False
        arrangement = loading.arrangement
        for row in page.rows:
            arrangement.load(row.key, row.packed, row.seq)
        if page.next_after_key:
            loading.after_key = page.next_after_key
            return LoadPage(loading.load_id, page.table, loading.at_seq, loading.after_key)
        arrangement.apply(loading.backlog)
        del self.loading[page.table]
        self.held[page.table] = arrangement
        return True

    def apply(
        self, changes: Mapping[str, Mapping[bytes, NetChange]], applied_seq: int
    ) -> tuple[dict[str, list[Moved]], list[LoadPage]]:
        """The first phase of a batch: held tables move, backlogs grow. What has moved, and the loads that must begin
        again because their backlog is full."""
        moved: dict[str, list[Moved]] = {}
        again: list[LoadPage] = []
        for table, net in changes.items():
            arrangement = self.held.get(table)
            if arrangement is not None:
                moved[table] = arrangement.apply(net)
                continue
            loading = self.loading.get(table)
            if loading is not None:
                loading.backlog.update(net)
                if len(loading.backlog) > self._backlog_max:
                    self.reloads += 1
                    again.append(self._begin(table, applied_seq))
        return moved, again
