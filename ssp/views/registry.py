"""The views of this SSP: what was registered, what they were planned to, who keeps their result.

A view's result is kept by its holder, which it may share: `Members` (one a shape and binding) or `TracedResult` (one a
text, params and user) for an incremental view, `Rerun` (one a text and params) for a re-evaluated one.

Invariant: a live view has a holder, a failed one an error; every holder has a view; `users` of a table are exactly the
views that need its rows, and a view's `needs` the tables that it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from sp00ky.proto.v1 import common_pb2
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.traced import TracedResult
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.plan.nodes import Incremental, Plan, Reevaluated
from sp00ky.ssp.views.lifecycle import Signal, State, after
from sp00ky.ssp.views.reevaluated import Rerun

Holder: TypeAlias = Members | TracedResult | Rerun
Culprit: TypeAlias = tuple[str, bytes]  # table and key of the record on which a view failed


def key_of(key: common_pb2.ViewKey) -> ViewKey:
    return ViewKey(key.id, key.auth_id)


@dataclass(slots=True)
class View:
    """One registered view that this SSP owns, or has handed over and serves until its new owner is told to write."""

    key: ViewKey
    spec: common_pb2.ViewSpec
    assigned_seq: int = 0
    held: bool = False  # ours, but its former owner has not released it
    ceased: bool = False  # another's, but not released to it yet: it is served here
    state: State = State.PENDING
    error: str = ""
    plan: Plan | None = None
    holder: Holder | None = None
    culprit: Culprit | None = None
    needs: set[str] = field(default_factory=set)  # tables

    def signal(self, signal: Signal) -> None:
        self.state = after(self.state, signal)

    @property
    def writes(self) -> bool:
        """Whether its edges are this SSP's to write."""
        return not (self.held or self.ceased)

    @property
    def table(self) -> str:
        """The table whose records are its members; empty if a circuit does not keep it."""
        return self.plan.table if isinstance(self.plan, Incremental) else ""

    @property
    def mode(self) -> str:
        return "reevaluated" if isinstance(self.plan, Reevaluated) else "incremental"

    @property
    def reason(self) -> str:
        """Why it is re-evaluated."""
        return self.plan.reason if isinstance(self.plan, Reevaluated) else ""

    def same_query(self, spec: common_pb2.ViewSpec) -> bool:
        return bool(self.spec.surql == spec.surql and self.spec.params == spec.params and self.spec.auth == spec.auth)


def _may_read(plan: Plan | None, tables: frozenset[str]) -> bool:
    if plan is None:
        return True
    if plan.tables is None:
        return not isinstance(plan, Reevaluated)  # that one's answers are touched by any table
    return bool(plan.tables & tables)


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

    def need(self, view: View, table: str) -> None:
        """The view is kept from this table's rows, too."""
        view.needs.add(table)
        self.users.setdefault(table, set()).add(view.key)

    def release(self, view: View) -> None:
        """The view needs no table any more."""
        for table in view.needs:
            users = self.users[table]
            users.discard(view.key)
            if not users:
                del self.users[table]
        view.needs.clear()

    def readers(self, tables: frozenset[str]) -> list[View]:
        """Views that may read one of these tables: some only find out by their records which they read, and of one that
        could not be planned nothing is known."""
        return [view for view in self.views.values() if view.needs & tables or _may_read(view.plan, tables)]

    def users_of(self, table: str) -> list[View]:
        """Views that need the table's rows."""
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
