"""Many worlds, one after the other: what was reached over all of them, and which seeds failed."""

from __future__ import annotations

import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from tests.simulation.kernel import Violation
from tests.simulation.plants import planted
from tests.simulation.world import World

SECONDS_MAX = 20  # of processor time, for one world: beyond it spins
STEPS_FEW, STEPS_MANY, MANY_EVERY = 200, 1_400, 10


@dataclass
class Failure:
    seed: int
    step: int
    at_s: float
    reason: str
    replay: str
    trace: str


@dataclass
class Outcome:
    """`reached`: how often each misfortune, transition and phase came up."""

    seeds: int = 0
    steps: int = 0
    entries: int = 0
    acknowledged: int = 0
    simulated_s: float = 0.0
    reached: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.seeds += other.seeds
        self.steps += other.steps
        self.entries += other.entries
        self.acknowledged += other.acknowledged
        self.simulated_s += other.simulated_s
        self.reached.update(other.reached)
        self.failures += other.failures


class Stuck(BaseException):
    """A world does not end. No code of the product takes this for a fault of its own."""


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Of processor time, so that a busy machine fails no world."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Stuck(f"the world did not end within {seconds} s of work: something spins")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def steps_of(seed: int) -> int:
    """Most worlds are short, since most of what can go wrong is soon; what takes leases and time-outs has long ones."""
    return STEPS_FEW if seed % MANY_EVERY else STEPS_MANY


def play(seed: int, steps: int = 0, plant: str = "") -> Outcome:
    """One world; a failure is in the outcome."""
    steps = steps or steps_of(seed)
    outcome = Outcome(seeds=1)
    with planted(plant):
        world = World(seed)
        try:
            with alarm(SECONDS_MAX), world:
                world.run(steps)
                world.settle()
        except (Exception, Stuck) as error:
            reason = str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
            trace = traceback.format_exc(limit=-12)
            replay = command(seed, steps, plant)
            failure = Failure(seed, world.kernel.turns, world.kernel.now, reason, replay, trace)
            outcome.failures.append(failure)
    outcome.steps, outcome.simulated_s = world.kernel.turns, world.kernel.now
    outcome.entries, outcome.acknowledged = world.witness.head, world.witness.acks
    outcome.reached.update(world.reached())
    return outcome


def play_all(
    seeds: Iterable[int], steps: int, *, plant: str = "", seconds: float = 0.0, failures_max: int = 5
) -> Outcome:
    """One after the other, until the time is over or too many have failed."""
    total = Outcome()
    until = time.monotonic() + seconds if seconds else float("inf")
    for seed in seeds:
        total.add(play(seed, steps, plant))
        if time.monotonic() >= until or len(total.failures) >= failures_max:
            break
    return total


def command(seed: int, steps: int, plant: str = "") -> str:
    """What replays this world."""
    planted_too = f" --plant {plant}" if plant else ""
    return f"python -m tests.simulation --seed {seed} --steps {steps}{planted_too}"
