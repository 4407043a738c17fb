"""Equality of kinds, from both sides: what is equal is not different, and has one hash."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sp00ky.proto.values.kinds import Bound, Datetime, Duration, File, Range, RecordId, Regex, Table, Value

ID = "018f0000-0000-7000-8000-000000000001"
MADE: list[Callable[[], Value]] = [
    *(lambda: RecordId("t", 1), lambda: RecordId("t", "1"), lambda: RecordId("u", 1), lambda: RecordId("t", [1, "a"])),
    *(
        lambda: RecordId("t", True),
        lambda: RecordId("t", {"k": 1}),
        lambda: RecordId("t", UUID(ID)),
        lambda: Table("t"),
    ),
    *(lambda: RecordId("t", ID), lambda: Datetime(1), lambda: Datetime(2), lambda: Duration(1), lambda: Duration(2)),
    *(lambda: File("a", "b"), lambda: Regex("a"), lambda: Range(Bound(1, True), None), lambda: Range(None, None)),
]


@pytest.mark.parametrize("left", range(len(MADE)))
def test_a_value_equals_itself_and_no_other(left: int) -> None:
    for right in range(len(MADE)):
        one, other = MADE[left](), MADE[right]()
        assert (one == other) == (left == right)
        assert (one != other) == (left != right)
        assert left != right or hash(one) == hash(other)
