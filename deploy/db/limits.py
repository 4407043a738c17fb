"""What one client, and all of them together, may hold of the server; and what happens at each limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    frame_bytes_max: int = 64 * 1024 * 1024  # a larger frame closes its connection (1009), a larger body answers 413
    connections_max: int = 1000  # further ones are answered 503
    inflight_max: int = 256  # requests read ahead per connection; then its socket is not read
    sessions_max: int = 64  # client-made sessions per connection; then `attach` is refused
    lives_max: int = 256  # live queries per connection; then `live` is refused
    live_rows_max: int = 100_000  # rows a restricted live query remembers; then it is refused or ends
    notifications_max: int = 10_000  # unsent per connection; then the connection is closed (1013)
    stop_timeout_s: float = 5.0  # how long `stop` waits for requests being carried out
