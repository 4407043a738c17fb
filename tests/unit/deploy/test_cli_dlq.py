"""`spky dlq …` against an API that answers from a list, and what it asks of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sp00ky.deploy.cli import app
from sp00ky.deploy.remote import Remote
from sp00ky.proto.faults import Fault
from typer.testing import CliRunner

LETTER = {
    "id": 3,
    "source": "changefeed",
    "tables": ["a"],
    "records": ["a:1"],
    "reason": "record is too large",
    "at_ms": 1_800_000_000_000,
    "attempts": 2,
    "stamp": "117656305470865408",
    "size": 12,
}


class Api:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def call(self, method: str, path: str, body: bytes | None, media_type: str) -> Any:
        self.asked.append(f"{method} {path}")
        if method == "GET" and "?" in path:
            letters = [] if "after=3" in path else [LETTER]
            return {"dead_letters": letters, "total": 1, "forgotten": 4}
        if method == "GET":
            return {**LETTER, "content": "{ id: a:1 }"}
        return {"applied": 0, "failed": 1} if method == "POST" else {"dropped": 1}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(Remote, "_call", made.call)
    return made


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["dlq", *words])
    if isinstance(result.exception, Fault):
        raise result.exception
    return result.exit_code, result.output


def test_letters_are_listed_page_by_page(api: Api) -> None:
    code, output = run("list")
    assert code == 0 and "record is too large" in output and "a:1" in output and "4 older ones were forgotten" in output
    assert api.asked == ["GET /dead-letters?limit=1000", "GET /dead-letters?limit=1000&after=3"]
    assert json.loads(run("list", "--json")[1])["dead_letters"] == [LETTER]


def test_one_is_shown_retried_and_dropped(api: Api) -> None:
    assert "content: { id: a:1 }" in run("show", "3")[1]
    assert run("retry", "3") == (1, "applied: 0, still letters: 1\n")
    assert run("drop", "--all") == (0, "dropped: 1\n")
    assert api.asked == ["GET /dead-letters/3", "POST /dead-letters/3/retry", "DELETE /dead-letters/all"]


@pytest.mark.parametrize("words", [("retry",), ("drop", "3", "--all")])
def test_which_one_must_be_said(api: Api, words: tuple[str, ...]) -> None:
    with pytest.raises(Fault, match="say which"):
        run(*words)
    assert not api.asked
