"""Expressions over the rows of a table: paths, links, graph steps, operators, functions, sub-selects.

An expression is asked for by kind (number, text, condition, …) since one wrong kind makes an error of the whole query
and proves little; about one in ten is drawn with no regard to kind all the same. Paths may be NONE, so what cannot take
NONE gets `?? 0`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz.tables import EDGES, FIELDS, NUMBERS, ODD, PARTS, POINT, TEXTS, Tables

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "==", "IS", "IS NOT")
LOGICAL = ("??", "?:", "AND", "OR", "&&", "||")
LIST_COMPARISONS = ("?=", "*=")
CONTAINMENTS = ("CONTAINS", "CONTAINSNOT", "CONTAINSALL", "CONTAINSANY", "CONTAINSNONE")
INSIDES = ("IN", "NOT IN", "INSIDE", "NOTINSIDE", "ALLINSIDE", "ANYINSIDE", "NONEINSIDE")
# functions of each kind of argument; {0}: the argument
NUMBER_OF_NUMBER = ("math::abs({0})", "math::floor({0})", "math::ceil({0})", "math::round({0})", "math::sign({0})",
                    "math::fixed({0}, 1)", "math::clamp({0}, 0, 3)", "-({0})", "<int>math::floor({0})",
                    "<float>({0})", "math::pow({0}, 2)", "math::sqrt({0})", "math::lerp(0, {0}, 2)")  # fmt: skip
NUMBER_OF_NUMBERS = ("math::sum({0})", "math::max({0})", "math::min({0})", "math::mean({0})", "array::len({0})",
                     "count({0})", "math::median({0})", "math::product({0})", "{0}.len()", "math::spread({0})",
                     "math::stddev({0})", "math::mode({0})")  # fmt: skip
TEXT_OF_TEXT = ("string::lowercase({0})", "string::uppercase({0})", "string::trim({0})", "string::reverse({0})",
                "string::slice({0}, 0, 1)", "string::repeat({0}, 2)", "string::concat({0}, 'x')",
                "string::replace({0}, 'a', 'z')", "{0} + '!'", "({0}).uppercase()", "string::join('-', {0}, 'k')",
                "string::slice({0}, -1)", "string::capitalize({0})", "crypto::md5({0})")  # fmt: skip
NUMBER_OF_TEXT = ("string::len({0})", "array::len(string::split({0}, 'a'))", "string::distance::levenshtein({0}, 'a')")
TEST_OF_TEXT = ("string::starts_with({0}, 'a')", "string::contains({0}, 'b')", "string::ends_with({0}, 'b')",
                "string::is_numeric({0})", "{0} CONTAINS 'a'", "'a' IN {0}", "string::matches({0}, 'a.*')",
                "string::is_alpha({0})", "string::is_ascii({0})", "{0} = /a|b/")  # fmt: skip
ARRAY_OF_ARRAY = ("array::distinct({0})", "array::sort({0})", "array::reverse({0})", "array::append({0}, 1)",
                  "array::slice({0}, 0, 2)", "array::concat({0}, [1])", "array::union({0}, [1, 2])",
                  "array::intersect({0}, [1, 2])", "array::complement({0}, [1])", "array::difference({0}, [2, 9])",
                  "array::flatten([{0}, [3]])", "array::map({0}, |$v| $v ?? 0)", "array::filter({0}, |$v| $v != 1)",
                  "{0}.map(|$v| [$v])", "array::sort::desc({0})", "array::add({0}, 2)", "array::remove({0}, 0)",
                  "array::prepend({0}, 0)", "array::group([{0}, [1]])", "array::windows({0}, 2)")  # fmt: skip
ANY_OF_ARRAY = ("array::first({0})", "array::last({0})", "{0}[0]", "{0}[$]", "array::at({0}, 1)", "{0}[1]",
                "array::find_index({0}, 1)", "array::is_empty({0})", "array::any({0})", "array::all({0})",
                "array::pop({0})", "array::max({0})", "array::min({0})", "{0}.first()")  # fmt: skip
OF_TIME = ("time::year({0})", "time::month({0})", "time::floor({0}, 1d)", "time::day({0})", "{0} + 1d",
           "time::unix({0})", "time::group({0}, 'year')", "{0} - d'2024-01-01T00:00:00Z'", "time::wday({0})",
           "time::hour({0})", "time::format({0}, '%Y-%m')")  # fmt: skip
OF_ANY = ("type::is_string({0})", "type::is_number({0})", "type::is_none({0})", "type::is_array({0})",
          "<string>({0})", "[{0}]", "{{ v: {0} }}", "!({0})", "!!({0})", "type::is_record({0})", "type::of({0})",
          "<bool>({0})", "type::is_object({0})", "count({0})")  # fmt: skip
OF_OBJECT = ("object::keys({0})", "object::values({0})", "object::len({0})", "object::entries({0})", "{0}.*",
             "{0}.keys()", "object::is_empty({0})", "{0}.{{x, y}}", "{0}['y']",
             "object::extend({0}, {{ y: 1 }})")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """What an expression sees: a row of `table`, inside a query over `parents`, outermost first."""

    table: str
    parents: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        return len(self.parents)


@dataclass
class Expressions:
    """`params` collects the query's parameters. Sub-selects are drawn by `Selects`."""

    draw: random.Random
    tables: Tables
    params: dict[str, str] = field(default_factory=dict)

    # --- constants ---

    def constant(self, kind: str) -> str:
        text = self.tables.value(kind)
        if text == POINT or self.chance(0.15):  # a query with a point in its text is not taken apart
            return self.param(text)
        return text

    def param(self, text: str) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = text
        return f"${name}"

    def chance(self, share: float) -> bool:
        return self.draw.random() < share

    # --- paths ---

    def path(self, row: Row, kind: str) -> str:
        """A path from the row to a value of the kind, or to NONE: a field, over links, into an object, of `$parent`."""
        if row.parents and self.chance(0.2):
            return f"$parent.{self._from(row.parents[-1], kind, 1)}"
        return self._from(row.table, kind, 0)

    def _from(self, table: str, kind: str, depth: int) -> str:
        fields = FIELDS[table]
        direct = [name for name, has in fields.items() if has == kind]
        if depth < 3 and (not direct or self.chance(0.25)):
            links = [(name, has[5:]) for name, has in fields.items() if has.startswith("link:")]
            if links:
                name, other = self.draw.choice(links)
                optional = ".?" if self.chance(0.05) else ""
                return f"{name}{optional}.{self._from(other, kind, depth + 1)}"
        objects = [name for name, has in fields.items() if has == "object"]
        inside = [part for part, has in PARTS.items() if has == kind]
        if objects and inside and (not direct or self.chance(0.2)):
            return f"{self.draw.choice(objects)}.{self.draw.choice(inside)}"
        if direct:
            return self.draw.choice(direct)
        return self.draw.choice(tuple(fields))

    def link(self, row: Row) -> tuple[str, str]:
        """A path to a record, and its table."""
        links = [(name, has[5:]) for name, has in FIELDS[row.table].items() if has.startswith("link:")]
        if not links or self.chance(0.1):
            return "id", row.table
        name, table = self.draw.choice(links)
        return name, table

    def many(self, row: Row) -> tuple[str, str]:
        """A path to an array of records, and their table: a field of links, or graph steps."""
        fields = [(name, has[6:]) for name, has in FIELDS[row.table].items() if has.startswith("links:")]
        if fields and self.chance(0.4):
            return self.draw.choice(fields)
        return self.graph(row)

    def graph(self, row: Row) -> tuple[str, str]:
        """Graph steps from the row, and the table where they end."""
        text, table = self._edge_step(row.table)
        if not text:
            link, other = self.link(row)
            step, table = self._edge_step(other)
            text = f"{link}{step}" if step else "->?"
            table = table or row.table
        while self.chance(0.6):
            step, ends = self._node_step(table) if table in EDGES else self._edge_step(table)
            if not step:
                break
            text, table = text + step, ends
        return text, table

    def _edge_step(self, table: str) -> tuple[str, str]:
        """From a node to its edges; nothing for a table without."""
        steps = [("->", name) for name, ends in EDGES.items() if ends[0] == table]
        steps += [("<-", name) for name, ends in EDGES.items() if ends[1] == table]
        if not steps:
            return "", ""
        arrow, edge = self.draw.choice(steps)
        if EDGES[edge] == (table, table) and self.chance(0.3):
            arrow = "<->"
        shape = self.draw.randrange(10)
        if shape == 0:
            return f"{arrow}?", edge
        if shape == 1:
            return f"{arrow}(likes, knows)", edge
        if shape == 2:
            return f"{arrow}({edge} WHERE {self._edge_condition(edge)})", edge
        if shape == 3:
            return f"{arrow}{edge}[WHERE {self._edge_condition(edge)}]", edge
        if shape == 4:
            return f"{arrow}({edge} LIMIT {self.draw.randrange(3)})", edge
        return f"{arrow}{edge}", edge

    def _node_step(self, edge: str) -> tuple[str, str]:
        begin, end = EDGES[edge]
        arrow, table = self.draw.choice((("->", end), ("->", end), ("<-", begin)))
        if begin == end and self.chance(0.2):
            arrow = "<->"
        shape = self.draw.randrange(8)
        if shape == 0:
            return f"{arrow}?", table
        if shape == 1:
            return f"{arrow}{table}[WHERE {self.comparison(Row(table))}]", table
        if shape == 2:
            return f"{arrow}({table} WHERE {self.comparison(Row(table))})", table
        return f"{arrow}{table}", table

    def _edge_condition(self, edge: str) -> str:
        return self.comparison(Row(edge))

    def walk(self, row: Row) -> str:
        """Something read through links or edges, of any shape."""
        text, table = self.many(row)
        name = self.draw.choice(tuple(FIELDS[table]))
        tails = ("", f".{name}", ".*", f".{{id, {name}}}", "[0]", f"[0].{name}", "[*]", f"[*].{name}", ".id", ".len()",
                 f"[WHERE {self.comparison(Row(table))}]", f"[WHERE {self.comparison(Row(table))}].{name}",
                 f".{{ k: {name}, id }}", "[$]", "[? id]", "[$].id", ".*.id", f".{{ {name}.* }}")  # fmt: skip
        return text + self.draw.choice(tails)

    # --- kinds ---

    def number(self, row: Row, depth: int = 0) -> str:
        plain = f"({self.path(row, 'number')} ?? 0)" if self.chance(0.85) else self.path(row, "number")
        if depth > 1 or self.chance(0.3):
            return plain
        makers: tuple[Callable[[], str], ...] = (
            lambda: f"{plain} {self.draw.choice(('+', '-', '*', '/', '%', '**'))} {self.draw.choice(NUMBERS)}",
            lambda: f"({self.number(row, depth + 1)} + {self.number(row, depth + 1)})",
            lambda: self.draw.choice(NUMBER_OF_NUMBER).format(plain),
            lambda: self.draw.choice(NUMBER_OF_NUMBERS).format(self.array(row, depth + 1)),
            lambda: self.draw.choice(NUMBER_OF_TEXT).format(self.text(row, depth + 1)),
            lambda: f"count({self.many(row)[0]})",
            lambda: f"array::len({self.many(row)[0]} ?? [])",
            lambda: f"(IF {self.condition(row, 2)} THEN {plain} ELSE {self.draw.choice(NUMBERS)} END)",
        )
        return self.draw.choice(makers)()

    def text(self, row: Row, depth: int = 0) -> str:
        plain = f"({self.path(row, 'text')} ?? '')" if self.chance(0.85) else self.path(row, "text")
        if depth > 1 or self.chance(0.4):
            return plain
        return self.draw.choice(TEXT_OF_TEXT).format(plain)

    def array(self, row: Row, depth: int = 0) -> str:
        plain = f"({self.path(row, 'numbers')} ?? [])"
        if depth > 1 or self.chance(0.4):
            return plain
        return self.draw.choice(ARRAY_OF_ARRAY).format(plain)

    def anything(self, row: Row, depth: int = 0) -> str:
        """A value of any kind; mostly not an error."""
        kinds = ("any", "number", "text", "numbers", "object", "objects", "time", "bool")
        plain = self.path(row, self.draw.choice(kinds))
        if depth > 1 or self.chance(0.3):
            return plain
        objects = f"({self.path(row, 'object')} ?? {{}})"
        listed = self.path(row, "objects")
        makers: tuple[Callable[[], str], ...] = (
            lambda: self.number(row, depth),
            lambda: self.text(row, depth),
            lambda: self.array(row, depth),
            lambda: self.draw.choice(ANY_OF_ARRAY).format(self.array(row, depth + 1)),
            lambda: self.draw.choice(OF_TIME).format(f"({self.path(row, 'time')} ?? {self.tables.value('time')})"),
            lambda: self.draw.choice(OF_ANY).format(self.anything(row, depth + 1)),
            lambda: self.draw.choice(OF_OBJECT).format(objects),
            lambda: f"{listed}{self.draw.choice(('[0].x', '.y', '[*].x', '[WHERE n > 1]', '[WHERE y].y', '.{x, y}'))}",
            lambda: f"{plain} {self.draw.choice(LOGICAL)} {self.anything(row, depth + 1)}",
            lambda: self.draw.choice(("record::id({0})", "record::tb({0})", "{0}.id()", "{0}")).format("id"),
            lambda: self.walk(row),
            lambda: self.walk(row),
            lambda: self.condition(row, 2),
            lambda: f"[{plain}, {self.anything(row, depth + 1)}]",
            lambda: f"{{ k: {plain}, l: {self.anything(row, depth + 1)} }}",
            lambda: f"{self.link(row)[0]}.*",
            lambda: f"{self.link(row)[0]}.{{id, n, name}}",
            lambda: self.subselect(row),
            lambda: self.subselect(row),
            lambda: f"(IF {self.condition(row, 2)} {{ {plain} }} ELSE {{ {self.anything(row, depth + 1)} }})",
        )
        return self.draw.choice(makers)()

    def subselect(self, row: Row) -> str:
        """A SELECT in brackets that may read `$parent`; see `Selects`."""
        raise NotImplementedError

    def ids_of(self, row: Row, table: str) -> str:
        """A SELECT VALUE in brackets of records of the table."""
        raise NotImplementedError

    # --- conditions ---

    def condition(self, row: Row, depth: int = 0) -> str:
        choice = self.draw.random()
        if depth < 2 and choice < 0.3:
            join = self.draw.choice(("AND", "OR", "&&", "||"))
            return f"({self.condition(row, depth + 1)} {join} {self.condition(row, depth + 1)})"
        if choice < 0.36:
            return f"!({self.condition(row, depth + 1)})"
        if choice < 0.62 or depth > 2:
            return self.comparison(row)
        return self.draw.choice((self._contained, self._related, self._linked, self._tested, self._counted))(row)

    def comparison(self, row: Row) -> str:
        kind = self.draw.choice(("any", "any", "number", "number", "text", "time", "bool"))
        left = self.path(row, kind)
        shape = self.draw.random()
        if shape < 0.1:
            return left
        if shape < 0.25:
            return f"{left} {self.draw.choice(('=', '!=', 'IS', 'IS NOT'))} {self.draw.choice(('NONE', 'NULL'))}"
        if shape < 0.35:
            return f"{left} {self.draw.choice(COMPARISONS)} {self.path(row, kind)}"
        if shape < 0.42:
            return f"{self.constant(kind)} {self.draw.choice(COMPARISONS)} {left}"
        return f"{left} {self.draw.choice(COMPARISONS)} {self.constant(kind)}"

    def _contained(self, row: Row) -> str:
        shape = self.draw.randrange(6)
        if shape == 0:
            return f"{self.path(row, 'number')} IN {self.draw.choice(('1..3', '0..=2', '1>..3', '..2'))}"
        if shape == 1:
            return f"{self.array(row)} {self.draw.choice(LIST_COMPARISONS)} {self.draw.choice(NUMBERS)}"
        if shape == 2:
            listed = f"[{', '.join(self.draw.choice((*NUMBERS, *TEXTS, *ODD[:4])) for _ in range(3))}]"
            return f"{self.path(row, 'any')} {self.draw.choice(INSIDES[:4])} {listed}"
        if shape == 3:
            operator = self.draw.choice((*CONTAINMENTS[2:], *INSIDES[4:]))
            return f"{self.path(row, 'numbers')} {operator} {self.constant('numbers')}"
        if shape == 4:
            links, table = self.many(row)
            return f"{links} {self.draw.choice(CONTAINMENTS[:2])} {self.tables.record(table)}"
        return f"{self.path(row, 'numbers')} {self.draw.choice(CONTAINMENTS[:2])} {self.constant('number')}"

    def _related(self, row: Row) -> str:
        """By graph steps or sub-selects."""
        walk, table = self.many(row)
        link, other = self.link(row)
        makers: tuple[Callable[[], str], ...] = (
            lambda: f"count({walk}) {self.draw.choice(('>', '=', '<'))} {self.draw.randrange(3)}",
            lambda: walk,
            lambda: f"{walk}.{self.draw.choice(tuple(FIELDS[table]))} CONTAINS {self.constant('any')}",
            lambda: f"{link} IN {self.ids_of(row, other)}",
            lambda: f"id {self.draw.choice(('IN', 'NOT IN'))} {self.ids_of(row, row.table)}",
            lambda: f"array::len({self.subselect(row)}) > {self.draw.randrange(2)}",
            lambda: f"count({self.subselect(row)}) = {self.draw.randrange(3)}",
            lambda: self.subselect(row),
        )
        return self.draw.choice(makers)()

    def _linked(self, row: Row) -> str:
        link, table = self.link(row)
        shape = self.draw.randrange(4)
        if shape == 0:
            return f"{link} {self.draw.choice(COMPARISONS)} {self.constant(f'link:{table}')}"
        if shape == 1:
            return f"{link} IN [{self.tables.record(table)}, {self.tables.record(table)}]"
        name, kind = self.draw.choice(tuple(FIELDS[table].items()))
        return f"{link}.{name} {self.draw.choice(COMPARISONS)} {self.constant(kind)}"

    def _tested(self, row: Row) -> str:
        makers: tuple[Callable[[], str], ...] = (
            lambda: self.draw.choice(TEST_OF_TEXT).format(self.text(row)),
            lambda: f"{self.number(row)} {self.draw.choice(COMPARISONS)} {self.draw.choice(NUMBERS)}",
            lambda: f"({self.path(row, 'any')} ?? {self.constant('any')}) = {self.constant('any')}",
            lambda: f"({self.path(row, 'any')} ?: {self.constant('any')}) = {self.constant('any')}",
            lambda: f"{self.draw.choice(OF_ANY[:4]).format(self.path(row, 'any'))}",
            lambda: f"{self.anything(row, 1)} {self.draw.choice(COMPARISONS)} {self.anything(row, 2)}",
        )
        return self.draw.choice(makers)()

    def _counted(self, row: Row) -> str:
        return f"{self.array(row)}.len() {self.draw.choice(COMPARISONS)} {self.draw.randrange(3)}"
