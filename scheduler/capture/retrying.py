"""A dead letter tried again: its records are read from the database as they are now, and made so in the replica.

The kept change itself is not applied: the database may have gone on since. A letter whose records are equal, or became
so, goes; one that still has no form here stays, with one attempt more and the reason of now.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sp00ky.scheduler.capture.alignment import Alignment
from sp00ky.scheduler.capture.capture import Capture
from sp00ky.scheduler.dead_letters import DeadLetters


async def retry(capture: Capture, letter_ids: Iterable[int]) -> tuple[int, int]:
    """How many were applied, and how many failed. Raises Fault NOT_FOUND, UNAVAILABLE."""
    applied = failed = 0
    for letter_id in letter_ids:
        letters = capture.offering.letters
        is_known = bool(letters.get(letter_id).records)
        is_applied: bool = await capture.errand(partial(_read, letters, letter_id)) if is_known else False
        if is_applied:
            await drop(capture, [letter_id])
            applied += 1
        else:
            failed += 1
    return applied, failed


async def _read(letters: DeadLetters, letter_id: int, alignment: Alignment) -> bool:
    """Whether its records could be read and applied."""
    letter = letters.get(letter_id)
    await alignment.read(letter.records)
    await alignment.commit()  # what is still refused is the same letter again
    after = letters.get(letter_id) if letter_id in letters else None
    return after is None or after.attempts == letter.attempts


async def drop(capture: Capture, letter_ids: Iterable[int]) -> int:
    """Forget them; how many there were."""
    letters = capture.offering.letters
    known = [letter_id for letter_id in letter_ids if letter_id in letters]
    if known:
        posting = letters.stage_drop(known)
        await capture.offering.sink.offer_transactions((), posting.meta)
        letters.settle(posting)
    return len(known)
