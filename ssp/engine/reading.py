"""What a reader gets of a view. Valid until the engine's next step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sp00ky.proto import digest
from sp00ky.proto.v1 import common_pb2
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.scope import Scope, Source
from sp00ky.proto.whole.select import finish
from sp00ky.ssp.circuit.arrangement import Arrangement, Record
from sp00ky.ssp.circuit.grouped import Groups
from sp00ky.ssp.circuit.members import Members
from sp00ky.ssp.circuit.traced import TracedResult
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.plan.nodes import Incremental, Traced
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.views.reevaluated import Rerun
from sp00ky.ssp.views.registry import View


class ViewReading:
    """One view as it is now. `members`, `hash` and `rows` are made when they are asked for."""

    __slots__ = ("_applied_seq", "_arrangement", "_keys", "_source_of", "_view")

    def __init__(
        self,
        view: View,
        applied_seq: int,
        arrangement: Arrangement | None,
        source_of: Callable[[Incremental | Traced], Source],
    ) -> None:
        self._view = view
        self._applied_seq = applied_seq
        self._arrangement = arrangement
        self._source_of = source_of
        self._keys: Sequence[bytes] | None = None

    @property
    def key(self) -> ViewKey:
        return self._view.key

    @property
    def spec(self) -> common_pb2.ViewSpec:
        return self._view.spec

    @property
    def surql(self) -> str:
        return str(self._view.spec.surql)

    @property
    def client_id(self) -> str:
        return str(self._view.spec.client_id)

    @property
    def mode(self) -> str:
        return self._view.mode

    @property
    def reason(self) -> str:
        """Why it is re-evaluated; empty for an incremental view."""
        return self._view.reason

    @property
    def state(self) -> State:
        return self._view.state

    @property
    def error(self) -> str:
        holder = self._view.holder
        return self._view.error or (holder.error if isinstance(holder, Rerun) else "")

    @property
    def unsettled(self) -> bool:
        """A run of its query is due or under way."""
        holder = self._view.holder
        return isinstance(holder, Rerun) and holder.unsettled

    @property
    def seq(self) -> int:
        """The revision at which members and rows are exact; 0 before the first result."""
        match self._view.holder:
            case Members():
                return self._applied_seq
            case TracedResult() as holder:
                return self._applied_seq if holder.failure is None else 0
            case Rerun() as holder:
                return holder.seq(self._applied_seq) if holder.hydrated else 0
            case None:
                return 0

    @property
    def hash(self) -> str:
        holder = self._view.holder
        return digest.hex(digest.EMPTY if holder is None else holder.hash)

    @property
    def size(self) -> int:
        holder = self._view.holder
        return 0 if holder is None or self._view.state is State.FAILED else holder.size

    @property
    def members(self) -> list[MemberChange]:
        """In the query's order, their children behind them; none for a query whose rows have no record ids."""
        match self._view.holder:
            case _ if self._view.state is State.FAILED:
                return []
            case Members() as holder:
                return [*(holder.members[key] for key in self._ordered(holder)), *holder.children()]
            case TracedResult() | Rerun() as holder:
                return holder.members()
            case None:
                return []

    def rows(self) -> Value:
        """The query's result. Raises NotPlain where SurrealDB could not project a row."""
        match self._view.holder, self._view.plan:
            case _ if self._view.state is State.FAILED:
                return []
            case Groups() as holder, _:
                return holder.result()
            case Members() as holder, Incremental() as plan:
                return self._project(plan, self._ordered(holder))
            case TracedResult() | Rerun() as holder, _:
                return holder.rows
            case _:
                return []

    @property
    def row_members(self) -> int:
        """How many members from the first on have the row at their place as theirs; 0: rows are not kept by member."""
        holder = self._view.holder
        if not isinstance(holder, Members) or isinstance(holder, Groups) or self._view.state is State.FAILED:
            return 0
        return holder.size

    def rows_at(self, places: Sequence[int]) -> Sequence[Value]:
        """The rows of these members, where rows are kept by member. Raises NotPlain as `rows` does."""
        holder, plan = self._view.holder, self._view.plan
        assert isinstance(holder, Members) and isinstance(plan, Incremental), "rows are kept by member"
        keys = self._ordered(holder)
        rows = self._project(plan, [keys[place] for place in places])
        assert isinstance(rows, list) and len(rows) == len(places), "a circuit's rows are its members'"
        return rows

    def _ordered(self, holder: Members) -> Sequence[bytes]:
        if self._keys is None:
            self._keys = holder.ordered()
        return self._keys

    def _project(self, plan: Incremental, keys: Sequence[bytes]) -> Value:
        assert self._arrangement is not None, "the table of a live view is held"
        held = self._arrangement.rows
        return project(plan, [held[key][0] for key in keys], self._source_of(plan))


def project(plan: Incremental, records: Sequence[Record], source: Source) -> Value:
    """π of the members: the query itself without what chose and ordered them."""
    projection = replace(plan.select, where=None, order=(), limit=None, start=None)
    return finish(projection, list(records), Scope(plan.params, source))
