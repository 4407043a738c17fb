"""What is to be done so that a database has the mesh's definitions: a pure comparison of three texts for each.

What the part file states (`Definition`), what the ledger says was put there (`Recorded`: its digest, and how INFO
showed it then), and what INFO shows now. From them:

    not there                                   → create
    there, and the ledger has another text      → upgrade: written again with OVERWRITE
    there, and the ledger has this text         → kept, also where somebody altered it by hand since
    there, and the ledger knows nothing of it   → upgrade; an index is kept, since making it anew reads every row

Invariant: steps never touch data, and applying a plan makes the next one empty of changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sp00ky.deploy.surreal.definitions import Definition, Part, permissions_of
from sp00ky.proto.faults import Code, Fault

OPERATORS_OWN: Final = frozenset({"TABLE _00_crdt"})  # whose permissions the operator sets, and an upgrade keeps


class Action(StrEnum):
    CREATE = "create"
    UPGRADE = "upgrade"
    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """`what`: the key of a definition, or what else is done; `statements`: SurrealQL, none where nothing is done;
    `note`: what an operator must know of it; `secret`: what of the statements nobody may be shown."""

    action: Action
    what: str
    statements: tuple[str, ...] = ()
    note: str = ""
    secret: str = ""

    @property
    def printable(self) -> tuple[str, ...]:
        """The statements without the secret."""
        return tuple(each.replace(self.secret, "'…'") if self.secret else each for each in self.statements)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A definition as the ledger has it."""

    digest: str
    shown: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was installed: for every part its newest version, the checksum of that, and its definitions by key.
    `stamp` changes with every installation; empty where there was none."""

    versions: Mapping[str, int]
    checksums: Mapping[str, str]
    definitions: Mapping[str, Recorded]
    stamp: str = ""


def require_not_newer(known: Mapping[str, int], ledger: Ledger) -> None:
    """`known`: versions of parts. Raises Fault CONFLICT where the database has what this program does not know yet."""
    for name, version in ledger.versions.items():
        if version > known.get(name, 0):
            mine = f"version {known[name]}" if name in known else "no such part"
            raise Fault(
                Code.CONFLICT,
                f'a newer version of the mesh is installed: part "{name}" has version {version}, here is {mine}',
                "run the newer program; nothing was changed",
            )


def steps_of(part: Part, ledger: Ledger, found: Mapping[str, str]) -> Iterator[Step]:
    """The steps for one part; `found` has how INFO shows each definition that is there, by key."""
    for definition in part.definitions:
        shown = found.get(definition.key)
        if not definition.removes:
            yield _step(definition, ledger.definitions.get(definition.key), shown)
        elif shown is not None:
            note = "" if definition.kind in ("PARAM", "EVENT") else f"was: {shown}"  # they may hold a secret
            yield Step(Action.REMOVE, definition.key, (definition.text,), note)


def is_due(part: Part, ledger: Ledger, steps: Sequence[Step]) -> bool:
    """Whether the part is to be applied and recorded."""
    recorded = (ledger.versions.get(part.name), ledger.checksums.get(part.name))
    return recorded != (part.version, part.checksum) or any(step.action is not Action.KEEP for step in steps)


def _step(definition: Definition, recorded: Recorded | None, shown: str | None) -> Step:
    if shown is None:
        note = "somebody removed it" if recorded else ""
        return Step(Action.CREATE, definition.key, (definition.text,), note, definition.secret)
    altered = recorded is not None and recorded.shown != shown
    shown = "" if definition.secret or definition.kind == "PARAM" else shown
    if recorded is not None and recorded.digest == definition.digest:
        return Step(Action.KEEP, definition.key, (), f"altered by hand: {shown}" if altered else "")
    if recorded is None and definition.kind == "INDEX":
        return Step(Action.KEEP, definition.key, (), "was there before")
    notes = [f"replaces what was altered by hand: {shown}"] if altered else []
    statements = [definition.overwriting]
    if definition.key in OPERATORS_OWN:
        permissions = permissions_of(shown)
        statements.append(f"ALTER TABLE {definition.name} PERMISSIONS {permissions}")
        notes = [f"its permissions are kept: {permissions}"]
    return Step(Action.UPGRADE, definition.key, tuple(statements), "; ".join(notes), definition.secret)
