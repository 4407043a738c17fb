"""Consecutive entries as the bytes that lie in the log and go over the wire: written once, when they are numbered.

An entry is its header (seq, epoch, txn_last, at_ms) and its body, one after the other, which is what the encoding of a
message is: fields in any order, a message within one as tag, length, bytes. So a change's bytes are spliced in as they
came, and no message is built for it. Who reads an `EncodedEntries` as a sequence gets messages, parsed one by one.

Invariant: `encoded[i]` is the entry `first_seq + i`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, overload

from sp00ky.proto.v1.common_pb2 import Entry

CHANGE: Final = b"\x2a"  # the tag of a body that is a change
_NUMBERS: Final = 1 << 14
_CUT: Final = Entry(cut=True).SerializeToString()
_SEQ, _LOW, _MORE = 0x08, 0x7F, 0x80
_OPENINGS_SHORT: Final = tuple(bytes((_SEQ, low)) for low in range(_LOW + 1))  # of a seq that has no higher bits
_OPENINGS: Final = tuple(bytes((_SEQ, low | _MORE)) for low in range(_LOW + 1))


def varint(number: int) -> bytes:
    """A number ≥ 0 as protobuf writes it: seven bits a byte, the lowest first."""
    if number < _NUMBERS:
        return _SHORT[number]
    return _CONTINUED[number & _NUMBERS - 1] + varint(number >> 14)


def _seven_bits(number: int, more: int) -> bytes:
    return bytes((number & _LOW | _MORE, number >> 7 | more))


_CONTINUED: Final = tuple(_seven_bits(number, _MORE) for number in range(_NUMBERS))
_SHORT: Final = tuple(_seven_bits(number, 0) if number > _LOW else bytes((number,)) for number in range(_NUMBERS))


class EncodedEntries(Sequence[Entry]):
    __slots__ = ("encoded", "first_seq")

    def __init__(self) -> None:
        self.first_seq = 0
        self.encoded: list[bytes] = []

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> EncodedEntries:
        """These entries as what they are; those of somebody else, which are messages, written."""
        if isinstance(entries, EncodedEntries):
            return entries
        made = cls()
        for entry in entries:
            made.starts_at(entry.seq)
            assert entry.seq == made.first_seq + len(made.encoded), f"entry {entry.seq} after {len(made.encoded)} more"
            made.encoded.append(entry.SerializeToString())
        return made

    def starts_at(self, seq: int) -> None:
        """The next entry to be put here is `seq`."""
        if not self.encoded:
            self.first_seq = seq

    def __len__(self) -> int:
        return len(self.encoded)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [Entry.FromString(data) for data in self.encoded[index]]
        return Entry.FromString(self.encoded[index])

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry.FromString, self.encoded)

    def cut(self) -> None:
        """Who watches views is shown the state after these entries."""
        self.encoded[-1] += _CUT


def header(seq: int, epoch: int, txn_last: bool, at_ms: int) -> bytes:
    """All of an entry but its body, as a message that has no body is written."""
    return Entry(seq=seq, epoch=epoch, txn_last=txn_last, at_ms=at_ms).SerializeToString()


class Headers:
    """The headers of the entries `seq | 0 … seq | 127`, which differ in their first two bytes and in `txn_last` only.

    An entry is `opening[seq & 127]`, then `inner`, or `ending` for the last of its transaction, then its body."""

    __slots__ = ("ending", "inner", "opening")

    def __init__(self, seq: int, epoch: int, at_ms: int) -> None:
        self.opening = _OPENINGS if seq > _LOW else _OPENINGS_SHORT
        skipped = len(self.opening[seq & _LOW])
        self.inner, self.ending = (header(seq, epoch, txn_last, at_ms)[skipped:] for txn_last in (False, True))


def length(data: bytes) -> bytes:
    """The length of these bytes, as it stands before them in a message."""
    size = len(data)
    return _SHORT[size] if size < _NUMBERS else varint(size)


def message_of(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """The encoding of a message that has these parts in its one repeated field, by its tag."""
    return b"".join([piece for part in parts for piece in (tag, length(part), part)])
