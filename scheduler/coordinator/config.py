"""What the coordinator is given once."""

from __future__ import annotations

from dataclasses import dataclass

from sp00ky.proto.revision import Epoch, StoreId
from sp00ky.scheduler.coordinator import idempotency


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    store_id: StoreId
    epoch: Epoch
    load_balance: str = "round_robin"
    heartbeat_interval_ms: int = 5_000
    heartbeat_timeout_ms: int = 15_000
    bootstrap_timeout_ms: int = 120_000
    quantum_ms: int = 0  # SSPs that say hello within it load at one revision
    lag_entries_max: int = 10_000  # of a ready SSP
    moves_inflight_max: int = 32  # hand-overs under way
    rebalances: bool = True
    namespace: str = ""
    database: str = ""
    idempotency_keys_max: int = idempotency.KEYS_MAX
