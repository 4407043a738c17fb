"""Covering arrays: few rows in which every combination of values of any `strength` dimensions occurs.

Most faults need two or three clauses that meet, so a row that covers many new combinations at once is worth more than a
random one (Kuhn, Wallace, Gallo, "Software fault interactions and implications for software testing", 2004). Greedy:
of several random rows that hold a combination not yet seen, the one with most others that are new.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TypeAlias

Row: TypeAlias = dict[str, str]
_CANDIDATES = 8
_PLAIN_SHARE = 0.55


def each_alone(dimensions: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Every value with all other dimensions at their first value, which is the smallest."""
    plain = {name: values[0] for name, values in dimensions.items()}
    yield plain
    for name, values in dimensions.items():
        for value in values[1:]:
            yield {**plain, name: value}


def covering(dimensions: Mapping[str, Sequence[str]], strength: int, draw: random.Random) -> Iterator[Row]:
    """Rows until every combination of `strength` dimensions' values has occurred."""
    missing = {
        tuple(zip(names, values, strict=True))
        for names in combinations(dimensions, strength)
        for values in product(*(dimensions[name] for name in names))
    }
    waiting = sorted(missing)
    draw.shuffle(waiting)
    while missing:
        wanted = waiting.pop()
        if wanted not in missing:
            continue
        rows = [{**_random_row(dimensions, draw), **dict(wanted)} for _ in range(_CANDIDATES)]
        best = max(rows, key=lambda row: len(missing.intersection(_combinations(row, strength))))
        missing.difference_update(_combinations(best, strength))
        yield best


def random_rows(dimensions: Mapping[str, Sequence[str]], draw: random.Random) -> Iterator[Row]:
    while True:
        yield _random_row(dimensions, draw)


def _random_row(dimensions: Mapping[str, Sequence[str]], draw: random.Random) -> Row:
    """Mostly first values: three or four choices that meet say more than eleven, of which one is often an error."""
    return {
        name: values[0] if draw.random() < _PLAIN_SHARE else draw.choice(values) for name, values in dimensions.items()
    }


def _combinations(row: Row, strength: int) -> list[tuple[tuple[str, str], ...]]:
    return list(combinations(row.items(), strength))
