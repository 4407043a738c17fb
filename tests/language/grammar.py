"""Random queries of SurrealDB's documented grammar (`grammar.txt`), made as text, without a look at our parser.

Not every text is SurrealQL (a comparison may chain), so the engine is asked first. Deep down only the templates that
need nothing more are taken, so that every text ends.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

PLACE = re.compile(r"§([a-z]+1?)")
Grammar = dict[str, list[str]]


@cache
def grammar() -> Grammar:
    found: Grammar = {}
    name = ""
    lines = (Path(__file__).parent / "grammar.txt").read_text().split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r"\[[a-z]+1?\]", line):
            name = line[1:-1]
            found[name] = []
        elif name and (line or following.startswith(" ")):
            found[name].append(line)
    return found


def made(generator: random.Random, name: str, levels: int) -> str:
    """A text of what `name` makes, `levels` templates deep at most, if templates that need no other allow."""
    templates = grammar()[name]
    if levels <= 0:
        templates = [each for each in templates if set(PLACE.findall(each)) <= {"atom"}] or [_shallowest(name)]
    template = generator.choice(templates)
    return PLACE.sub(lambda place: made(generator, place.group(1), levels - 1), template)


def _shallowest(name: str) -> str:
    return min(grammar()[name], key=lambda template: len(PLACE.findall(template)))


def query(generator: random.Random, levels: int) -> str:
    return made(generator, "select", levels)
