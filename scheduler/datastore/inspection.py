"""Reading a whole store to see whether it is whole: what `spky replica verify` reports.

The log is the truth. Every entry of it must have its checksum and follow the one before; every change above what
garbage collection has seen must lie in the rows as the version of its seq, and nothing else may; below, a record has
one version at most. Counts are those of the rows at the head. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from rocksdict import RdictIter
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler.datastore import layout
from sp00ky.scheduler.datastore.migrations import head_revision, require_head, stored_revision
from sp00ky.scheduler.datastore.opening import Files, open_files, require_current, value_of
from sp00ky.scheduler.datastore.readonly import linked
from sp00ky.scheduler.datastore.restoring import locked
from sp00ky.scheduler.datastore.state import StoredState, read_state
from sp00ky.scheduler.datastore.wal import check_tails

DAMAGE_LISTED_MAX: Final = 100


@dataclass(slots=True)
class Report:
    """`damage`: sentences, the first of many; `damaged`: how many there are."""

    facts: dict[str, object] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    damaged: int = 0

    @property
    def ok(self) -> bool:
        return not self.damaged

    def found(self, sentence: str) -> None:
        self.damaged += 1
        if len(self.damage) < DAMAGE_LISTED_MAX:
            self.damage.append(sentence)


def inspect(replica: Path, wal_path: Path | None = None) -> Report:
    """Raises Fault: UNAVAILABLE if the store is in use, INVALID if its layout is not today's."""
    report = Report()
    with locked(replica), ExitStack() as stack:
        try:
            require_current(replica)
            torn = check_tails(wal_path or replica)
            report.facts["torn_tail_bytes"] = torn.size if torn is not None else 0
            view = stack.enter_context(linked(replica, wal_path or replica))
            files = open_files(view, view, read_only=True)
        except Fault as fault:
            report.found(fault.message)
            return report
        try:
            report.facts["schema_revision"] = stored_revision(files)
            require_head(files, f"replica {replica}", auto=False)
            inspect_files(files, report)
        except Fault as fault:
            if fault.code is not Code.DATA_LOSS:
                raise
            report.found(fault.message)
        finally:
            files.close()
    return report


def revision_of(replica: Path, wal_path: Path | None = None) -> str:
    """The schema revision of a store that nobody serves. Raises Fault."""
    require_current(replica)
    with locked(replica), linked(replica, wal_path or replica) as view:
        files = open_files(view, view, read_only=True)
        try:
            return stored_revision(files) or ""
        finally:
            files.close()


def inspect_files(files: Files, report: Report) -> None:
    state = read_state(files, "replica")
    report.facts |= {
        "schema_revision": head_revision(),
        "store_id": state.store_id,
        "epoch": state.epoch,
        "head": state.head,
        "floor": state.floor,
        "collected": state.collected,
        "log_floor": state.log_floor,
        "pins": len(state.pins),
    }
    if not state.log_floor - 1 <= state.collected <= state.floor <= state.head:
        report.found(f"floors are out of order: log {state.log_floor}, {state.collected}, {state.floor}, {state.head}")
    changes = _inspect_log(files, state, report)
    _inspect_rows(files, state, changes, report)


def _inspect_log(files: Files, state: StoredState, report: Report) -> int:
    """Entries in order, and each change's row; how many changes lie above what is collected."""
    due, entries, changes = state.log_floor, 0, 0
    row_of = partial(value_of, files.rows, name="replica")
    iterator = files.log.iter()
    iterator.seek_to_first()
    while iterator.valid():
        log_key: bytes = iterator.key()
        seq = layout.unpack_seq(log_key)
        if seq != due:
            report.found(f"log holds entry {seq} where {due} was due")
        due, entries = Seq(seq + 1), entries + 1
        try:
            entry = common_pb2.Entry.FromString(layout.log_entry(log_key, iterator.value()))
        except Fault as fault:
            report.found(fault.message)
        else:
            if entry.HasField("change") and seq > state.collected:
                changes += 1
                _inspect_change(entry, row_of, report)
        iterator.next()
    _status(iterator, "log", report)
    if due != state.head + 1:
        report.found(f"log ends at {due - 1}, the head is {state.head}")
    report.facts["log_entries"] = entries
    return changes


def _inspect_change(entry: common_pb2.Entry, row_of: Callable[[bytes], bytes | None], report: Report) -> None:
    change = entry.change
    row_key = layout.table_prefix(change.table) + change.key + layout.inverted(Seq(entry.seq))
    value = row_of(row_key)
    wanted = None if change.op == common_pb2.OP_DELETE else change.packed
    if value is None:
        report.found(f"row version {entry.seq} of table {change.table} is gone")
        return
    row = layout.row_of(change.key, Seq(entry.seq), value)
    if (row.packed if row is not None else None) != wanted:
        report.found(f"row version {entry.seq} of table {change.table} is not what its log entry says")


def _inspect_rows(files: Files, state: StoredState, changes: int, report: Report) -> None:
    versions = above = superseded = 0
    counts: Counter[bytes] = Counter()
    record = below = b""
    iterator = files.rows.iter()
    iterator.seek_to_first()
    while iterator.valid():
        row_key: bytes = iterator.key()
        this, seq = row_key[: -layout.SEQ_BYTES], layout.seq_of_row_key(row_key)
        versions += 1
        above += seq > state.collected
        if seq > state.head:
            report.found(f"row version {seq} lies above the head, {state.head}")
        if seq <= state.collected:
            superseded += this == below
            below = this
        if this != record:
            name = this[: 2 + int.from_bytes(this[:2], "big")]
            counts[name] += layout.version_of(iterator.value())[0]
            record = this
        iterator.next()
    _status(iterator, "rows", report)
    if superseded:
        report.found(f"{superseded} row versions are superseded below the floor: `spky replica repair orphan-versions`")
    if above != changes:
        report.found(f"rows hold {above} versions above {state.collected}, the log {changes} changes")
    for table, (_, count) in state.tables.items():
        found = counts.pop(layout.table_prefix(table), 0)
        if found != count:
            report.found(f"table {table} counts {count} rows and holds {found}: `spky replica repair counts`")
    for name, found in counts.items():
        if found:
            report.found(f"table {name[2:].decode(errors='replace')} holds {found} rows and is not known")
    report.facts |= {"versions": versions, "tables": {table: count for table, (_, count) in state.tables.items()}}


def _status(iterator: RdictIter, what: str, report: Report) -> None:
    try:
        iterator.status()
    except Exception as error:  # rocksdict raises bare ones
        report.found(f"{what} cannot be read to the end: {' '.join(str(error).split())}")
