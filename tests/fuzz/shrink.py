"""A smaller case that shows the same difference: fewer statements, fewer fields of rows, fewer clauses of the query.

Greedy: whatever can be left out while a difference of the same kind remains is left out, halves first, until nothing
can or the budget of replays is spent. A query is made smaller as a tree, so that it stays a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.surrealql.printer import print_node

from tests.fuzz.bench import Bench, SchemaRefused
from tests.fuzz.case import Case, Query
from tests.fuzz.play import Difference, Subject, Tally, differences
from tests.fuzz.users import permission_of, permissions, redefines

T = TypeVar("T")
_WORD = re.compile(r"\w+")
_ERROR_LETTERS = 32
_CONTENT = re.compile(r"(.* (?:CONTENT|MERGE|INTO \w+) )(\{.*\})", re.DOTALL)


@dataclass
class Shrinking:
    """One difference on its way to its smallest case. `replays` is what is left of the budget."""

    subject: Subject
    bench: Bench
    first: Difference
    replays: int = 600

    def shrunk(self, case: Case) -> tuple[Case, Difference]:
        """The smallest case found, and what differs in it. `first` is one of the case's differences."""
        difference = self.first
        steps = case.steps[: difference.step]
        smallest = replace(case, queries=(difference.query,), steps=steps, comment=())
        if self.shows(smallest) is None:  # it needs other queries too: state that they share
            if self.shows(case) is None:
                return smallest, difference
            queries = self._fewer(case.queries, lambda queries: replace(case, queries=queries))
            smallest = replace(case, queries=queries, comment=())
        early = replace(smallest, queries=tuple(replace(query, since=1) for query in smallest.queries))
        smallest = smallest if self.shows(early) is None else early
        before = None
        while before != smallest and self.replays > 0:
            before = smallest
            for part in (
                *(self._query, self._steps, self._statements, self._folded, self._contents, self._schema),
                self._permissions,
            ):
                smallest = part(smallest)
        self.replays += 1
        return smallest, self.shows(smallest) or difference

    def shows(self, case: Case) -> Difference | None:
        """The first difference of our kind; where the engine answers an error, it is the same error."""
        if self.replays <= 0:
            return None
        self.replays -= 1
        try:
            found = differences(self.subject, case, self.bench, Tally())
            return next((each for each in found if self._is_alike(each)), None)
        except SchemaRefused:
            return None  # the schema does not hold without what was left out

    def _is_alike(self, found: Difference) -> bool:
        return found.kind == self.first.kind and error_of(found.theirs) == error_of(self.first.theirs)

    def _fewer(self, items: Sequence[T], made: Callable[[tuple[T, ...]], Case]) -> tuple[T, ...]:
        """As few of the items as still show it."""
        left, size = tuple(items), max(len(items) // 2, 1)
        while left and size:
            place = 0
            while place < len(left):
                without = left[:place] + left[place + size :]
                if self.shows(made(without)) is not None:
                    left = without
                else:
                    place += size
            size //= 2
        return left

    def _steps(self, case: Case) -> Case:
        return replace(case, steps=self._fewer(case.steps, lambda steps: replace(case, steps=steps)))

    def _folded(self, case: Case) -> Case:
        """The first transaction becomes part of the data, again and again."""
        while case.steps:
            queries = tuple(replace(query, since=max(query.since - 1, 1)) for query in case.queries)
            defined = tuple(each for each in case.steps[0] if redefines((each,)))
            written = tuple(each for each in case.steps[0] if each not in defined)
            folded = replace(
                case, schema=case.schema + defined, data=case.data + written, steps=case.steps[1:], queries=queries
            )
            if self.shows(folded) is None:
                break
            case = folded
        return case

    def _statements(self, case: Case) -> Case:
        case = replace(case, data=self._fewer(case.data, lambda data: replace(case, data=data)))
        for number, step in enumerate(case.steps):

            def made(left: tuple[str, ...], number: int = number, case: Case = case) -> Case:
                return replace(case, steps=(*case.steps[:number], left, *case.steps[number + 1 :]))

            case = made(self._fewer(step, made))
        return replace(case, steps=tuple(step for step in case.steps if step))

    def _schema(self, case: Case) -> Case:
        """Definitions of tables that nothing names go; of a table that is named, its fields at most."""
        texts = [query.text for query in case.queries] + [each for step in case.transactions for each in step]
        words = set(_WORD.findall(" ".join(texts)))
        named = tuple(each for each in case.schema if _defined(each) in words)
        case = case if self.shows(replace(case, schema=named)) is None else replace(case, schema=named)
        kept = tuple(each for each in case.schema if each.startswith("DEFINE TABLE"))
        rest = [each for each in case.schema if each not in kept]
        left = self._fewer(rest, lambda chosen: replace(case, schema=(*kept, *chosen)))
        return replace(case, schema=(*kept, *left))

    def _permissions(self, case: Case) -> Case:
        """Simpler rules, FULL if that will do."""
        blocks = [case.schema, *case.steps]
        for place, block in enumerate(blocks):
            for number in range(len(block)):
                tried = (self._with_rule(case, place, number, rule) for rule in _smaller_rules(block[number]))
                case = next((each for each in tried if self.shows(each) is not None), case)
        return case

    @staticmethod
    def _with_rule(case: Case, place: int, number: int, rule: str) -> Case:
        blocks = [list(block) for block in (case.schema, *case.steps)]
        blocks[place][number] = permission_of(blocks[place][number])[0] + permissions(rule)
        return replace(case, schema=tuple(blocks[0]), steps=tuple(map(tuple, blocks[1:])))

    def _query(self, case: Case) -> Case:
        for number in range(len(case.queries)):
            while (smaller := self._smaller(case, number)) is not None:
                case = smaller
        return case

    def _smaller(self, case: Case, number: int) -> Case | None:
        """One query of it with one thing less."""
        query = case.queries[number]
        for text in smaller_queries(query.text):
            used = tuple(param for param in query.params if f"${param[0]}" in text)
            queries = (*case.queries[:number], replace(query, text=text, params=used), *case.queries[number + 1 :])
            tried = replace(case, queries=queries)
            if self.shows(tried) is not None:
                return tried
        return None

    def _contents(self, case: Case) -> Case:
        """Fields of the rows that the statements write."""
        for place, statements in enumerate(case.transactions):
            for number in range(len(statements)):

                def made(text: str, place: int = place, number: int = number, case: Case = case) -> Case:
                    changed = list(map(list, case.transactions))
                    changed[place][number] = text
                    return replace(case, data=tuple(changed[0]), steps=tuple(map(tuple, changed[1:])))

                case = made(self._content(statements[number], made))
        return case

    def _content(self, statement: str, made: Callable[[str], Case]) -> str:
        found = _CONTENT.fullmatch(statement)
        content = parse_expr(found[2]) if found else None
        if found is None or not isinstance(content, ast.Object):
            return statement
        head = found[1]

        def text(items: tuple[tuple[str, ast.Expr], ...]) -> str:
            return head + print_node(ast.Object(items))

        return text(self._fewer(content.items, lambda items: made(text(items))))


def error_of(theirs: str) -> str:
    """What kind of error the engine answered; empty for an answer."""
    return theirs[:_ERROR_LETTERS] if theirs.startswith("error: ") else ""


def _defined(statement: str) -> str:
    """The table that a definition is about."""
    words = statement.split()
    return words[words.index("ON") + 1] if "ON" in words else words[2]


# --- smaller queries -------------------------------------------------------------------------------------------------


def smaller_queries(text: str) -> Iterator[str]:
    """Texts of queries with one thing left out; whatever still parses and prints."""
    try:
        select = parse_select(text)
    except ParseError:
        return
    seen = {print_node(select)}
    for tree in _variants(select):
        try:
            printed = print_node(tree)
            parse_select(printed)
        except (ParseError, ValueError, TypeError, AttributeError):
            continue
        if printed not in seen and len(printed) < len(text) + 8:
            seen.add(printed)
            yield printed


def _smaller_rules(definition: str) -> Iterator[str]:
    """Of a definition with permissions, the smallest first."""
    _, rule = permission_of(definition)
    if rule in ("", "FULL"):
        return
    yield "FULL"
    try:
        tree = parse_expr(rule)
    except ParseError:
        return
    yield from (print_node(smaller) for smaller in _variants(tree) if not isinstance(smaller, ast.Select))


def _variants(node: Any) -> Iterator[Any]:
    """The node with one thing simpler, in it or below it."""
    yield from _simpler(node)
    if isinstance(node, tuple):
        for place, item in enumerate(node):
            for smaller in _variants(item):
                yield (*node[:place], smaller, *node[place + 1 :])
    elif is_dataclass(node) and not isinstance(node, ast.Literal | type):
        for each in fields(node):
            for smaller in _variants(getattr(node, each.name)):
                yield replace(node, **{each.name: smaller})


# fmt: off
_CLAUSES: dict[str, Any] = {
    "where": None, "split": (), "group": None, "order": (), "limit": None, "start": None, "fetch": (), "omit": (),
    "only": False, "value": False,
}
# fmt: on


def _simpler(node: Any) -> Iterator[Any]:
    match node:
        case ast.Select():
            for name, empty in _CLAUSES.items():
                if getattr(node, name) != empty:
                    yield replace(node, **{name: empty})
            if any(not isinstance(target, ast.TableTarget) for target in node.targets):
                yield from (replace(node, targets=(ast.TableTarget(name),)) for name in ("item", "user", "likes"))
            for name in ("fields", "targets", "order", "fetch", "omit", "group", "split"):
                for fewer in _one_less(getattr(node, name)):
                    changed: dict[str, Any] = {name: fewer}
                    yield replace(node, **changed)
        case ast.Binary():
            yield from (node.left, node.right)
        case ast.Unary() | ast.Cast():
            yield node.operand
        case ast.Call():
            yield from node.args
        case ast.IfElse():
            yield from (value for _, value in node.branches)
        case ast.Array() | ast.Object():
            yield from (type(node)(fewer) for fewer in _one_less(node.items))
        case ast.OrderKey():
            yield ast.OrderKey(node.expr)
        case ast.GraphPart():
            yield ast.GraphPart(node.direction, node.tables)
        case ast.Idiom():
            if node.head is not None:
                yield node.head
            yield from (replace(node, parts=fewer) for fewer in _one_less(node.parts))


def _one_less(items: tuple[Any, ...] | None) -> Iterator[tuple[Any, ...]]:
    if items and len(items) > 1:
        for place in range(len(items)):
            yield items[:place] + items[place + 1 :]


# --- what a query is made of -----------------------------------------------------------------------------------------


def constructs(query: Query, case: Case) -> frozenset[str]:
    """The names of a query's clauses, operators, functions and path steps: what two failures may have in common. Of a
    user's query, those of the rules as well."""
    found = _named(query.text, parse_select)
    if query.auth:
        statements = (*case.schema, *(each for step in case.steps for each in step))
        rules = {rule for _, rule in map(permission_of, statements)} - {"", "FULL"}
        found |= {"as a user", *(f"rule {name}" for rule in rules for name in _named(rule, parse_expr))}
    return found


def _named(text: str, parse: Callable[[str], ast.Expr | ast.Select]) -> frozenset[str]:
    try:
        return frozenset(_constructs(parse(text)))
    except ParseError:
        return frozenset({"unparsed"})


def _constructs(node: Any) -> Iterator[str]:
    match node:
        case ast.Select():
            yield from (name.upper() for name, empty in _CLAUSES.items() if getattr(node, name) != empty)
            yield from (f"FROM {type(each).__name__}" for each in node.targets if not isinstance(each, ast.TableTarget))
        case ast.Binary() | ast.Unary():
            yield node.op
        case ast.Call():
            yield f"{node.name}()"
        case ast.Cast():
            yield f"<{node.kind}>"
        case ast.MethodPart():
            yield f".{node.name}()"
        case ast.GraphPart():
            yield node.direction
        case ast.OrderKey():
            yield from (word for word, on in (("COLLATE", node.collate), ("NUMERIC", node.numeric)) if on)
        case ast.IndexPart() | ast.AllPart() | ast.LastPart() | ast.WherePart() | ast.DestructurePart():
            yield type(node).__name__
        case ast.OptionalPart() | ast.Star() | ast.Closure() | ast.IfElse() | ast.Subquery() | ast.RangeExpr():
            yield type(node).__name__
        case ast.Idiom() if len(node.parts) > 1 and isinstance(node.parts[1], ast.FieldPart):
            yield "a.b"
    if isinstance(node, tuple):
        for item in node:
            yield from _constructs(item)
    elif is_dataclass(node) and not isinstance(node, ast.Literal | type):
        for each in fields(node):
            yield from _constructs(getattr(node, each.name))
