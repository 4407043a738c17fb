"""Why a record is, or is not, in a view: what a reader of the query would check, in the order in which he would.

    is it a member, or below one?  →  is it there?  →  the rule of its table  →  FROM  →  WHERE, term by term
                                   →  are the view's rows records?  →  LIMIT and START

The first that fails decides. Whether the record is in the view is never computed here: it is read off the members, and
what follows only finds the reason; where none is found the answer says so. Nothing is kept, nothing is traced.

A user's view is asked with that user's eyes, but for its table's rule: of it the term that fails is named, and nothing
that it saw. That is for services. Where the user himself asks (`for_user`), a record that he may not read and one that
is not there have one answer: the rule is not told, whatever comes of it, nor what failed in telling, which may have
met values that are hidden from him. What is left are the terms of his own query, of records that he may read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sp00ky.proto.surrealql.ast import Expr, Literal, Select, Star, TableTarget
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import record_id_text
from sp00ky.proto.whole.expr import evaluate
from sp00ky.proto.whole.rules import TableRules
from sp00ky.proto.whole.scope import NotPlain, Scope, Source
from sp00ky.proto.whole.select import source_rows
from sp00ky.ssp.circuit.arrangement import Arrangement, Record
from sp00ky.ssp.circuit.deciding import Asker, Origin, Term, shown
from sp00ky.ssp.circuit.traced import TracedResult, listing
from sp00ky.ssp.circuit.tracing import TableMissing
from sp00ky.ssp.engine.reading import ViewReading
from sp00ky.ssp.engine.ready import MemberChange
from sp00ky.ssp.engine.standing import Standing, is_record, standing_of
from sp00ky.ssp.plan.build import source_table
from sp00ky.ssp.plan.identified import has_ids
from sp00ky.ssp.plan.nodes import Incremental, Traced
from sp00ky.ssp.plan.tree import conjuncts
from sp00ky.ssp.views.lifecycle import State
from sp00ky.ssp.views.registry import View


class Decider(StrEnum):
    CONDITIONS = "conditions"
    NESTED = "nested"
    TERM = "term"
    PERMISSION = "permission"
    FROM = "from"
    MISSING = "missing"
    WINDOW = "window"
    ROWS = "rows"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Why:
    """`position` from 1; 0: it is no member of its own. `below`: the places at which it stands below a member."""

    record: RecordId
    in_view: bool
    position: int
    members: int
    below: tuple[MemberChange, ...]
    decider: Decider = Decider.UNKNOWN
    because: str = ""
    terms: list[Term] = field(default_factory=list)
    window: Standing | None = None

    @property
    def sentence(self) -> str:
        name = record_id_text(self.record)
        place = f", row {self.position} of {self.members}" if self.position else ""
        return f"{name} is {'' if self.in_view else 'not '}in the view{place}: {self.because}"

    def decide(self, decider: Decider, because: str) -> None:
        self.decider, self.because = decider, because


class Reasoning:
    """`source`: the tables as they are; `held`: those of them that a circuit may stand on; `for_user`: the answer is
    for the view's user, not for a service."""

    def __init__(
        self,
        source: Source,
        held: Mapping[str, Arrangement],
        rules: Callable[[str], TableRules],
        *,
        for_user: bool = False,
    ) -> None:
        self._source = source
        self.held = held
        self._rules = rules
        self.for_user = for_user

    def why(self, view: View, reading: ViewReading, record: RecordId) -> Why:
        members = reading.members
        outermost = [member for member in members if member.parent is None]
        place = next((at for at, member in enumerate(outermost, 1) if is_record(member.id, record)), 0)
        below = tuple(member for member in members if member.parent is not None and is_record(member.id, record))
        why = Why(record, bool(place or below), place, len(outermost), below)
        if view.state in (State.FAILED, State.PENDING):
            why.decide(Decider.UNKNOWN, f"the view {_state(reading)}")
            return why
        if below and not place:
            places = ", ".join(sorted({f"{record_id_text(each.parent)} as {each.parent_rel}"
                                       for each in below if each.parent is not None}))  # fmt: skip
            why.decide(Decider.NESTED, f"it stands below {places}")
            return why
        match view.plan:
            case Incremental() | Traced() as plan:
                try:
                    _Question(self, plan, view, why).decide()
                except (NotPlain, TableMissing) as error:
                    told = "" if self.for_user else f": {error}"
                    why.decide(Decider.UNKNOWN, f"the reason cannot be told here{told}")
            case _:
                _rerun(reading, why, "" if self.for_user else f" ({view.reason})")
        return why

    def asker(self, plan: Incremental | Traced) -> Asker:
        return Asker(self._source, plan.params, self._rules if plan.user is not None else None)

    def stored(self, record: RecordId) -> Record | None:
        """The record as it is."""
        return self._source.get(record)

    def rule(self, table: str) -> tuple[Expr, ...]:
        match self._rules(table).select:
            case bool() as anyone:
                return () if anyone else (Literal(False),)
            case rule:
                return conjuncts(rule)


def _state(reading: ViewReading) -> str:
    if reading.state is State.FAILED:
        return f"has failed and has no members until that is mended: {reading.error}"
    return "has no result yet"


def _rerun(reading: ViewReading, why: Why, reason: str) -> None:
    found = "its last result holds it" if why.in_view else "its last result does not hold it"
    if not reading.members and reading.size:
        found = "the rows of its last result are no records"
    why.decide(
        Decider.UNKNOWN,
        f"{found}, and which condition decides is not known here: the query is run whole on SurrealDB{reason}",
    )


class _Question:
    """One record and one plan; fills in a `Why`."""

    def __init__(self, reasoning: Reasoning, plan: Incremental | Traced, view: View, why: Why) -> None:
        self._reasoning = reasoning
        self._plan = plan
        self._select: Select = plan.select
        self._written = parse_select(plan.text)
        self._view = view
        self._why = why
        self._record = why.record
        self._name = record_id_text(why.record)
        self._asker = reasoning.asker(plan)

    @property
    def _scope(self) -> Scope:
        return self._asker.scope

    def decide(self) -> None:
        row = self._row()
        if row is None or not self._where_holds(row) or self._no_records(row):
            return
        if self._why.position:
            self._why.decide(Decider.CONDITIONS, self._all_hold())
        elif not self._outside_window(row):
            self._why.decide(Decider.UNKNOWN, "every condition holds, and yet it is no member: please report this")

    def _all_hold(self) -> str:
        held = len(self._why.terms)
        window = self._select.limit is not None or self._select.start is not None
        told = (
            f"all {held} conditions hold" if held > 1 else "the condition holds" if held else "nothing is asked of it"
        )
        return f"{told}, and LIMIT and START take it" if window else told

    # --- there, permitted, of FROM ---

    def _row(self) -> Value | None:
        """The record's row in FROM, or None with the reason why there is none."""
        table = self._record.table
        if not any(_table_of(target) in (table, "") for target in self._select.targets):
            self._why.decide(Decider.FROM, f"FROM is {self._from}, which no record of {table} is of")
            return None
        if table not in self._reasoning.held:  # else it would have been read
            self._why.decide(Decider.FROM, f"it is not among the records of FROM {self._from}")
            return None
        stored = self._reasoning.stored(self._record)
        if self._reasoning.for_user:
            return self._named() if self._readable(stored) else None
        if stored is None:
            self._why.decide(Decider.MISSING, f"there is no record {self._name}")
            return None
        if not self._permitted(stored):
            return None
        return self._named()

    @property
    def _from(self) -> str:
        return ", ".join(print_node(target) for target in self._written.targets)

    def _readable(self, stored: Record | None) -> bool:
        """What is not there, what the rule hides and what it fails on are one, in everything that is answered."""
        try:
            rules = self._reasoning.rule(self._record.table)
            if stored is not None and all(self._asker.ask_rule(rule, stored).holds for rule in rules):
                return True
        except (NotPlain, TableMissing):
            pass
        self._why.decide(Decider.MISSING, f"there is no record {self._name} that you may read")
        return False

    def _permitted(self, stored: Record) -> bool:
        if self._plan.user is None:
            return True
        for rule in self._reasoning.rule(self._record.table):
            term = self._asker.ask_rule(rule, stored)
            self._why.terms.append(term)
            if not term.holds:
                user = record_id_text(self._plan.user.id)
                named = "NONE" if rule == Literal(False) else f"WHERE {term.text}"
                self._why.decide(
                    Decider.PERMISSION,
                    f"table {self._record.table} does not show it to {user}: PERMISSIONS FOR select {named}",
                )
                return False
        return True

    def _named(self) -> Value | None:
        """The row, as the view's user sees it, if FROM names the record."""
        table, bounds = source_table(self._select)
        if table and len(self._select.targets) == 1:
            return self._in_range(conjuncts(bounds))
        alone = replace(self._select, where=None)
        rows = (row for row in source_rows(alone, self._scope) if type(row) is dict)
        found = next((row for row in rows if is_record(row.get("id"), self._record)), None)
        if found is None:
            self._why.decide(Decider.FROM, f"it is not among the records of FROM {self._from}")
        return found

    def _in_range(self, bounds: Sequence[Expr]) -> Value | None:
        row = self._get(self._record)
        for bound in bounds:
            term = self._asker.ask(bound, Origin.FROM, row)
            self._why.terms.append(term)
            if not term.holds:
                self._why.decide(Decider.FROM, f"FROM is {self._from}, and `{term.text}` is not true")
                return None
        return row

    def _get(self, record: RecordId) -> Record | None:
        source = self._scope.source
        assert source is not None, "an asker has tables"
        return source.get(record)

    # --- WHERE ---

    def _where_holds(self, row: Value) -> bool:
        """Asks the terms from the left. One that needs a table which is not held has not been asked for any record:
        another decided for each of them. What planning has put behind the written ones holds for every row."""
        skipped: TableMissing | None = None
        for conjunct, written in zip(conjuncts(self._select.where), conjuncts(self._written.where), strict=False):
            try:
                term = self._asker.ask(conjunct, Origin.WHERE, row, written)
            except TableMissing as missing:
                skipped = missing
                continue
            self._why.terms.append(term)
            if not term.holds:
                self._why.decide(Decider.TERM, _untrue(term))
                return False
        if skipped is not None:
            raise skipped
        return True

    # --- rows ---

    def _no_records(self, row: Value) -> bool:
        """Whether the view's rows are something else than records: then no record is a member."""
        select, result = self._select, self._view.holder
        held = f"{self._name} fulfils every condition and goes into"
        if select.group is not None:
            self._why.decide(Decider.ROWS, f"the view's rows are groups, not records; {held} {self._group_of(row)}")
        elif select.split:
            self._why.decide(Decider.ROWS, f"SPLIT makes the view's rows parts of records; {held} at least one of them")
        elif not has_ids(select):
            self._why.decide(Decider.ROWS, "the rows of FROM are values, not records, whatever their id says")
        elif isinstance(result, TracedResult) and listing(result.rows) and not result.members():
            self._why.decide(Decider.ROWS, "not every row of FROM is a record, so the view has no members")
        else:
            return False
        return True

    def _group_of(self, row: Value) -> str:
        """The group that the record counts in."""
        select = self._select
        if not select.group:
            return "the one group of GROUP ALL"
        named = {field.alias: field.expr for field in select.fields if not isinstance(field.expr, Star)}
        keys = ((key, evaluate(named.get(key, key), row, self._scope)) for key in select.group)
        return f"the group of {', '.join(f'{print_node(key)} = {shown(value)}' for key, value in keys)}"

    # --- LIMIT and START ---

    def _outside_window(self, row: Value) -> bool:
        if self._select.limit is None and self._select.start is None:
            return False
        holder, held = self._view.holder, self._reasoning.held
        self._why.window = standing_of(row, self._plan, holder, scope=self._scope, held=held)
        self._why.decide(Decider.WINDOW, f"every condition holds, but {self._why.window.sentence}")
        return True


def _table_of(target: object) -> str:
    """The one table whose records a target of FROM can name; empty if it is not written there."""
    match target:
        case TableTarget(name=name) | Literal(value=RecordId(table=name)):
            return name
        case _:
            return ""


def _untrue(term: Term) -> str:
    """The term, the values that it saw, and where these came from."""
    parts = [f"{each.text} is {each.value}" for each in term.seen if each.text != each.value]
    gone = dict.fromkeys(line for each in term.seen for line in each.through if "is not there" in line)
    told = "; ".join([", ".join(parts), *gone]) if parts else ""
    return f"`{term.text}` is not true" + (f": {told}" if told else "")
