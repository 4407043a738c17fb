"""`python -m tests.oracle.corpus [application …]`: how many queries of each application are kept incrementally."""

from __future__ import annotations

import sys
from collections import Counter

from tests.oracle.corpus.application import applications
from tests.oracle.corpus.replay import Report, replay


def _table(title: str, reports: list[Report], answered: str) -> None:
    print(f"{title}\n  {'application':<12}{'queries':>9}{answered:>13}{'aside':>7}{'wrong':>7}")
    for report in reports:
        queries = len(report.application.queries)
        name, aside = report.application.name, len(report.aside)
        print(f"  {name:<12}{queries:>9}{report.answered:>13}{aside:>7}{len(report.wrong):>7}")
    queries = sum(len(report.application.queries) for report in reports)
    all_answered = sum(report.answered for report in reports)
    print(f"  {'all':<12}{queries:>9}{all_answered:>13}  = {all_answered / queries:.1%}")
    reasons: Counter[str] = sum((report.reasons() for report in reports), Counter())
    for reason, count in reasons.most_common():
        print(f"  {count:>5}  {reason}")
    for report in reports:
        for wrong in report.wrong.values():
            print(f"  WRONG {wrong}")
    print()


def main(names: list[str]) -> None:
    chosen = [application for application in applications() if not names or application.name in names]
    replayed = [replay(application) for application in chosen]
    _table("Held as views", [each.views for each in replayed], "incremental")
    _table("Evaluated plainly", [each.plain for each in replayed], "plain")


main(sys.argv[1:])
