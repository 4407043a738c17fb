"""Views that are run whole: when they are run, when a run may be published, and at which revision."""

from __future__ import annotations

import pytest
from sp00ky.proto.values.kinds import NONE, RecordId, Value
from sp00ky.ssp.engine.engine import EngineOptions
from sp00ky.ssp.engine.events import QueryFailed, QueryRan, ViewKey
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import Ready
from sp00ky.ssp.views.reevaluated import TRIES

from tests.harness.driven_engine import Driven

# A function that is not evaluated here
LIKE = "string::similarity::fuzzy(name, 'a') > 1"
NAMES = f"SELECT VALUE name FROM t WHERE {LIKE} ORDER BY name"  # reads t, its rows are records
TAGS = f"SELECT tags FROM t WHERE {LIKE} SPLIT tags ORDER BY tags"  # reads t, its rows have no ids
LINKS = f"SELECT id, author.name AS name FROM t WHERE {LIKE} ORDER BY name"  # may read any table
ONLY = f"SELECT * FROM ONLY t WHERE {LIKE} LIMIT 1"
KEY = ViewKey("v")


def started(surql: str = NAMES, **options: int) -> Driven:
    driven = Driven(options=EngineOptions(**options))
    driven.welcome()
    driven.log.register("v", surql)
    driven.catch_up()
    assert len(driven.queries) == 1
    return driven


def answer(
    driven: Driven, rows: Value, ids: list[int] | None = None, *, before: int | None = None, after: int | None = None
) -> Ready:
    """The last run asked for saw these rows, between two barriers at the applied seq."""
    seq = driven.engine.applied_seq
    listed = None if ids is None else [RecordId("t", key) for key in ids]
    run = driven.queries[-1].run
    return driven.step(
        QueryRan(KEY, run, seq if before is None else before, seq if after is None else after, rows, listed)
    )


def reading(driven: Driven, view: str = "v") -> ViewReading:
    found = driven.engine.view(ViewKey(view))
    assert found is not None
    return found


def touch(driven: Driven, table: str = "t", key: int = 1) -> Ready:
    driven.log.change(table, key, {"name": "x"})
    return driven.catch_up()


def test_the_first_run_hydrates() -> None:
    driven = started()
    (query,) = driven.queries
    assert (query.key, query.surql, query.ids_field) == (KEY, NAMES, "_00_id")
    assert query.ids_surql == f"SELECT *, $this.id AS _00_id FROM t WHERE {LIKE} ORDER BY name"
    assert (reading(driven).state, reading(driven).seq) == ("pending", 0)
    answer(driven, ["a", "b"], [1, 2])
    (hydrated,) = driven.hydrated
    assert [(member.id.key, member.version) for member in hydrated.members] == [(1, 2), (2, 2)]
    assert (reading(driven).state, reading(driven).seq, reading(driven).rows()) == ("live", 2, ["a", "b"])


def test_a_clean_result_stays_exact_while_other_tables_change() -> None:
    driven = started()
    answer(driven, ["a"], [1])
    touch(driven, "other")
    driven.tick()
    assert reading(driven).seq == 3 and len(driven.queries) == 1


def test_a_touch_ends_exactness_and_asks_for_a_run_at_the_next_tick() -> None:
    driven = started()
    answer(driven, ["a"], [1])
    touch(driven, "other")
    assert touch(driven).queries == []
    assert (reading(driven).seq, reading(driven).state) == (3, "live")
    assert [query.run for query in driven.tick().queries] == [2]
    assert driven.tick().queries == [], "a run is under way"
    (delta,) = answer(driven, ["b", "c"], [2, 1]).deltas
    assert (delta.seq, [(m.id.key, m.version) for m in delta.added]) == (4, [(2, 4)])
    assert [(m.id.key, m.version) for m in delta.updated] == [(1, 4)] and reading(driven).seq == 4


def test_an_unknown_read_set_is_touched_by_any_table() -> None:
    driven = started(LINKS)
    answer(driven, [{}], [1])
    touch(driven, "somewhere")
    assert len(driven.tick().queries) == 1


def test_versions_move_where_records_or_rows_do() -> None:
    """`touch` changes record 1, whose row stays the same: it is told all the same, since its edges may be gone."""
    driven = started()
    answer(driven, ["a", "b"], [1, 2])
    touch(driven)
    driven.tick()
    (delta,) = answer(driven, ["a", "c"], [1, 2]).deltas
    assert [(m.id.key, m.version) for m in delta.updated] == [(1, 3), (2, 3)] and not delta.added and not delta.removed
    touch(driven, key=9)
    driven.tick()
    assert answer(driven, ["a", "c"], [1, 2]).deltas == [], "a record that is no member changed"
    assert reading(driven).seq == driven.engine.applied_seq


def test_an_answer_waits_until_its_second_barrier_is_applied() -> None:
    driven = started()
    answer(driven, ["a"], [1], before=2, after=4)
    assert reading(driven).state == "pending"
    touch(driven, "other")
    assert reading(driven).state == "pending"
    touch(driven, "other")
    assert (reading(driven).state, reading(driven).seq) == ("live", 4)


def test_a_change_between_the_barriers_means_another_run() -> None:
    driven = started()
    answer(driven, ["a"], [1], before=2, after=3)
    touch(driven)
    assert reading(driven).state == "pending"
    assert len(driven.tick().queries) == 1
    answer(driven, ["b"], [1])
    assert (reading(driven).state, reading(driven).seq, reading(driven).rows()) == ("live", 3, ["b"])


def test_a_change_after_the_second_barrier_does_not_spoil_the_answer() -> None:
    driven = started()
    touch(driven, "other")
    touch(driven)
    answer(driven, ["a"], [1], before=3, after=3)
    assert (reading(driven).state, reading(driven).seq) == ("live", 3), "exact before the touch at 4"
    assert len(driven.tick().queries) == 1


def test_a_table_that_never_rests_makes_the_view_lag_at_the_first_barrier() -> None:
    driven = started()
    for attempt in range(TRIES):
        before = driven.engine.applied_seq
        touch(driven)
        answer(driven, [f"run {attempt}"], [1], before=before, after=before + 1)
        if attempt < TRIES - 1:
            assert reading(driven).state == "pending"
            driven.tick()
    assert (reading(driven).state, reading(driven).seq) == ("lagging", 2 + TRIES - 1)
    assert reading(driven).rows() == [f"run {TRIES - 1}"]
    assert len(driven.tick().queries) == 1, "it goes on trying"
    answer(driven, ["settled"], [1])
    assert (reading(driven).state, reading(driven).seq) == ("live", driven.engine.applied_seq)


def test_runs_of_a_hot_table_are_spaced() -> None:
    driven = started(rerun_ticks_min=3)
    answer(driven, ["a"], [1])
    asked = []
    for _ in range(6):
        touch(driven)
        asked.append(len(driven.tick().queries))
        if asked[-1]:
            answer(driven, ["a"], [1])
    assert asked == [0, 0, 1, 0, 0, 1]


def test_equal_queries_share_one_run() -> None:
    driven = started()
    driven.log.register("w", NAMES)
    driven.catch_up()
    assert len(driven.queries) == 1
    answer(driven, ["a"], [1])
    assert {each.key.id for each in driven.hydrated} == {"v", "w"}
    driven.log.register("late", NAMES)
    driven.catch_up()
    assert reading(driven, "late").state == "live" and len(driven.queries) == 1
    driven.log.unregister("v")
    touch(driven)
    driven.tick()
    (delta,) = answer(driven, ["b"], [1]).deltas
    assert [view.id for view in delta.views] == ["w", "late"]


def test_an_answer_for_a_view_that_is_gone_is_dropped() -> None:
    driven = started()
    driven.log.unregister("v")
    driven.catch_up()
    assert answer(driven, ["a"], [1]).hydrated == []


def test_rows_without_ids_have_a_hash_and_no_members() -> None:
    driven = started(TAGS)
    assert (driven.queries[0].ids_surql, driven.queries[0].ids_field) == ("", "")
    answer(driven, [{"tags": "a"}])
    before = reading(driven).hash
    assert (reading(driven).members, reading(driven).size) == ([], 1)
    touch(driven)
    driven.tick()
    (delta,) = answer(driven, [{"tags": "b"}]).deltas
    assert (delta.added, delta.updated, delta.removed) == ([], [], []) and reading(driven).hash != before


@pytest.mark.parametrize(("rows", "ids", "size"), [({"a": 1}, [1], 1), (NONE, [], 0), (None, [], 0)])
def test_only_answers_one_row_or_none(rows: Value, ids: list[int], size: int) -> None:
    driven = started(ONLY)
    answer(driven, rows, ids)
    assert (reading(driven).rows(), reading(driven).size) == (rows, size)
    assert [member.id.key for member in reading(driven).members] == ids


# --- failures ---


def test_g7_a_refused_query_fails_until_its_table_changes() -> None:
    driven = started()
    driven.step(QueryFailed(KEY, 1, "cannot add 'a' and 1", fatal=True))
    assert (reading(driven).state, reading(driven).error) == ("failed", "cannot add 'a' and 1")
    assert driven.tick().queries == []
    touch(driven)
    assert len(driven.tick().queries) == 1
    answer(driven, ["a"], [1])
    assert (reading(driven).state, reading(driven).error) == ("live", "") and len(driven.hydrated) == 1


def test_a_lost_database_is_asked_again_ever_less_often() -> None:
    driven = started()
    waits = []
    for _ in range(4):
        driven.step(QueryFailed(KEY, driven.queries[-1].run, "connection lost", fatal=False))
        ticks = 1
        while not driven.tick().queries:
            ticks += 1
        waits.append(ticks)
    assert waits == [2, 4, 8, 16] and reading(driven).error == "connection lost"
    answer(driven, ["a"], [1])
    assert (reading(driven).state, reading(driven).error) == ("live", "")


def test_a_live_view_lags_while_the_database_is_lost() -> None:
    driven = started()
    answer(driven, ["a"], [1])
    touch(driven)
    for _ in range(TRIES):
        while not driven.tick().queries:
            pass
        driven.step(QueryFailed(KEY, driven.queries[-1].run, "connection lost", fatal=False))
    assert (reading(driven).state, reading(driven).seq, reading(driven).rows()) == ("lagging", 2, ["a"])


def test_a_schema_change_of_a_read_table_runs_it_again() -> None:
    driven = started()
    answer(driven, ["a"], [1])
    driven.log.schema("t")
    driven.catch_up()
    assert reading(driven).seq == 2 and len(driven.tick().queries) == 1
