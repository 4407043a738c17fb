"""`/dead-letters…`: which letter is meant, pages, and what is answered."""

from __future__ import annotations

import json

import pytest
from sp00ky.gateway.exchange import Asked
from sp00ky.gateway.translate import dead_letters
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2


def of(letter_id: str) -> Asked:
    return Asked("scheduler", path={"id": letter_id})


def test_all_is_every_one_and_zero_is_none() -> None:
    assert dead_letters.retry_request(of("all")).id == 0 and dead_letters.drop_request(of("7")).id == 7
    for wrong in ("0", "-1", "x", str(2**64)):
        with pytest.raises(Fault) as caught:
            dead_letters.show_request(of(wrong))
        assert caught.value.code is Code.NOT_FOUND


def test_pages() -> None:
    request = dead_letters.list_request(Asked("scheduler", query={"after": "5", "limit": "10"}))
    assert (request.after_id, request.limit) == (5, 10)
    assert dead_letters.list_request(Asked("scheduler")).limit == 100
    for query in ({"limit": "1001"}, {"after": "x"}):
        with pytest.raises(Fault) as caught:
            dead_letters.list_request(Asked("scheduler", query=query))
        assert caught.value.code is Code.INVALID


def test_a_stamp_is_text_since_it_is_larger_than_a_json_number() -> None:
    letter = admin_pb2.DeadLetter(id=1, source="changefeed", records=["a:1"], stamp=117656305470865408, attempts=1)
    answer = dead_letters.show_answer(Asked("scheduler"), admin_pb2.GetDeadLetterResponse(letter=letter, content="{ }"))
    body = json.loads(answer.body)
    assert (body["stamp"], body["records"], body["content"]) == ("117656305470865408", ["a:1"], "{ }")
