"""What could not be applied and was passed over, kept until it is applied, mended otherwise, dropped, or forgotten.

A letter is committed with the progress that passes over it, and goes with the commit that applies its record after all:
a later good change of each of its records makes it obsolete. The same trouble met again (a feed that is read again) is
the same letter, with one attempt more. At `limit` letters the oldest is forgotten, and counted.

    meta  dead_letters/letter/<id>   what it is about      dead_letters/content/<id>   what was to be applied, as text
          dead_letters/forgotten     how many were forgotten

Invariant: `stage` changes nothing here; what it staged counts here once `settle` says that it is durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from sp00ky.proto.faults import RESOURCE_NAME, RESOURCE_TYPE, Code, Fault
from sp00ky.proto.values.pack import pack, unpack
from sp00ky.scheduler.capture.poison import Poison, Record
from sp00ky.scheduler.datastore.datastore import Datastore, MetaWrite

LIMIT: Final = 10_000
READ: Final = "database"  # source of a letter about a record that was read, not told by the feed
NAMES_MAX: Final = 100  # of one letter
_LETTER: Final = b"dead_letters/letter/"
_CONTENT: Final = b"dead_letters/content/"
_FORGOTTEN: Final = b"dead_letters/forgotten"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`records`: those that have not been applied since; `stamp`: of the changefeed's row, 0: none; `at_ms`: unix."""

    id: int
    source: str
    tables: tuple[str, ...]
    names: tuple[str, ...]
    records: tuple[Record, ...]
    reason: str
    at_ms: int
    attempts: int
    stamp: int
    size: int

    def is_again(self, source: str, stamp: int, poison: Poison) -> bool:
        """A record that was read in vain is the same trouble as a change of it that was."""
        if source == READ and poison.records:
            return set(poison.records) <= set(self.records)
        told = (source, stamp, poison.tables[:NAMES_MAX], poison.names[:NAMES_MAX])
        return (self.source, self.stamp, self.tables, self.names) == told


@dataclass(frozen=True, slots=True)
class Posting:
    """Letters to keep and to take away, by id, None: away; `meta` is to be committed with what they are about."""

    letters: dict[int, DeadLetter | None]
    meta: Sequence[MetaWrite]
    forgotten: int = 0


class DeadLetters:
    def __init__(self, store: Datastore, limit: int = LIMIT) -> None:
        self._store, self._limit = store, limit
        self._letters: dict[int, DeadLetter] = {}
        self._of_record: dict[Record, set[int]] = {}
        self.forgotten = unpack(store.meta(_FORGOTTEN) or pack(0))
        for _, value in store.metas(_LETTER):
            self._put(_letter_of(value))
        self._next_id = max(self._letters, default=0) + 1

    def __len__(self) -> int:
        return len(self._letters)

    def __contains__(self, letter_id: int) -> bool:
        return letter_id in self._letters

    @property
    def last_id(self) -> int:
        """Of the newest that was ever kept, 0: none."""
        return self._next_id - 1

    def get(self, letter_id: int) -> DeadLetter:
        """Raises Fault NOT_FOUND."""
        letter = self._letters.get(letter_id)
        if letter is None:
            resource = {RESOURCE_TYPE: "dead letter", RESOURCE_NAME: str(letter_id)}
            raise Fault(Code.NOT_FOUND, f"dead letter {letter_id} does not exist", "", resource)
        return letter

    def after(self, letter_id: int, limit: int) -> list[DeadLetter]:
        """In the order of their ids."""
        return [self._letters[each] for each in sorted(self._letters) if each > letter_id][:limit]

    def content(self, letter_id: int) -> str:
        return str(unpack(self._store.meta(_CONTENT + _name(letter_id)) or pack("")))

    def stage(
        self, poisons: Iterable[tuple[str, int, Poison]], applied: Iterable[Record], wall_ms: int
    ) -> Posting | None:
        """Keep what is new, by (source, stamp, what); take away what `applied` has made obsolete. None: nothing."""
        letters: dict[int, DeadLetter | None] = {}
        contents: dict[int, str] = {}
        for record in applied if self._of_record else ():
            for letter_id in self._of_record.get(record, ()):
                letter = letters.get(letter_id, self._letters[letter_id])
                if letter is not None:
                    left = tuple(each for each in letter.records if each != record)
                    letters[letter_id] = replace(letter, records=left) if left else None
        for source, stamp, poison in poisons:
            letter, is_new = self._letter(source, stamp, poison, wall_ms)
            letters[letter.id] = letter
            if is_new:
                contents[letter.id] = poison.content
        if not letters:
            return None
        forgotten = self._oldest_beyond_limit(letters)
        letters |= dict.fromkeys(forgotten)
        return Posting(letters, self._writes(letters, contents, len(forgotten)), len(forgotten))

    def settle(self, posting: Posting) -> None:
        """It is durable."""
        for letter_id, letter in posting.letters.items():
            self._take(letter_id)
            if letter is not None:
                self._put(letter)
        self.forgotten += posting.forgotten

    def stage_drop(self, letter_ids: Iterable[int]) -> Posting:
        letters: dict[int, DeadLetter | None] = dict.fromkeys(letter_ids)
        return Posting(letters, self._writes(letters, {}, 0))

    def _letter(self, source: str, stamp: int, poison: Poison, wall_ms: int) -> tuple[DeadLetter, bool]:
        same = [self._letters[each] for record in poison.records for each in self._of_record.get(record, ())]
        candidates = same if poison.records else self._letters.values() if stamp else ()
        for known in candidates:
            if known.is_again(source, stamp, poison):
                return replace(known, attempts=known.attempts + 1, reason=poison.reason), False
        letter_id, self._next_id = self._next_id, self._next_id + 1
        letter = DeadLetter(
            letter_id,
            source,
            poison.tables[:NAMES_MAX],
            poison.names[:NAMES_MAX],
            poison.records,
            poison.reason,
            wall_ms,
            1,
            stamp,
            poison.size,
        )
        return letter, True

    def _oldest_beyond_limit(self, staged: dict[int, DeadLetter | None]) -> list[int]:
        staying = sorted({each for each, letter in {**self._letters, **staged}.items() if letter is not None})
        return staying[: max(0, len(staying) - self._limit)]

    def _writes(
        self, letters: dict[int, DeadLetter | None], contents: dict[int, str], forgotten: int
    ) -> list[MetaWrite]:
        writes = []
        for letter_id, letter in letters.items():
            name = _name(letter_id)
            writes.append(MetaWrite(_LETTER + name, None if letter is None else _value_of(letter)))
            if letter is None:
                writes.append(MetaWrite(_CONTENT + name, None))
            elif letter_id in contents:
                writes.append(MetaWrite(_CONTENT + name, pack(contents[letter_id])))
        if forgotten:
            writes.append(MetaWrite(_FORGOTTEN, pack(self.forgotten + forgotten)))
        return writes

    def _put(self, letter: DeadLetter) -> None:
        self._letters[letter.id] = letter
        for record in letter.records:
            self._of_record.setdefault(record, set()).add(letter.id)

    def _take(self, letter_id: int) -> None:
        letter = self._letters.pop(letter_id, None)
        for record in letter.records if letter is not None else ():
            self._of_record[record].discard(letter_id)
            if not self._of_record[record]:
                del self._of_record[record]


def _name(letter_id: int) -> bytes:
    return letter_id.to_bytes(8, "big")


def _value_of(letter: DeadLetter) -> bytes:
    fields = asdict(letter)
    fields |= {name: list(fields[name]) for name in ("tables", "names")}
    fields["records"] = [list(record) for record in letter.records]
    return pack(fields)


def _letter_of(value: bytes) -> DeadLetter:
    fields = unpack(value)
    fields |= {name: tuple(fields[name]) for name in ("tables", "names")}
    fields["records"] = tuple((table, key) for table, key in fields["records"])
    return DeadLetter(**fields)
