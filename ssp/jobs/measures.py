"""What the jobs of one table come to, in numbers."""

from __future__ import annotations

from sp00ky.proto.jobs.lifecycle import Signal
from sp00ky.proto.measures import Distribution, key_of
from sp00ky.proto.v1 import admin_pb2


class JobMeasures:
    def __init__(self, table: str) -> None:
        self._table = table
        self.claims = 0
        self.lost = 0  # leases of whomever that ran out, found by us
        self.removed = 0
        self.fenced = 0
        self.full = 0  # looks at the table that left jobs waiting, since other SSPs have its slots
        self._ended = dict.fromkeys((Signal.SUCCEEDED, Signal.ERRED, Signal.EXHAUSTED), 0)
        self._claim_seconds = Distribution()
        self._call_seconds = Distribution()

    def claimed(self, waited_s: float) -> None:
        self.claims += 1
        self._claim_seconds.observe(waited_s)

    def called(self, seconds: float) -> None:
        self._call_seconds.observe(seconds)

    def ended(self, signal: Signal, is_recorded: bool) -> None:
        if not is_recorded:
            self.fenced += 1
        elif signal in self._ended:
            self._ended[signal] += 1

    def metrics(self) -> dict[str, float]:
        counted = {
            "jobs_claimed_total": self.claims,
            "jobs_succeeded_total": self._ended[Signal.SUCCEEDED],
            "jobs_retried_total": self._ended[Signal.ERRED],
            "jobs_failed_total": self._ended[Signal.EXHAUSTED],
            "jobs_lost_total": self.lost,
            "jobs_fenced_total": self.fenced,
            "jobs_removed_total": self.removed,
            "jobs_slots_full_total": self.full,
        }
        return {key_of(name, table=self._table): value for name, value in counted.items()}

    def distributions(self) -> list[admin_pb2.Distribution]:
        return [
            self._claim_seconds.message("spky_job_claim_delay_seconds", table=self._table),
            self._call_seconds.message("spky_job_call_duration_seconds", table=self._table),
        ]
