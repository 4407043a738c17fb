"""Expected behaviour as text: blocks of `command`, `----`, output. `REWRITE=1 pytest …` rewrites the outputs.

A command's first line is `name key=value …`; further lines up to `----` are its input. `#` begins a comment line
between blocks. Commit a rewritten file only if you understand the difference.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEPARATOR = "----"


@dataclass
class Command:
    """`args` are the words without `=`, `options` those with; `input` the lines below the first."""

    name: str
    args: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    input: str = ""
    line: int = 0

    def option(self, name: str, default: str = "") -> str:
        return self.options.get(name, default)

    def number(self, name: str, default: int = 0) -> int:
        return int(self.options.get(name, default))


@dataclass
class _Block:
    comment: list[str]
    source: list[str]
    output: list[str]
    line: int

    def command(self) -> Command:
        name, *words = shlex.split(self.source[0])
        options = dict(word.split("=", 1) for word in words if "=" in word)
        args = [word for word in words if "=" not in word]
        return Command(name, args, options, "\n".join(self.source[1:]), self.line)


def run_scenario(path: Path, execute: Callable[[Command], str]) -> None:
    """Run every command of a file in order; AssertionError at the first output that differs."""
    blocks = list(_blocks(path))
    assert blocks, f"{path.name} has no command"
    rewritten: list[str] = []
    for block in blocks:
        actual = execute(block.command()).rstrip("\n").split("\n")
        actual = [line.rstrip() for line in actual] if actual != [""] else ["ok"]
        if not os.environ.get("REWRITE"):
            where = f"{path.name}:{block.line}: {block.source[0]}"
            assert actual == block.output, f"{where}\nexpected:\n{_shown(block.output)}\nactual:\n{_shown(actual)}"
        rewritten += [*block.comment, *block.source, SEPARATOR, *actual, ""]
    if os.environ.get("REWRITE"):
        path.write_text("\n".join(rewritten))


def _shown(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _blocks(path: Path) -> Iterator[_Block]:
    """A block ends at the first empty line after its separator."""
    comment: list[str] = []
    block: _Block | None = None
    after_separator = False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if block is None:
            if line.startswith("#") or not line.strip():
                comment.append(line)
            else:
                block, after_separator = _Block(_trimmed(comment), [line], [], number), False
        elif not after_separator:
            after_separator = line == SEPARATOR
            if not after_separator:
                block.source.append(line)
        elif line.strip():
            block.output.append(line)
        else:
            yield block
            block, comment = None, []
    if block is not None:
        yield block


def _trimmed(comment: list[str]) -> list[str]:
    return comment if any(line.startswith("#") for line in comment) else []
