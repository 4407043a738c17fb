"""Which fields are collaborative: of the setting, of a schema's text, of a comment."""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.proto.faults import Code, Fault
from sp00ky.ssp.crdt.declared import Kind, annotated, commented, stated

SCHEMA = """
-- what it says @crdt text
DEFINE FIELD content ON thread TYPE string;
DEFINE FIELD IF NOT EXISTS `to do` ON TABLE thread TYPE object; -- @crdt map
DEFINE FIELD OVERWRITE ⟨likes⟩ ON note TYPE int;
-- @crdt counter

-- @crdt list

DEFINE FIELD plain ON note;
DEFINE FIELD tags.* ON note TYPE string; -- @crdt list
DEFINE FIELD title ON note TYPE string
    -- @crdt text
    ASSERT $value != '';
DEFINE FIELD
    body ON note -- @crdt list
    TYPE array;
"""


def test_annotations_of_a_schema() -> None:
    assert annotated(SCHEMA) == {
        "thread": {"content": Kind.TEXT, "to do": Kind.MAP},
        "note": {"likes": Kind.COUNTER, "title": Kind.TEXT, "body": Kind.LIST},
    }


def test_a_kind_that_is_not_known_is_refused() -> None:
    for text in ("DEFINE FIELD a ON b; -- @crdt tree", "-- @crdt tree\nDEFINE FIELD a ON b;"):
        with pytest.raises(Fault, match="tree"):
            annotated(text)
    with pytest.raises(Fault):
        commented("@crdt tree")


@pytest.mark.parametrize(
    ("setting", "fields"),
    [
        ("", None),
        ("{}", {}),
        ('{"thread": ["content"]}', {"thread": {"content": Kind.TEXT}}),
        ('{"thread": {"content": "list"}}', {"thread": {"content": Kind.LIST}}),
    ],
)
def test_what_the_setting_says(setting: str, fields: object) -> None:
    assert stated(setting) == fields


@pytest.mark.parametrize("setting", ["{", "[]", '{"a": 1}', '{"a": [1]}', '{"a": {"b": "tree"}}', "none.surql"])
def test_a_setting_that_makes_no_sense_is_refused(setting: str) -> None:
    with pytest.raises(Fault) as refused:
        stated(setting)
    assert refused.value.code is Code.INVALID


def test_the_setting_may_name_a_schema(tmp_path: Path) -> None:
    file = tmp_path / "schema.surql"
    file.write_text(SCHEMA)
    assert stated(str(file)) == annotated(SCHEMA)


def test_a_comment_of_the_database() -> None:
    assert commented("the text @crdt text of a thread") is Kind.TEXT
    assert commented("a thread") is commented(None) is None
