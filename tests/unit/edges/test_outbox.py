"""The outbox folds deltas into their net effect; folding is what makes a redo safe."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.edges.outbox import PendingEdges, batches, difference, edge_of
from sp00ky.ssp.edges.tables import EdgeTables
from sp00ky.ssp.engine.events import ViewKey
from sp00ky.ssp.engine.ready import MemberChange, ViewDelta

KEY = ViewKey("v1")


def member(key: int, version: int = 1) -> MemberChange:
    return MemberChange(RecordId("t", key), version)


def applied(stored: dict[str, int], pending: PendingEdges) -> dict[str, int]:
    """The stored edges (edge → version) after a transaction has written `pending`: the twin of statements.WRITE."""
    after = {edge: version for edge, version in stored.items() if edge not in pending.gone}
    return after | {edge: change.version for edge, change in pending.put.items()}


steps = st.lists(st.tuples(st.sampled_from(["add", "update", "remove"]), st.integers(0, 4)), max_size=30)


@given(steps, st.integers(0, 30))
@settings(deadline=None)
def test_folding_in_two_windows_equals_writing_each_step(history: list[tuple[str, int]], cut: int) -> None:
    """Whatever the cut, and whether or not the first part is written twice, the edges end the same."""
    truth: dict[str, int] = {}
    first, second = PendingEdges(), PendingEdges()
    for version, (verb, number) in enumerate(history, start=1):
        change = member(number, version)
        edge = edge_of(KEY, change)
        present = edge in truth
        if verb == "remove" and present:
            delta = ViewDelta([KEY], version, removed=[member(number, truth.pop(edge))])
        elif verb == "update" and present:
            delta = ViewDelta([KEY], version, updated=[change])
            truth[edge] = version
        elif verb == "add" and not present:
            delta = ViewDelta([KEY], version, added=[change])
            truth[edge] = version
        else:
            continue
        (first if version <= cut else second).fold(KEY, delta)
    once = applied({}, first)
    assert applied(applied(once, first), second) == truth
    assert applied({}, first.then(second)) == truth


def test_difference_writes_only_what_differs() -> None:
    kept, moved, fresh = member(1, 5), member(2, 9), member(3, 4)
    stored = {edge_of(KEY, kept): 5, edge_of(KEY, moved): 8, "stray": 1}
    pending = difference(KEY, [kept, moved, fresh], stored)
    assert list(pending.put) == [edge_of(KEY, moved), edge_of(KEY, fresh)]
    assert pending.gone == {"stray"}


def test_a_version_never_goes_back() -> None:
    """An edge stored at a later version than ours (another owner was ahead) is left alone."""
    ahead = member(1, 5)
    assert len(difference(KEY, [ahead], {edge_of(KEY, ahead): 6})) == 0


@given(st.dictionaries(st.tuples(st.integers(0, 20), st.integers(0, 5)), st.integers(0, 12), max_size=12),
       st.integers(1, 6), st.integers(1, 4))  # fmt: skip
@settings(deadline=None)
def test_batches_hold_every_view_once_and_keep_to_the_limits(
    sizes: dict[tuple[int, int], int], together_max: int, users_max: int
) -> None:
    pending: dict[ViewKey, PendingEdges] = {}
    for (view, user), size in sizes.items():
        edges = pending[ViewKey(str(view), f"user:{user}" if user else "")] = PendingEdges()
        for number in range(size):
            edges.enter(f"{view}/{number}", member(number))
    parts = batches(pending, together_max, users_max)
    for part in parts:
        assert len(part) == 1 or sum(map(len, part.values())) <= together_max
        assert len({key.auth_id for key in part}) <= users_max
    assert sorted(key for part in parts for key in part) == sorted(pending)
    assert all(edges is pending[key] for part in parts for key, edges in part.items())


def test_a_transaction_touches_at_most_256_tables() -> None:
    """With every user's edges in a table of its own, beside the four of the mesh's that a transaction may write."""
    pending = {ViewKey("v", f"user:{number}"): PendingEdges({"e": member(1)}) for number in range(1_000)}
    tables = EdgeTables(dedicated=True)
    for part in batches(pending, together_max=10_000):
        assert len({tables.table_of(key) for key in part}) + 4 <= 256
    assert len(batches(pending, together_max=10_000)) == 4


@given(st.lists(st.integers(0, 8), max_size=20), st.integers(1, 5))
def test_parts_of_a_view_are_its_edges_in_order(numbers: list[int], edges_max: int) -> None:
    """What is gone first, and what is fresh stays so."""
    edges = PendingEdges()
    for number in numbers:
        if number % 3:
            edges.enter(str(number), member(number), fresh=number % 2 == 0)
        else:
            edges.leave(str(number))
    parts = edges.split(edges_max)
    assert all(0 < len(part) <= edges_max for part in parts)
    assert [edge for part in parts for edge in part.put] == list(edges.put)
    assert set().union(*(part.gone for part in parts)) == edges.gone
    assert set().union(*(part.fresh for part in parts)) == edges.fresh


def test_what_is_fresh_was_not_stored_when_it_was_told() -> None:
    """One that leaves and comes back before it is written is stored still; one that is only moved may be."""
    edges = PendingEdges()
    for edge in ("new", "moved", "left", "back"):
        edges.enter(edge, member(1), fresh=edge != "moved")
    edges.enter("new", member(1, 2))
    edges.leave("left")
    edges.leave("back")
    edges.enter("back", member(1, 2), fresh=True)
    assert edges.fresh == {"new"} and edges.gone == {"left"} and set(edges.put) == {"new", "moved", "back"}
    later = PendingEdges({"later": member(2), "left": member(1)}, set(), {"later", "left"})
    assert edges.then(later).fresh == {"new", "later"}
