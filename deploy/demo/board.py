"""What the demo shows while changes are replayed: one row per view, redrawn in place; plain lines where there is no
terminal.

Lag is how long ago the scheduler's log went past the revision that the view is at: 0 when it is at the head.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from sp00ky.proto.revision import parse_revision

HEADS_KEPT = 4_096
LINE_SECONDS = 2.0


@dataclass(slots=True)
class Heads:
    """When the log's head was seen where."""

    seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=HEADS_KEPT))

    def note(self, now: float, head_seq: int) -> None:
        if not self.seen or self.seen[-1][1] != head_seq:
            self.seen.append((now, head_seq))

    def lag_ms(self, now: float, seq: int) -> float:
        """Since when there is something that a reader at `seq` has not got."""
        past = next((at for at, head in self.seen if head > seq), None)
        return 0.0 if past is None else (now - past) * 1000


class Board:
    """`with Board(console) as board: board.show(views, head_seq, done)`."""

    def __init__(self, console: Console, order: Sequence[str], total: int) -> None:
        self._console = console
        self._order = order
        self._total = total
        self._heads = Heads()
        self._began = self._line_at = time.monotonic()
        self._live = Live(console=console, refresh_per_second=8, transient=False) if console.is_terminal else None

    def __enter__(self) -> Board:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._live:
            self._live.__exit__(*raised)

    def show(self, views: Iterable[Mapping[str, Any]], head_seq: int, done: int) -> None:
        """The state of every view after `done` changes."""
        now = time.monotonic()
        self._heads.note(now, head_seq)
        rate = done / max(0.001, now - self._began)
        known = {view["id"]: view for view in views}
        lags = {name: self._heads.lag_ms(now, seq_of(view)) for name, view in known.items()}
        if self._live:
            self._live.update(self._table(known, lags, done, rate))
        elif now - self._line_at >= LINE_SECONDS or done == self._total:
            self._line_at = now
            worst = max(lags.values(), default=0.0)
            self._console.print(f"{done}/{self._total} changes, {rate:.0f}/s, largest lag {worst:.0f} ms")

    def _table(
        self, known: Mapping[str, Mapping[str, Any]], lags: Mapping[str, float], done: int, rate: float
    ) -> Table:
        table = Table(title=f"{done:,}/{self._total:,} changes, {rate:,.0f}/s", title_justify="left")
        for column, justify in (
            ("view", "left"),
            ("mode", "left"),
            ("state", "left"),
            ("rows", "right"),
            ("lag ms", "right"),
        ):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        for name in self._order:
            view = known.get(name)
            if view:
                table.add_row(name, view["mode"], view["state"], f"{view['members']:,}", f"{lags[name]:.0f}")
        return table


def seq_of(view: Mapping[str, Any]) -> int:
    """0 while a view has no revision yet."""
    return parse_revision(view["revision"]).seq if view["revision"] else 0
