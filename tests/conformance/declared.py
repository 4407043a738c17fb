"""The cases that a datastore has to pass, declared: 70 of SpiceDB's suite (32 as they are, 38 adapted to records) and
25 of our own. A case runs on every engine unless it is of files alone, or lives in another layer, whose test is named.

A test says which cases it is by `@covers(...)`. `account.py` compares what was executed with this list at the
end of a run: a case that is not collected, is skipped, or fails on one engine is found there, not by its silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

F = TypeVar("F", bound=Callable[..., object])
ENGINES: Final = ("memory", "rocksdb")
HERE: Final = "every engine"
FILES: Final = "rocksdb"  # what only files can lose

_FANOUT, _DRIVER = "tests/unit/scheduler/test_fanout.py", "tests/unit/scheduler/test_driver.py"
_CAPTURE = "tests/unit/scheduler/capture/test_capture.py"
_REVISIONS = "tests/processes/test_revisions.py"

TAKEN: Final = {
    "UniqueID": HERE,
    "UseAfterClose": FILES,
    "ReadyStateWhenPaused": FILES,
    "CaseSensitivity": HERE,
    "DeleteNonExistant": HERE,
    "DeleteAlreadyDeleted": HERE,
    "DeleteOneThousandIndividualInOneCall": HERE,
    "MixedWriteOperations": HERE,
    "MultipleReadsInRWT": HERE,
    "WriteAndReadInRWT": HERE,
    "ConcurrentWriteRevisionVisibility": HERE,
    "Ordering": HERE,
    "Limit": HERE,
    "OrderedLimit": HERE,
    "Resume": HERE,
    "RevisionQuantization": (
        "tests/unit/scheduler/test_driver_moves.py"
        "::test_ssps_that_join_together_load_one_pinned_revision_and_one_scan_serves_them"
    ),
    "RevisionSerialization": HERE,
    "SequentialRevisions": HERE,
    "ConcurrentRevisions": HERE,
    "CheckRevisions": HERE,
    "RevisionGC": HERE,
    "InvalidReads": HERE,
    "GCProcessRuns": "tests/unit/scheduler/test_upkeep.py::test_garbage_goes_by_itself_while_changes_come",
    "Stats": HERE,
    "Retries": FILES,
    "WatchBasic": f"{_DRIVER}::test_an_ssp_loads_exactly_its_snapshot_while_writes_go_on",
    "WatchCancel": f"{_DRIVER}::test_what_breaks_the_protocol_ends_that_stream_alone",
    "WatchObservesEveryReturnedRevision": f"{_FANOUT}::test_frames_cover_the_log_and_keep_transactions_whole",
    "WatchEmitsCheckpointAfterWriteWithChanges": f"{_DRIVER}::test_an_idle_stream_is_told_the_head",
    "WatchRelationshipsAndSchemaAndCheckpoints": f"{_CAPTURE}::test_permissions_are_part_of_the_schema",
    "DeleteAllData": HERE,
    "Migration": FILES,
}
ADAPTED: Final = {
    "NamespaceNotFound": HERE,
    "NamespaceWrite": HERE,
    "NamespaceDelete": HERE,
    "NamespaceMultiDelete": HERE,
    "EmptyNamespaceDelete": HERE,
    "NamespaceDeleteInvalidNamespace": HERE,
    "StableNamespaceReadWrite": HERE,
    "Simple": HERE,
    "ObjectIDs": HERE,
    "DeleteRelationships": HERE,
    "RecreateRelationshipsAfterDeleteWithFilter": HERE,
    "WriteDeleteWrite": HERE,
    "CreateAlreadyExisting": HERE,
    "TouchAlreadyExistingWithoutCaveat": HERE,
    "TouchAlreadyExistingCaveated": HERE,
    "CreateDeleteTouch": HERE,
    "CreateTouchDeleteTouch": HERE,
    "BulkDeleteRelationships": HERE,
    "DeleteWithLimit": HERE,
    "DeleteWithPrefix": HERE,
    "DeleteWithInvalidPrefix": HERE,
    "QueryRelationshipsWithVariousFilters": HERE,
    "DeleteRelationshipsWithVariousFilters": HERE,
    "ConcurrentWriteSerialization": HERE,
    "ConcurrentWriteDeadlock": HERE,
    "BulkUpload": HERE,
    "BulkUploadErrors": HERE,
    "BulkUploadAlreadyExistsError": HERE,
    "BulkUploadAlreadyExistsSameCallError": HERE,
    "WatchWithTouch": HERE,
    "WatchWithDelete": HERE,
    "WatchWithMetadata": HERE,
    "WatchSchema": f"{_CAPTURE}::test_a_removed_table_leaves_and_another_under_its_name_is_another",
    "WatchRelationshipsAndSchemaChanges": f"{_CAPTURE}::test_what_was_there_and_what_comes_is_captured",
    "StoredSchemaLarge": HERE,
    "StoredSchemaHeadRevisionSchemaHash": HERE,
    "StoredSchemaOptimizedRevisionSchemaHash": HERE,
    "StoredSchemaAssertHashPrecondition": HERE,
}
OWN: Final = {
    "own 1: every declared case ran": "tests/conformance/test_declared.py::test_a_case_that_did_not_run_is_missed",
    "own 2: a read is repeatable across restart, collecting, compaction": FILES,
    "own 3: seqs above 2^32 and 2^53": HERE,
    "own 4: token text sorts like the number": HERE,
    "own 5: foreign, lost branch, future, trimmed, garbage": HERE,
    "own 6: copied files are the same store": FILES,
    "own 7: a paused old writer is fenced": FILES,
    "own 8: an append is atomic under SIGKILL": FILES,
    "own 9: a source event delivered twice is one entry": (
        "tests/unit/scheduler/test_intake.py::test_g5_a_captured_change_is_folded_once"
    ),
    "own 10: ten thousand in one append": HERE,
    "own 11: record ids of every form": HERE,
    "own 12: bodies of every form": HERE,
    "own 13: an update is the whole record": HERE,
    "own 14: paging through a table that is dropped and made anew": HERE,
    "own 15: a pin survives a restart": FILES,
    "own 16: collecting never removes what a pin or the head needs": (
        "tests/conformance/test_datastore_machine.py::TestEngines"
    ),
    "own 17: the collector's lease is free after a failure": (
        "tests/unit/scheduler/test_upkeep.py::test_a_run_that_fails_is_counted_and_the_lease_is_free_again"
    ),
    "own 18: the log is read from floor - 1, floor, head, head + 1": HERE,
    "own 19: a reader that stops reading": f"{_DRIVER}::test_n_a_slow_ssp_delays_only_itself",
    "own 20: the wall clock jumps back an hour": HERE,
    "own 21: another process is frozen": FILES,
    "own 22: the process is killed and opens again": FILES,
    "own 23: the disk is full": FILES,
    "own 24: what cannot be written is refused in one line": FILES,
    "own 25: one corrupted byte": FILES,
}
CASES: Final = {**TAKEN, **ADAPTED, **OWN}


def covers(*names: str) -> Callable[[F], F]:
    """The declared cases that a test is. Names of our own may be shortened to their number: "own 3"."""
    found = [next((case for case in CASES if case == name or case.startswith(f"{name}:")), name) for name in names]
    unknown = set(found) - set(CASES)
    assert not unknown, f"not declared: {unknown}"

    def mark(function: F) -> F:
        function.cases = [*getattr(function, "cases", ()), *found]  # type: ignore[attr-defined]
        return function

    return mark


def engines_of(case: str) -> tuple[str, ...]:
    """Where a case has to be executed; none if another layer's test has it."""
    return {HERE: ENGINES, FILES: (FILES,)}.get(CASES[case], ())
