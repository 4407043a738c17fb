"""Applications as they would be written: a schema with data, what happens, and the queries that are held as views.

A file `<name>.surql` has three parts, parted by a line `----`: the statements that make schema and data; the steps, a
transaction a line; the queries, a line each. A query may begin with its parameters: `$me = person:1; SELECT …`, values
without `;`. A line that begins with `--` is a comment. ORDER BY ends with a key that leaves no ties: without one the
engine's order is its own affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.scope import Source
from sp00ky.scheduler.capture.schema import TABLES_TEXT, TableSchema, of_fair_name, table_schema

from tests.harness.oracle import Oracle, Refused

HERE = Path(__file__).parent
_PARAM = re.compile(r"\$(\w+) = ([^;]+);\s*")


@dataclass(frozen=True, slots=True)
class Query:
    """`given`: the parameters as they are written. `view` names it: application and line."""

    view: str
    text: str
    given: tuple[tuple[str, str], ...]

    @property
    def written(self) -> str:
        return "".join(f"${name} = {text}; " for name, text in self.given) + self.text


@dataclass(frozen=True, slots=True)
class Application:
    name: str
    setup: str
    steps: tuple[str, ...]
    queries: tuple[Query, ...]


def applications() -> list[Application]:
    return [_read(path) for path in sorted(HERE.glob("*.surql"))]


def _read(path: Path) -> Application:
    text = path.read_text()
    setup, steps, queries = text.split("\n----\n")
    first = text.count("\n", 0, text.index(queries)) + 1
    return Application(
        path.stem,
        setup,
        tuple(line for line in steps.splitlines() if _counts(line)),
        tuple(
            _query(f"{path.stem}:{number}", line)
            for number, line in enumerate(queries.splitlines(), start=first)
            if _counts(line)
        ),
    )


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("--")


def _query(view: str, line: str) -> Query:
    given = []
    while found := _PARAM.match(line):
        given.append((found[1], found[2]))
        line = line[found.end() :]
    return Query(view, line, tuple(given))


class Played:
    """An application on an engine of its own, step by step."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.oracle = Oracle()
        self._write(application.setup)
        self.schema = {table["name"]: self._schema_of(table) for table in self._tables()}
        self.params = {query.view: self._params(query) for query in application.queries}

    def _tables(self) -> list[Mapping[str, Value]]:
        return of_fair_name(self._told(TABLES_TEXT))

    def _schema_of(self, table: Mapping[str, Value]) -> TableSchema:
        return table_schema(table, self._told(f"INFO FOR TABLE {table['name']} STRUCTURE"))

    def _params(self, query: Query) -> dict[str, Value]:
        return {name: self.oracle.ask(f"RETURN {text}") for name, text in query.given}

    def _told(self, surql: str) -> Value:
        answer = self.oracle.ask(surql)
        assert not isinstance(answer, Refused), f"{surql}: {answer.message}"
        return answer

    def rows(self, table: str) -> list[dict[str, Value]]:
        rows: list[dict[str, Value]] = self._told(f"SELECT * FROM {table}")
        return rows

    def _write(self, surql: str) -> None:
        refused = [answer for answer in self.oracle.ask_all(surql) if isinstance(answer, Refused)]
        assert not refused, f"{self.application.name}: {surql[:80]}…: {refused}"

    def steps(self) -> Iterator[int]:
        """0 as soon as the data is there, then the number of each step that was taken."""
        yield 0
        for number, step in enumerate(self.application.steps, start=1):
            self._write(f"BEGIN; {step.rstrip('; ')}; COMMIT;")
            yield number

    def fresh(self, query: Query) -> Value | Refused:
        return self.ask(query.text, query)

    def ask(self, surql: str, query: Query) -> Value | Refused:
        """Another text, with the query's parameters."""
        return self.oracle.ask(surql, **self.params[query.view])

    def source(self) -> Source:
        return self.oracle.tables(*self.schema)
