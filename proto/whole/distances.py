"""`string::distance::*` and `string::similarity::*`, as Rust's `strsim` crate computes them, float for float.

`similarity::fuzzy` and `smithwaterman` are scores of another crate and are not here. Two strings of thousands of
characters take seconds in Python: beyond `CELLS_MAX` the answer is left to SurrealDB.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from sp00ky.proto.whole import characters
from sp00ky.proto.whole.functions import TEXT, function
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

CELLS_MAX = 1_000_000


def _limit(a: str, b: str) -> None:
    if len(a) * len(b) > CELLS_MAX:
        raise NotPlain("a distance between long strings")


@function("string::distance::levenshtein", kinds=(TEXT, TEXT))
def levenshtein(a: str, b: str) -> int:
    _limit(a, b)
    row: list[int] = list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            before, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, before + (x != y))
    return row[-1]


@function("string::distance::osa", kinds=(TEXT, TEXT))
def optimal_alignment(a: str, b: str) -> int:
    """Neighbours may be swapped, but nothing may change between swapped ones."""
    _limit(a, b)
    older: list[int] = []
    old = list(range(len(b) + 1))
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            cost = min(old[j + 1] + 1, row[j] + 1, old[j] + (x != y))
            if i and j and x == b[j - 1] and a[i - 1] == y:
                cost = min(cost, older[j - 1] + 1)
            row.append(cost)
        older, old = old, row
    return old[-1]


@function("string::distance::damerau_levenshtein", kinds=(TEXT, TEXT))
def damerau_levenshtein(a: str, b: str) -> int:
    """With transpositions over any gap."""
    _limit(a, b)
    far = len(a) + len(b)
    rows: list[list[int]] = [[far] * (len(b) + 2), [far, *range(len(b) + 1)]]
    last_row: dict[str, int] = {}
    for i, x in enumerate(a, 1):
        row, last_match = [far, i], 0
        for j, y in enumerate(b, 1):
            k = last_row.get(y, 0)
            swapped = rows[k][last_match] + (i - k - 1) + 1 + (j - last_match - 1)
            row.append(min(rows[i][j] + (x != y), row[j] + 1, rows[i][j + 1] + 1, swapped))
            if x == y:
                last_match = j
        last_row[x] = i
        rows.append(row)
    return rows[-1][-1]


def _normalized(distance: int, a: str, b: str) -> float:
    return 1.0 - distance / max(len(a), len(b)) if a or b else 1.0


@function("string::distance::normalized_levenshtein", kinds=(TEXT, TEXT))
def normalized_levenshtein(a: str, b: str) -> float:
    return _normalized(levenshtein(a, b), a, b)


@function("string::distance::normalized_damerau_levenshtein", kinds=(TEXT, TEXT))
def normalized_damerau_levenshtein(a: str, b: str) -> float:
    return _normalized(damerau_levenshtein(a, b), a, b)


@function("string::distance::hamming", kinds=(TEXT, TEXT))
def hamming(a: str, b: str) -> int:
    if len(a) != len(b):
        raise EvaluationError("string::distance::hamming of strings of unequal lengths")
    return sum(x != y for x, y in zip(a, b, strict=True))


@function("string::similarity::jaro", kinds=(TEXT, TEXT))
def jaro(a: str, b: str) -> float:
    _limit(a, b)
    if not a or not b:
        return float(a == b)
    reach = max(0, max(len(a), len(b)) // 2 - 1)
    taken = [False] * len(b)
    from_a: list[str] = []
    for i, x in enumerate(a):
        for j in range(max(0, i - reach), min(len(b), i + reach + 1)):
            if b[j] == x and not taken[j]:
                taken[j] = True
                from_a.append(x)
                break
    if not from_a:
        return 0.0
    from_b = [y for y, found in zip(b, taken, strict=True) if found]
    swapped = sum(x != y for x, y in zip(from_a, from_b, strict=True)) // 2
    count = len(from_a)
    return (count / len(a) + count / len(b) + (count - swapped) / count) / 3.0


@function("string::similarity::jaro_winkler", kinds=(TEXT, TEXT))
def jaro_winkler(a: str, b: str) -> float:
    similar = jaro(a, b)
    if similar <= 0.7:
        return similar
    prefix = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return similar + 0.1 * min(prefix, 4) * (1.0 - similar)


@function("string::similarity::sorensen_dice", kinds=(TEXT, TEXT))
def sorensen_dice(left: str, right: str) -> float:
    """The share of common pairs of neighbours, white space aside."""
    a, b = "".join(characters.words(left)), "".join(characters.words(right))
    if a == b:
        return 1.0
    bytes_a, bytes_b = len(a.encode()), len(b.encode())  # SurrealDB counts pairs of characters, but bytes of text
    if bytes_a < 2 or bytes_b < 2:
        return 0.0
    common = (Counter(pairwise(a)) & Counter(pairwise(b))).total()
    return 2 * common / (bytes_a + bytes_b - 2)
