"""The outbox folds deltas into their net effect; folding is what makes a redo safe."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sp00ky.proto.values.kinds import RecordId
from sp00ky.ssp.edges.outbox import PendingEdges, batches, difference, edge_of
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


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 12), max_size=12), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None)
def test_batches_hold_every_edge_once_and_keep_to_the_limit(
    sizes: dict[int, int], edges_max: int, together_max: int
) -> None:
    pending: dict[ViewKey, PendingEdges] = {}
    for view, size in sizes.items():
        edges = pending[ViewKey(str(view))] = PendingEdges()
        for number in range(size):
            edges.enter(f"{view}/{number}", member(number))
    parts = batches(pending, edges_max, together_max)
    for part in parts:
        filled = [edges for edges in part.values() if len(edges)]
        assert sum(map(len, filled)) <= (together_max if len(filled) > 1 else edges_max)
    assert sorted(edge for part in parts for edges in part.values() for edge in edges.put) == sorted(
        edge for edges in pending.values() for edge in edges.put
    )
    for key, edges in pending.items():
        holders = [part for part in parts if key in part]
        assert len(holders) == 1 or len(edges) > edges_max
