"""What is admitted when there is more than can be served: by class, newest work first to be turned away.

Two limits, both answered with 429 and `Retry-After`. *In flight*: of the requests that may be answered at the same time
each class may use a share, so that under load a registration is refused while a read is still answered, and health is
answered last of all. *Rate*: a token bucket for each caller and class; a caller is a record user, else an address.

Invariant: a bucket never holds more than its burst; at most `CALLERS_MAX` are kept, and one forgotten is one that is
full again, which is what a caller not seen for long has anyway.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from sp00ky.gateway.endpoint import Load
from sp00ky.gateway.errors import RETRY_AFTER_SECONDS, Refused
from sp00ky.gateway.exchange import Limits

CALLERS_MAX: Final = 10_000  # of each class
BURST_SECONDS: Final = 2.0
# Of the requests in flight; a stream is bounded as a connection instead.
SHARES: Final[Mapping[Load, float]] = {"new": 0.5, "log": 0.5, "write": 0.9, "read": 0.9, "health": 1.0}


class Shed(Refused):
    """A request that was turned away; `reason` is for the counter."""

    def __init__(self, reason: str, message: str, hint: str, wait_s: int) -> None:
        super().__init__(429, message, hint, {"Retry-After": str(wait_s)})
        self.reason = reason


class Buckets:
    """Token buckets of one class. `rate` tokens a second each; 0 is without limit."""

    def __init__(self, rate: float, callers_max: int = CALLERS_MAX) -> None:
        self._rate, self._burst = rate, max(1.0, rate * BURST_SECONDS)
        self._callers_max = callers_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # caller → tokens, at this time

    def __len__(self) -> int:
        return len(self._left)

    def take(self, caller: str, now: float) -> float:
        """Take a token: 0, or the seconds until there is one. `now`: seconds of a clock that does not go back."""
        if not self._rate:
            return 0.0
        tokens, since = self._left.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        assert tokens <= self._burst
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._left[caller] = (tokens if wait else tokens - 1, now)
        if len(self._left) > self._callers_max:
            self._left.popitem(last=False)
        return wait


class Admission:
    """Of one server."""

    def __init__(self, limits: Limits) -> None:
        self.inflight = 0
        self._places = {load: max(1, int(limits.requests_inflight_max * share)) for load, share in SHARES.items()}
        rates: Mapping[Load, int] = {
            "new": limits.rate_new, "write": limits.rate_write, "read": limits.rate_read, "log": limits.rate_log,
        }  # fmt: skip
        self._buckets = {load: Buckets(rate) for load, rate in rates.items()}

    def enter(self, load: Load) -> None:
        """One more request of a class; `leave` when it is answered. Raises Shed."""
        if self.inflight >= self._places[load]:
            message = "server is answering as many requests as it may"
            raise Shed("inflight", message, "ask again shortly", RETRY_AFTER_SECONDS)
        self.inflight += 1

    def leave(self) -> None:
        assert self.inflight > 0
        self.inflight -= 1

    def pace(self, load: Load, caller: str, now: float) -> None:
        """Raises Shed for a caller that is too quick for its class."""
        buckets = self._buckets.get(load)
        wait = 0.0 if buckets is None else buckets.take(caller, now)
        if wait:
            raise Shed("rate", "too many requests of this kind", "ask more slowly", math.ceil(wait))
