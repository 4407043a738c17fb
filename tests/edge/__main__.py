"""The long run: `python -m tests.edge --cases 1000 --seed 1`; exits 1 if any answer was not as described.

One line of JSON an operation: its statuses, the longest answer in seconds, and the first request that failed. `--mesh
scheduler` puts a real scheduler behind the API, `--url` attacks one that is served already (`--bearer` for its secret).
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from functools import partial

from tests.edge.attack import attack
from tests.edge.served import before_fake_mesh, before_scheduler, in_thread


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.edge", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="requests of each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--api", choices=("scheduler", "ssp"), action="append", help="default: both")
    parser.add_argument("--mesh", choices=("fake", "scheduler"), default="fake")
    parser.add_argument("--only", default="", help="part of an operation's name")
    parser.add_argument("--url", default="")
    parser.add_argument("--bearer", default="")
    chosen = parser.parse_args()
    failed = 0
    serve = before_fake_mesh if chosen.mesh == "fake" else before_scheduler
    for api in chosen.api or ("scheduler", "ssp") if chosen.mesh == "fake" and not chosen.url else ("scheduler",):
        serving = nullcontext(chosen.url.rstrip("/")) if chosen.url else in_thread(partial(serve, api))
        headers = {"Authorization": f"Bearer {chosen.bearer}"} if chosen.bearer else {}
        with serving as url:
            for outcome in attack(url, cases=chosen.cases, seed_=chosen.seed, headers=headers, only=chosen.only):
                line = {"api": api, "operation": outcome.name, "statuses": dict(sorted(outcome.statuses.items()))}
                line |= {"longest_s": round(outcome.longest_s, 3)} | (
                    {"failed": outcome.failed} if outcome.failed else {}
                )
                print(json.dumps(line), flush=True)
                failed += bool(outcome.failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
