"""Where statements end, and what a LIVE SELECT and a KILL say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.deploy.db.live import with_changefeed
from sp00ky.deploy.db.statements import LiveSelect, kill_target, live_select, mentions_live, plain_name, split


def texts(text):
    return [statement.text for statement in split(text)]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ; ;; ", []),
        ("RETURN 1", ["RETURN 1"]),
        ("RETURN 1; RETURN 2;", ["RETURN 1", "RETURN 2"]),
        ("RETURN ';'; RETURN \";\"", ["RETURN ';'", 'RETURN ";"']),
        ("RETURN 'it\\'s; so'; A", ["RETURN 'it\\'s; so'", "A"]),
        ("SELECT * FROM `a;b`; SELECT * FROM ⟨c;d⟩", ["SELECT * FROM `a;b`", "SELECT * FROM ⟨c;d⟩"]),
        ("{ LET $a = 1; RETURN $a }; B", ["{ LET $a = 1; RETURN $a }", "B"]),
        ("A -- no; end\n; B // x;\n# y;\n/* z; */; C", ["A", "B", "C"]),
        ("RETURN [(1; 2)]; X)", ["RETURN [(1; 2)]", "X)"]),
    ],
)
def test_split(text, statements):
    assert texts(text) == statements


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("LIVE SELECT * FROM note", LiveSelect("*", "note")),
        ("live select * from note where a = 1", LiveSelect("*", "note", "where a = 1")),
        ("LIVE SELECT a, b AS c FROM $t WHERE x FETCH a", LiveSelect("a, b AS c", "$t", "WHERE x", "FETCH a")),
        ("LIVE SELECT * FROM t FETCH a, b", LiveSelect("*", "t", "", "FETCH a, b")),
        ("LIVE SELECT DIFF FROM t", LiveSelect("DIFF", "t", diff=True)),
        ("LIVE SELECT (SELECT * FROM x WHERE y) AS z FROM t", LiveSelect("(SELECT * FROM x WHERE y) AS z", "t")),
        ("LIVE SELECT * FROM t WHERE a = 'FETCH me'", LiveSelect("*", "t", "WHERE a = 'FETCH me'")),
        ("SELECT * FROM live", None),
        ("LIVE SELECT *", None),
        ("LIVE SELECT FROM t", None),
        ("LIVE", None),
    ],
)
def test_live_select(text, live):
    assert live_select(split(text)[0]) == live


def test_kill_and_names():
    assert kill_target(split("KILL u'abc'")[0]) == "u'abc'"
    assert kill_target(split("kill $id")[0]) == "$id"
    assert kill_target(split("KILL")[0]) is None
    assert kill_target(split("RETURN 1")[0]) is None
    names = {"note": "note", "`a b`": "a b", "⟨a⟩": "a", "`a\\`b`": "a`b", "note:1": None, "$t": None, "f(x)": None}
    assert {name: plain_name(name) for name in names} == names
    assert mentions_live("SELECT 'kill'")
    assert not mentions_live("SELECT alive FROM skill")
    assert not mentions_live("LIVE SELECT * FROM t" + " " * 300_000)


@given(st.text(alphabet="ab;'\"`⟨⟩(){}[]\\-/*#\n \t$", max_size=60))
def test_splitting_any_text_ends_and_keeps_the_tokens(text):
    statements = split(text)
    assert all(statement.text and statement.text in text for statement in statements)
    assert all(token.text in statement.text for statement in statements for token in statement.tokens)


@pytest.mark.parametrize("opening", ["⟨", "`", "'", '"', "/*", "⟨\\"])
def test_splitting_takes_time_in_proportion_to_the_text(opening):
    for end in ("", "\\"):
        split("live " + opening * 50_000 + end)  # a scan from every opening to the end would take minutes


@pytest.mark.parametrize(
    ("definition", "changed"),
    [
        ("DEFINE DATABASE d", "DEFINE DATABASE OVERWRITE d CHANGEFEED 1d INCLUDE ORIGINAL"),
        ("DEFINE DATABASE d CHANGEFEED 2h", "DEFINE DATABASE OVERWRITE d CHANGEFEED 2h INCLUDE ORIGINAL"),
        ("DEFINE DATABASE d CHANGEFEED 1h INCLUDE ORIGINAL", None),
    ],
)
def test_the_changefeed_is_added_to_what_a_database_says(definition, changed):
    assert with_changefeed(definition) == changed
