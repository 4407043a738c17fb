"""One collaborative document: a Loro document with a single root container, which has the field's name.

Merging is a join: the same updates in any order, any number of times, give the same document (Shapiro et al.,
"Conflict-free replicated data types", 2011). Invariants: a refused update leaves the document as it was, and what is
not yet saved can be forgotten. Updates are taken in with the document detached, which only records them; the value is
computed once, when it is asked for: an update by an editor who was long away costs milliseconds otherwise.

Loro raises `BaseException` itself for what it cannot read; what is raised here is a `Fault`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from loro import ID, ContainerID, ContainerType, EncodedBlobMode, ExportMode, Frontiers, LoroDoc, VersionVector
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value
from sp00ky.ssp.crdt.declared import Kind

VERSION: Final = "version"  # detail of a fault: what the document has seen, base64
_CONTAINERS: Final[dict[Kind, type]] = {
    Kind.TEXT: ContainerType.Text,
    Kind.MAP: ContainerType.Map,
    Kind.LIST: ContainerType.List,
    Kind.COUNTER: ContainerType.Counter,
}
_OUTDATED: Final = ("shallow", "outdated", "trimmed")  # words of Loro's for what builds on dropped history


class Ahead(Fault):
    """An update builds on others that the document has not seen."""

    def __init__(self, version: bytes) -> None:
        super().__init__(
            Code.INVALID,
            "the update builds on others that are not here",
            "send all that came since the version in the details: export({mode: 'update', from: version})",
            {VERSION: base64.b64encode(version).decode()},
        )


def _loro(what: str, call: Callable[..., Any], *arguments: object) -> Any:
    """What Loro answers. Raises Fault INVALID, or REVISION_GONE for what builds on history that was dropped."""
    try:
        return call(*arguments)
    except Exception:
        raise
    except BaseException as error:
        if type(error) is not BaseException and type(error).__name__ != "PanicException":
            raise
        said = str(error)[:200]
        if any(word in said.lower() for word in _OUTDATED):
            hint = "load the document and make the edit again"
            raise Fault(Code.REVISION_GONE, f"{what} builds on history that is no longer kept", hint) from None
        raise Fault(Code.INVALID, f"{what} is not Loro's: {said}") from None


def _new() -> LoroDoc:
    return LoroDoc()  # type: ignore[no-untyped-call]


class Document:
    """`state`: a snapshot of Loro's, empty for a new document. Raises Fault INVALID if it cannot be read."""

    __slots__ = ("_doc", "_field", "_kind", "_ops_max", "_saved", "_since")

    def __init__(self, field: str, kind: Kind, ops_max: int, state: bytes = b"") -> None:
        self._field, self._kind, self._ops_max = field, kind, ops_max
        self._saved, self._since = b"", list[bytes]()
        self._doc = _new()
        if state:
            self.merge(state)
            self.saved_as(state)

    def merge(self, update: bytes) -> bool:
        """Take an update or a snapshot in; False: there was nothing new in it. Raises Fault INVALID, REVISION_GONE or
        TOO_LARGE, and then nothing has changed."""
        self._check(update)
        before = self._doc.oplog_vv
        try:
            if self._doc.len_ops:  # an empty one takes a snapshot without its early history only attached
                self._doc.detach()
            status = _loro("the update", self._doc.import_, update)
            if status.pending is not None:
                raise Ahead(self.version())
            added = self._doc.oplog_vv.sub_iter(before)
            for span in added:
                self._require_own(ID(span.peer, span.counter.start), span.counter.end - span.counter.start)
        except BaseException:
            self._restore()
            raise
        if added:
            self._since.append(update)
        return bool(added)

    def _check(self, update: bytes) -> None:
        """What can be refused without taking it in."""
        meta = _loro("the update", LoroDoc.decode_import_blob_meta, update, True)
        seen = self._doc.oplog_vv
        if meta.mode == EncodedBlobMode.Updates and not seen.includes_vv(meta.partial_start_vv):
            raise Ahead(self.version())
        ops = sum(span.counter.end - span.counter.start for span in seen.get_missing_span(meta.partial_end_vv))
        if ops + self._doc.len_ops > self._ops_max:
            raise Fault(Code.TOO_LARGE, f"the document would have more than {self._ops_max} operations")

    def _require_own(self, start: ID, length: int) -> None:
        for container in self._doc.get_changed_containers_in(start, length):
            if isinstance(container, ContainerID.Root):
                kind = isinstance(container.container_type, _CONTAINERS[self._kind])
                if not kind or container.name != self._field:
                    kept = f'only the {self._kind} "{self._field}" is kept here'
                    raise Fault(Code.INVALID, f'the update changes another container, "{container.name[:64]}"', kept)

    # --- what it is ---

    def value(self) -> Value:
        """What it amounts to: str, dict, list, or a number (an int where it is whole)."""
        self._settle()
        match self._kind:
            case Kind.TEXT:
                return self._doc.get_text(self._field).to_string()
            case Kind.MAP:
                return self._doc.get_map(self._field).get_deep_value()
            case Kind.LIST:
                return self._doc.get_list(self._field).get_deep_value()
            case Kind.COUNTER:
                number = float(self._doc.get_counter(self._field).value)
                return int(number) if number.is_integer() else number

    def _settle(self) -> None:
        """Compute what was only recorded."""
        if self._doc.is_detached():
            self._doc.attach()

    def version(self) -> bytes:
        """All that it has seen, as Loro's encoded version vector."""
        encoded: bytes = self._doc.oplog_vv.encode()
        return encoded

    def frontiers(self) -> bytes:
        encoded: bytes = self._doc.oplog_frontiers.encode()
        return encoded

    def snapshot(self) -> bytes:
        """All of it, with its history."""
        self._settle()
        state: bytes = self._doc.export(ExportMode.Snapshot())
        return state

    def shallow(self, frontiers: bytes) -> bytes:
        """All of it, with the history since `frontiers`, and before where something concurrent to them needs it."""
        self._settle()
        place = _loro("the mark", Frontiers.decode, frontiers)
        state: bytes = _loro("the mark", self._doc.export, ExportMode.ShallowSnapshot(place))
        return state

    def since(self, version: bytes) -> bytes:
        """What somebody at `version` lacks. Raises Fault INVALID, or REVISION_GONE where it is no longer kept."""
        seen = _loro("the version", VersionVector.decode, version)
        self._settle()
        if self._doc.is_shallow() and not seen.includes_vv(self._doc.shallow_since_vv):
            raise Fault(Code.REVISION_GONE, "what came since the version is no longer kept", "load the whole document")
        update: bytes = _loro("the version", self._doc.export, ExportMode.Updates(seen))
        return update

    # --- what is saved ---

    @property
    def moved(self) -> bool:
        """Whether something was merged since it was saved."""
        return bool(self._since)

    def saved_as(self, state: bytes) -> None:
        """`state` holds all of it."""
        self._saved = state
        self._since.clear()

    def forget_unsaved(self) -> None:
        self._since.clear()
        self._restore()

    def _restore(self) -> None:
        """Be what was saved and merged since; Loro keeps parts of what was refused, so that starts anew."""
        self._doc = _new()
        first, *rest = [state for state in (self._saved, *self._since) if state] or [b""]
        if first:
            self._doc.import_(first)
        if rest:
            self._doc.detach()
            self._doc.import_batch(rest)


def is_shallow(state: bytes) -> bool:
    """Whether a snapshot is without its early history: only an empty document takes one. Raises Fault INVALID."""
    meta = _loro("the state", LoroDoc.decode_import_blob_meta, state, True)
    return bool(meta.mode == EncodedBlobMode.ShallowSnapshot)
