"""Files of commands with the text they should print: a command, lines, `----`, the expected text, a blank line.

`REWRITE=1` writes what came out instead of comparing; the difference is read in review.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    body: str
    expected: str
    line: int


def commands_of(path: Path) -> list[Command]:
    found: list[Command] = []
    lines = path.read_text().split("\n")
    index = 0
    while index < len(lines):
        if not lines[index].strip() or lines[index].startswith("# "):
            index += 1
            continue
        start = index
        name = lines[index]
        divider = lines.index("----", index)
        end = next((at for at in range(divider, len(lines)) if not lines[at].strip()), len(lines))
        body = "\n".join(lines[start + 1 : divider])
        found.append(Command(name, body, "\n".join(lines[divider + 1 : end]), start + 1))
        index = end
    return found


def check_commands(path: Path, run: Callable[[str, str], str]) -> None:
    """Runs every command of the file; all differences are reported together."""
    rewriting = os.environ.get("REWRITE") == "1"
    blocks: list[str] = []
    wrong: list[str] = []
    for command in commands_of(path):
        actual = run(command.name, command.body)
        blocks.append(f"{command.name}\n{command.body}\n----\n{actual}\n")
        if actual != command.expected:
            wrong.append(f"{path.name}:{command.line}: {command.body}\n  expected {command.expected}\n  got {actual}")
    if rewriting:
        path.write_text("\n".join(blocks))
    elif wrong:
        pytest.fail("\n".join(wrong))
    assert blocks, f"{path} holds no command"
