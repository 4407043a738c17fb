"""What a row of `_00_schema` says of its table."""

from __future__ import annotations

from sp00ky.proto.surrealql.ast import Literal
from sp00ky.proto.surrealql.parser import parse_expr
from sp00ky.ssp.plan.facts import TableFacts, facts_of


def test_a_table_that_the_schema_does_not_name_is_nobodys_but_a_services() -> None:
    facts = facts_of(None)
    assert facts == TableFacts() and facts.rule == Literal(False) and not facts.open
    assert facts.why_closed("t") == ""


def test_full_is_open_to_everyone_and_a_rule_is_a_condition() -> None:
    assert facts_of({"select": "FULL"}).open and facts_of({"select": "FULL"}).rule is None
    ruled = facts_of({"select": "owner = $auth"})
    assert ruled.rule == parse_expr("owner = $auth") and not ruled.open
    assert facts_of({"select": "NONE"}).rule == Literal(False)
    assert facts_of({}).rule == Literal(False), "a schema of an older mesh says nothing of permissions"


def test_a_field_that_not_everyone_sees_closes_the_table() -> None:
    facts = facts_of({"select": "FULL", "fields": [{"name": "secret", "select": "NONE"}]})
    assert not facts.open and facts.rules.fields == ((("secret",), False),)


def test_a_rule_that_cannot_be_kept_says_so() -> None:
    facts = facts_of({"select": "THIS IS NO RULE"})
    assert facts.unread and not facts.open
    assert facts_of({"select": "FULL", "fields": [{"name": "id", "select": "NONE"}]}).unread


def test_rows_that_are_not_what_is_stored_are_closed_to_everyone() -> None:
    assert "computed fields" in facts_of({"computed": True}).why_closed("t")
    assert "itself a view" in facts_of({"derived": True}).why_closed("t")
    assert "belongs to the mesh" in facts_of({}).why_closed("_00_query")


def test_an_index_is_known_by_its_fields_and_by_where_its_paths_begin() -> None:
    facts = facts_of({"indexes": [["a.b", "c"], ["tags.*"], ["⟨odd name⟩"], ["what is (this"]]})
    assert facts.indexes == (("a.", "c"), ("tags.",), ("odd name",), ("what is (this.",))
    hidden = [{"name": "c", "select": "NONE"}]
    assert facts_of({"indexes": [["a.b", "c"], ["⟨odd name⟩"]], "fields": hidden}).rules.indexed == {
        "a",
        "c",
        "odd name",
    }
    assert facts_of({"indexes": [["what is (this"]], "fields": hidden}).unread and not facts.unread
