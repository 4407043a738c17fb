"""Bugs that are put into the product on purpose: each must be found, else the world is blind to its kind.

`python -m tests.simulation --plant NAME` shows by which seed and step; `test_simulation.py` holds that each is found
within its first seeds. A plant replaces what the product does at one place, and nothing of the world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from sp00ky.proto.revision import Seq
from sp00ky.proto.v1 import common_pb2
from sp00ky.scheduler import commit
from sp00ky.scheduler.capture.pending import Pending
from sp00ky.scheduler.coordinator import assignments
from sp00ky.scheduler.coordinator.idempotency import IdempotencyWindow, Sifted
from sp00ky.scheduler.coordinator.progress import Progress
from sp00ky.scheduler.datastore.retained import Retained
from sp00ky.scheduler.intake import Freshness
from sp00ky.scheduler.room import Room
from sp00ky.ssp.edges.owed import Owed
from sp00ky.ssp.engine import transactions
from sp00ky.ssp.engine.ownership import Ownership

Plant = Callable[[ExitStack], None]


class HastyStore:
    """A store whose fsync is said to be done before it is."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def sync(self) -> Seq:
        asyncio.get_running_loop().create_task(self._store.sync())
        head: Seq = self._store.head_seq
        return head


def ack_before_fsync(stack: ExitStack) -> None:
    """Answers leave while the fsync is still under way."""
    made = commit.Committer.__init__

    def hasty(self: commit.Committer, store: Any, *arguments: Any, **options: Any) -> None:
        made(self, HastyStore(store), *arguments, **options)

    stack.enter_context(patch.object(commit.Committer, "__init__", hasty))


def no_redelivery_check(stack: ExitStack) -> None:
    """A retry under a key that was applied is applied again."""

    def blind(self: IdempotencyWindow, offered: Any) -> Sifted:
        keys = [
            (number, change.idempotency_key)
            for number, changes in enumerate(offered)
            for change in changes
            if change.idempotency_key
        ]
        return Sifted(offered, keys, Seq(0))

    stack.enter_context(patch.object(IdempotencyWindow, "sift", blind))


def no_stamp_check(stack: ExitStack) -> None:
    """What the changefeed delivers again after a restart counts again."""
    stack.enter_context(patch.object(Freshness, "sift", lambda self, offered: offered))
    stack.enter_context(patch.object(Pending, "stamp", lambda self, record: (1, 1)))  # of an epoch, else it is doubted


def no_fencing(stack: ExitStack) -> None:
    """A new owner does not raise the epochs of those who were lost."""
    stack.enter_context(patch.object(Owed, "fence", lambda self, former: None))


def gc_past_pin(stack: ExitStack) -> None:
    """The floor goes up to what is durable, pinned or not."""
    stack.enter_context(patch.object(Retained, "highest_floor", lambda self, synced: synced))


def replay_from_wrong_seq(stack: ExitStack) -> None:
    """A stream that resumes begins one entry late."""
    made = Progress.at.__func__  # type: ignore[attr-defined]

    def late(cls: type[Progress], seq: Seq, credit: Any, flowing: bool) -> Progress:
        progress: Progress = made(cls, seq, credit, flowing)
        if flowing:
            progress.next_seq = Seq(progress.next_seq + 1)
        return progress

    stack.enter_context(patch.object(Progress, "at", classmethod(late)))
    stack.enter_context(patch.object(Progress, "check", lambda self, head: None))


def torn_transaction(stack: ExitStack) -> None:
    """An SSP steps at the end of a frame, wherever its transaction ends."""
    accept = transactions.Transactions.accept

    def torn(self: transactions.Transactions, entries: Iterable[common_pb2.Entry]) -> Any:
        frame = []
        for entry in entries:
            frame.append(common_pb2.Entry.FromString(entry.SerializeToString()))
        frame[-1].txn_last = True
        return accept(self, frame)

    stack.enter_context(patch.object(transactions.Transactions, "accept", torn))


def handover_without_release(stack: ExitStack) -> None:
    """The new owner writes edges at once, while the former one still may."""

    def seize(self: Ownership, view: Any, handing_over_ssp_id: str) -> None:
        view.held = view.ceased = False

    stack.enter_context(patch.object(Ownership, "_hold", seize))


def restored_without_fence(stack: ExitStack) -> None:
    """After a restart the scheduler has forgotten whom the next owner must fence."""
    restored = assignments._restored

    def forgetful(value: bytes) -> assignments.View:
        view = restored(value)
        view.fence_ssp_ids, view.handing_over_ssp_id = (), ""
        return view

    stack.enter_context(patch.object(assignments, "_restored", forgetful))


def failed_flush_is_lost(stack: ExitStack) -> None:
    """What could not be written to the edges is not owed any more."""
    stack.enter_context(patch.object(Owed, "_restore", lambda self, pending: None))


def unbounded_queue(stack: ExitStack) -> None:
    """Intake takes whatever comes."""
    stack.enter_context(patch.object(Room, "_fits", lambda self, claim, share=1.0: True))


PLANTS: Mapping[str, Plant] = {
    "ack-before-fsync": ack_before_fsync,
    "no-redelivery-check": no_redelivery_check,
    "no-stamp-check": no_stamp_check,
    "no-fencing": no_fencing,
    "gc-past-pin": gc_past_pin,
    "replay-from-wrong-seq": replay_from_wrong_seq,
    "torn-transaction": torn_transaction,
    "handover-without-release": handover_without_release,
    "restored-without-fence": restored_without_fence,
    "failed-flush-is-lost": failed_flush_is_lost,
    "unbounded-queue": unbounded_queue,
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with this bug in it; with none for an empty name."""
    with ExitStack() as stack:
        if name:
            PLANTS[name](stack)
        yield
