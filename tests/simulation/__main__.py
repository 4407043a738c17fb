"""`python -m tests.simulation --seed 7`: one world. `--seeds 1..20000 --jobs 2`: many.

Prints one JSON line: seeds, steps, how often each misfortune, frame and phase came up, and the failures, each with the
command that replays it. Ends with 1 if there was one. `--plant NAME` puts a bug in first (`--plants` lists them).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict

HASH_SEED = "0"  # sets are walked alike in every run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one world, with its traceback")
    parser.add_argument("--seeds", default="1..100", help="A..B, both included")
    parser.add_argument("--steps", type=int, default=0, help="turns of processes before the faults end; 0: by the seed")
    parser.add_argument("--minutes", type=float, default=0.0, help="end after so long, whatever is left")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--failures-max", type=int, default=5, help="end a process after so many")
    parser.add_argument("--plant", default="", help="a bug to put in")
    parser.add_argument("--plants", action="store_true", help="list the bugs that can be put in")
    return parser.parse_args()


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    from tests.simulation.campaign import Outcome, play, play_all
    from tests.simulation.plants import PLANTS

    sys.unraisablehook = lambda _: None  # coroutines of dead processes do not like to be closed
    arguments = _arguments()
    if arguments.plants:
        print("\n".join(PLANTS))
        return 0
    steps, plant = arguments.steps, arguments.plant
    began = time.monotonic()
    if arguments.seed is not None:
        total = play(arguments.seed, steps, plant)
        print("\n".join(failure.trace for failure in total.failures), file=sys.stderr, end="")
    else:
        first, last = (int(each) for each in arguments.seeds.split(".."))
        total = Outcome()
        options = {"plant": plant, "seconds": arguments.minutes * 60, "failures_max": arguments.failures_max}
        if arguments.jobs == 1:
            total = play_all(range(first, last + 1), steps, **options)
        else:
            with ProcessPoolExecutor(arguments.jobs) as pool:
                parts = [range(first + job, last + 1, arguments.jobs) for job in range(arguments.jobs)]
                waiting = [pool.submit(play_all, part, steps, **options) for part in parts]
                for done in as_completed(waiting):
                    total.add(done.result())
    told = asdict(total)
    told["reached"] = dict(sorted(total.reached.items()))
    told["failures"] = [
        {"seed": each.seed, "step": each.step, "at_s": round(each.at_s, 3), "reason": each.reason,
         "replay": each.replay}
        for each in sorted(total.failures, key=lambda failure: failure.seed)
    ]  # fmt: skip
    told["seconds"] = round(time.monotonic() - began, 1)
    told["simulated_s"] = round(total.simulated_s)
    print(json.dumps(told))
    return 1 if total.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
