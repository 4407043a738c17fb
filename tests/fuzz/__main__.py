"""The long run: `python -m tests.fuzz --minutes 10 --seed 1`; exits 1 if anything differed.

Every 30 seconds and at the end a line of JSON. Every new difference is made small and printed as a case that can be
put into `regressions/` as it is (`--keep FOLDER` does so). `--plain` holds the evaluator of whole queries against the
engine instead of the SSP's views; with `--users` every case has users. `--first N` begins with case N of
the seed, `--cases N` ends after N of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.fuzz.campaign import CASES_A_USERS, Campaign, Found, cases
from tests.fuzz.case import written
from tests.fuzz.play import Subject

_PROGRESS_S = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=0, help="end after so many; 0: when the time is over")
    parser.add_argument("--plain", action="store_true", help="the evaluator of whole queries, not the views")
    parser.add_argument("--users", action="store_true", help="every case has users, not one of four")
    parser.add_argument("--keep", type=Path, help="a folder that gets a file for each difference")
    chosen = parser.parse_args()
    campaign = Campaign(_subject(chosen.plain), chosen.seed)
    end, next_line = time.monotonic() + chosen.minutes * 60, time.monotonic() + _PROGRESS_S
    for number, case in cases(chosen.seed, chosen.first, users_each=1 if chosen.users else CASES_A_USERS):
        for found in campaign.play(case):
            _show(found, number, chosen.keep, chosen.seed)
        if time.monotonic() > next_line:
            print(json.dumps(campaign.progress()), flush=True)
            next_line += _PROGRESS_S
        if time.monotonic() > end or campaign.played == chosen.cases:
            break
    print(json.dumps(campaign.progress()), flush=True)
    return 1 if campaign.counts else 0


def _subject(plain: bool) -> Subject:
    """Imported when chosen: the evaluator can be held against the engine whatever state the views are in."""
    if plain:
        from tests.fuzz.plain import plain as subject
    else:
        from tests.fuzz.views import views as subject
    return subject


def _show(found: Found, number: int, folder: Path | None, seed: int) -> None:
    difference = found.difference
    comment = (
        f"{found.name} (seed {seed}, case {number})",
        f"after transaction {difference.step}",
        f"ours: {difference.ours}",
        f"engine: {difference.theirs}",
    )
    text = written(replace(found.case, comment=comment))
    print(text, flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"seed{seed}_case{number}_{abs(hash(found.name)) % 10**6}.txt").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
