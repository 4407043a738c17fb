"""What is counted of collaborative fields; `proto/measures.py` says how each is called outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sp00ky.proto.measures import FINE_SECONDS, Distribution, key_of


class CrdtMeasures:
    def __init__(self) -> None:
        self.applied = 0
        self.writes = 0
        self.conflicts = 0
        self.loads = 0
        self.evictions = 0
        self.merge_seconds = Distribution(FINE_SECONDS)
        self._rejected: Counter[str] = Counter()

    def rejected(self, reason: str) -> None:
        """An update was refused, by a code's short name."""
        self._rejected[reason] += 1

    def metrics(self) -> Mapping[str, float]:
        return {
            "crdt_updates_total": self.applied,
            "crdt_writes_total": self.writes,
            "crdt_conflicts_total": self.conflicts,
            "crdt_loads_total": self.loads,
            "crdt_evictions_total": self.evictions,
            **{key_of("crdt_rejected_total", reason=reason): count for reason, count in self._rejected.items()},
        }
