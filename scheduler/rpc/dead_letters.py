"""`AdminService`: what could not be applied and was passed over; see `scheduler/dead_letters.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.capture.retrying import drop, retry
from sp00ky.scheduler.dead_letters import DeadLetter

if TYPE_CHECKING:
    from sp00ky.scheduler.driver import SchedulerDriver

PAGE_LETTERS = 100
PAGE_LETTERS_MAX = 1000


def listed_letters(
    driver: SchedulerDriver, request: admin_pb2.ListDeadLettersRequest
) -> admin_pb2.ListDeadLettersResponse:
    if driver.capture is None:
        return admin_pb2.ListDeadLettersResponse()
    letters = driver.capture.offering.letters
    limit = min(request.limit or PAGE_LETTERS, PAGE_LETTERS_MAX)
    return admin_pb2.ListDeadLettersResponse(
        letters=[_message(letter) for letter in letters.after(request.after_id, limit)],
        total=len(letters),
        forgotten=letters.forgotten,
    )


def shown_letter(driver: SchedulerDriver, letter_id: int) -> admin_pb2.GetDeadLetterResponse:
    """Raises Fault NOT_FOUND."""
    letters = _capture(driver, letter_id).offering.letters
    return admin_pb2.GetDeadLetterResponse(letter=_message(letters.get(letter_id)), content=letters.content(letter_id))


async def retried_letters(driver: SchedulerDriver, letter_id: int) -> admin_pb2.RetryDeadLetterResponse:
    """`letter_id` 0: every one. Raises Fault NOT_FOUND, NOT_READY, UNAVAILABLE."""
    driver.require_ready()
    applied, failed = 0, 0
    if driver.capture is not None or letter_id:
        capture = _capture(driver, letter_id)
        applied, failed = await retry(capture, _ids(capture, letter_id))
    revision = driver.token(driver.coordinator.durable_seq)
    return admin_pb2.RetryDeadLetterResponse(applied=applied, failed=failed, revision=revision)


async def dropped_letters(driver: SchedulerDriver, letter_id: int) -> admin_pb2.DropDeadLetterResponse:
    """`letter_id` 0: every one. Raises Fault NOT_FOUND."""
    if driver.capture is None and not letter_id:
        return admin_pb2.DropDeadLetterResponse()
    capture = _capture(driver, letter_id)
    return admin_pb2.DropDeadLetterResponse(dropped=await drop(capture, _ids(capture, letter_id)))


def _capture(driver: SchedulerDriver, letter_id: int) -> Capture:
    if driver.capture is None:
        raise Fault(Code.NOT_FOUND, f"dead letter {letter_id} does not exist", "no database is captured")
    return driver.capture


def _ids(capture: Capture, letter_id: int) -> list[int]:
    letters = capture.offering.letters
    if letter_id:
        return [letters.get(letter_id).id]
    return [letter.id for letter in letters.after(0, len(letters))]


def _message(letter: DeadLetter) -> admin_pb2.DeadLetter:
    return admin_pb2.DeadLetter(
        id=letter.id,
        source=letter.source,
        tables=letter.tables,
        records=letter.names,
        reason=letter.reason,
        at_ms=letter.at_ms,
        attempts=letter.attempts,
        stamp=letter.stamp,
        size=letter.size,
    )
