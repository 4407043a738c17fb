"""The long run of damaged queries: our verdict beside the engine's on each, until the time is over.

    python -m tests.language --minutes 10 --seed 7

Prints each fault as it is found and, at the end, the counts as one line of JSON. Status 1 if anything was found. A text
that takes longer than `SECONDS_MAX` is a fault, as is any exception but the parser's own.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from types import FrameType

from sp00ky.proto.surrealql.errors import ParseError
from sp00ky.proto.surrealql.parser import read_select

from tests.language.damaged import Damaged, corpus
from tests.language.engine_parser import EngineParser
from tests.language.judged import Judged, judged

SECONDS_MAX = 5
ENGINE_TEXTS = 50_000  # an engine is replaced after so many


class Hanging(Exception):
    pass


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Hanging


def timed(text: str, engine: EngineParser) -> tuple[Judged, float]:
    """The verdict, and the seconds of processor that our parser took."""
    signal.alarm(SECONDS_MAX)
    began = time.process_time()
    try:
        read_select(text)
    except ParseError:
        pass
    except Exception as error:
        return Judged("crashed", f"{text!r}\n  {error!r}"), 0.0
    finally:
        signal.alarm(0)
    seconds = time.process_time() - began
    return judged(text, engine), seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.language")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, _interrupt)
    damaged, engine = Damaged(given.seed, corpus()), EngineParser()
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    faults, slowest = 0, (0.0, "")
    ends = time.monotonic() + given.minutes * 60
    while time.monotonic() < ends:
        text = damaged.text()
        if text in seen:
            continue
        seen.add(text)
        verdict, seconds = timed(text, engine)
        counts[verdict.kind] += 1
        slowest = max(slowest, (seconds, text))
        if verdict.fault:
            faults += 1
            print(f"{verdict.kind}: {verdict.fault}", flush=True)
        if len(seen) % ENGINE_TEXTS == 0:
            engine = EngineParser()
    figures = {"seed": given.seed, "texts": len(seen), "faults": faults, "kinds": dict(counts.most_common())}
    print(json.dumps({**figures, "slowest_ms": round(slowest[0] * 1000, 1), "slowest": slowest[1]}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
