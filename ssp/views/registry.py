"""The views of this SSP: what was registered, what they were planned to, who keeps their result.

A view's result is kept by its holder, which it may share: `Members` (one a shape and binding) for an incremental view,
`Rerun` (one a text and params) for a re-evaluated one.

Invariant: a live view has a holder, a failed one an error; every holder has a view; `users` of a table are exactly the
views that are planned to be kept from its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sp00ky.proto.v1 import common_pb2
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.plan.nodes import Incremental, Plan
from sp00ky.ssp.views.lifecycle import Signal, State, after
from sp00ky.ssp.views.reevaluated import Rerun

Holder: TypeAlias = Members | Rerun
Culprit: TypeAlias = tuple[str, bytes]  # table and key of the record on which a view failed


def key_of(key: common_pb2.ViewKey) -> ViewKey:
    return ViewKey(key.id, key.auth_id)


@dataclass(slots=True)
class View:
    """One registered view that this SSP owns."""

    key: ViewKey
    spec: common_pb2.ViewSpec
    from_ssp_id: str = ""
    assigned_seq: int = 0
    state: State = State.PENDING
    error: str = ""
    plan: Plan | None = None
    holder: Holder | None = None
    culprit: Culprit | None = None

    def signal(self, signal: Signal) -> None:
        self.state = after(self.state, signal)

    @property
    def table(self) -> str:
        """The table from whose rows it is kept; empty if it is kept otherwise."""
        return self.plan.table if isinstance(self.plan, Incremental) else ""

    @property
    def mode(self) -> str:
        return "incremental" if isinstance(self.plan, Incremental) else "reevaluated"

    @property
    def reason(self) -> str:
        """Why it is re-evaluated."""
        return "" if self.plan is None or isinstance(self.plan, Incremental) else self.plan.reason

    def same_query(self, spec: common_pb2.ViewSpec) -> bool:
        return bool(self.spec.surql == spec.surql and self.spec.params == spec.params)


class Registry:
    """Views by key, who uses a table, and who waits for a record to be mended."""

    def __init__(self) -> None:
        self.views: dict[ViewKey, View] = {}
        self.users: dict[str, set[ViewKey]] = {}
        self._blamed: dict[Culprit, set[ViewKey]] = {}

    def clear(self) -> list[ViewKey]:
        """Forget everything; the views that were owned."""
        owned = list(self.views)
        self.views.clear()
        self.users.clear()
        self._blamed.clear()
        return owned

    # --- views ---

    def plan_to(self, view: View, plan: Plan | None) -> str:
        """Give the view a plan; the name of a table that nobody uses any more, or empty."""
        before = view.table
        view.plan = plan
        table = view.table
        if table:
            self.users.setdefault(table, set()).add(view.key)
        if not before or before == table:
            return ""
        users = self.users[before]
        users.discard(view.key)
        if users:
            return ""
        del self.users[before]
        return before

    def readers(self, tables: frozenset[str]) -> list[View]:
        """Views whose query is known to read one of these tables."""
        return [
            view
            for view in self.views.values()
            if view.plan is not None and view.plan.tables is not None and view.plan.tables & tables
        ]

    def users_of(self, table: str) -> list[View]:
        """Views that are kept, or are to be kept, from the table's rows."""
        return [self.views[key] for key in sorted(self.users.get(table, ()))]

    # --- records on which views failed ---

    def blame(self, view: View, culprit: Culprit) -> None:
        self.absolve(view)
        view.culprit = culprit
        self._blamed.setdefault(culprit, set()).add(view.key)

    def absolve(self, view: View) -> None:
        if view.culprit is not None:
            blaming = self._blamed[view.culprit]
            blaming.discard(view.key)
            if not blaming:
                del self._blamed[view.culprit]
            view.culprit = None

    def waiting_for(self, table: str, keys: Iterable[bytes]) -> Iterator[View]:
        """Views that failed on one of these records."""
        if not self._blamed:
            return
        for key in keys:
            for blaming in sorted(self._blamed.get((table, key), ())):
                yield self.views[blaming]
