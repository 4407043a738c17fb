"""`/dead-letters…` ↔ `AdminService.…DeadLetter…`: what the scheduler could not apply and passed over."""

from __future__ import annotations

from sp00ky.gateway.exchange import Answer, Asked, json_answer
from sp00ky.gateway.translate.answers import DeadLetter, DeadLetters, DeadLetterShown, Dropped, Retried
from sp00ky.gateway.translate.fields import TEXT, Field
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2

AFTER = Field("after", "id of the last letter of the page before", TEXT)
LIMIT = Field("limit", "letters in a page; 100, at most 1000", TEXT)
_ID_MAX = 2**64 - 1
_LIMIT_MAX = 1000


def list_request(asked: Asked) -> admin_pb2.ListDeadLettersRequest:
    after, limit = AFTER.text(asked.query) or "0", LIMIT.text(asked.query) or "100"
    return admin_pb2.ListDeadLettersRequest(
        after_id=_number(after, "after", _ID_MAX), limit=_number(limit, "limit", _LIMIT_MAX)
    )


def list_answer(asked: Asked, response: admin_pb2.ListDeadLettersResponse) -> Answer:
    body: DeadLetters = {
        "dead_letters": [_letter(letter) for letter in response.letters],
        "total": response.total,
        "forgotten": response.forgotten,
    }
    return json_answer(body)


def show_request(asked: Asked) -> admin_pb2.GetDeadLetterRequest:
    return admin_pb2.GetDeadLetterRequest(id=_one(asked))


def show_answer(asked: Asked, response: admin_pb2.GetDeadLetterResponse) -> Answer:
    body: DeadLetterShown = {**_letter(response.letter), "content": response.content}
    return json_answer(body)


def retry_request(asked: Asked) -> admin_pb2.RetryDeadLetterRequest:
    return admin_pb2.RetryDeadLetterRequest(id=_one_or_all(asked))


def retry_answer(asked: Asked, response: admin_pb2.RetryDeadLetterResponse) -> Answer:
    body: Retried = {"applied": response.applied, "failed": response.failed}
    return json_answer(body, revision=response.revision)


def drop_request(asked: Asked) -> admin_pb2.DropDeadLetterRequest:
    return admin_pb2.DropDeadLetterRequest(id=_one_or_all(asked))


def drop_answer(asked: Asked, response: admin_pb2.DropDeadLetterResponse) -> Answer:
    body: Dropped = {"dropped": response.dropped}
    return json_answer(body)


def _one_or_all(asked: Asked) -> int:
    """0 is what the service calls every one."""
    return 0 if asked.path["id"] == "all" else _one(asked)


def _one(asked: Asked) -> int:
    text = asked.path["id"]
    if not text.isdecimal() or not 0 < int(text) <= _ID_MAX:
        raise Fault(Code.NOT_FOUND, f'dead letter "{text[:64]}" does not exist')
    return int(text)


def _number(text: str, name: str, most: int) -> int:
    if not text.isdecimal() or int(text) > most:
        raise Fault(Code.INVALID, f'{name} "{text[:64]}" is not a number up to {most}')
    return int(text)


def _letter(letter: admin_pb2.DeadLetter) -> DeadLetter:
    return {
        "id": letter.id,
        "source": letter.source,
        "tables": list(letter.tables),
        "records": list(letter.records),
        "reason": letter.reason,
        "at_ms": letter.at_ms,
        "attempts": letter.attempts,
        "stamp": str(letter.stamp),
        "size": letter.size,
    }
