"""A case: tables, their data, a history of transactions, and queries; as values and as a text one can read.

    # comment
    DEFINE TABLE item SCHEMALESS;
    CREATE item:1 SET n = 1;
    ----
    UPDATE item:1 SET n = 2;          the first transaction
    DELETE item:2;

    CREATE item:3;                    an empty line begins the next
    ----
    LET $low = 1;                     a parameter of the query that follows
    SELECT * FROM item WHERE n > $low
    [since=2] SELECT * FROM item      registered before the second transaction

Each statement stands on a line of its own. The data are transaction 0; `since=0` registers a query before them. A query
without `since` is registered after the data, before the first transaction. `auth=user:1` asks as that record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SEPARATOR = "----"
_SEPARATED = re.compile(rf"^{SEPARATOR}$", re.MULTILINE)
_OPTIONS = re.compile(r"\[(\S+=\S+(?: \S+=\S+)*)\] (?=SELECT)")
_LET = re.compile(r"LET \$(\w+) = (.*);")
_SCHEMA = ("DEFINE", "OPTION", "ALTER")


DEFINE_INDEX = "DEFINE INDEX "


@dataclass(frozen=True, slots=True)
class Query:
    """`params`: name → literal text. `auth`: the record the query is asked as, empty for the owner."""

    text: str
    params: tuple[tuple[str, str], ...] = ()
    since: int = 1
    auth: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """Statements end without `;` and hold no line break."""

    schema: tuple[str, ...]
    data: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]
    queries: tuple[Query, ...]
    comment: tuple[str, ...] = field(default=(), compare=False)

    @property
    def transactions(self) -> tuple[tuple[str, ...], ...]:
        return (self.data, *self.steps)


def written(case: Case) -> str:
    """The text from which `read` makes the case again."""
    lines = [f"# {line}".rstrip() for line in case.comment]
    lines += [f"{statement};" for statement in (*case.schema, *case.data)]
    lines.append(SEPARATOR)
    for number, step in enumerate(case.steps):
        lines += [""] * (number > 0) + [f"{statement};" for statement in step]
    lines.append(SEPARATOR)
    for query in case.queries:
        lines += [f"LET ${name} = {value};" for name, value in query.params]
        lines.append(_options(query) + query.text)
    return "\n".join(lines) + "\n"


def _options(query: Query) -> str:
    options = [f"since={query.since}"] * (query.since != 1) + [f"auth={query.auth}"] * bool(query.auth)
    return f"[{' '.join(options)}] " if options else ""


def read(text: str) -> Case:
    """The case of a text. Raises ValueError for one that has not three parts."""
    comment = tuple(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    first, second, third = (part.strip("\n") for part in _SEPARATED.split("\n".join(lines)))
    statements = _statements(first)
    schema = tuple(each for each in statements if each.startswith(_SCHEMA))
    data = tuple(each for each in statements if not each.startswith(_SCHEMA))
    steps = tuple(_statements(block) for block in second.split("\n\n") if block.strip())
    return Case(schema, data, steps, _queries(third), comment)


def _statements(text: str) -> tuple[str, ...]:
    return tuple(line.strip().removesuffix(";") for line in text.splitlines() if line.strip())


def _queries(text: str) -> tuple[Query, ...]:
    queries: list[Query] = []
    params: list[tuple[str, str]] = []
    for line in filter(str.strip, text.splitlines()):
        if let := _LET.fullmatch(line):
            params.append((let[1], let[2]))
            continue
        found = _OPTIONS.match(line)
        options = dict(option.split("=", 1) for option in found[1].split()) if found else {}
        body = line[found.end() :] if found else line
        queries.append(Query(body, tuple(params), int(options.get("since", 1)), options.get("auth", "")))
        params = []
    return tuple(queries)
