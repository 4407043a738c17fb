"""The gateway's settings."""

from __future__ import annotations

from sp00ky.proto.settings import MeshSettings, setting


class GatewaySettings(MeshSettings):
    """`listen_addr` is the port of the gateway's own process; beside a scheduler or an SSP it is set to theirs."""

    listen_addr: str = setting(
        "0.0.0.0:7667", env="SPKY_GATEWAY_LISTEN_ADDR", unit="host:port", about="HTTP API of the gateway process"
    )
    scheduler_url: str = setting(
        "http://127.0.0.1:9667",
        env="SPKY_SCHEDULER_URL",
        aliases=("SCHEDULER_URL",),
        unit="url",
        about="scheduler, as http://host:9667 or grpc://host:9668",
    )
    body_bytes_max: int = setting(
        16 * 1024 * 1024, env="SPKY_GATEWAY_BODY_BYTES_MAX", unit="bytes", gt=0, about="longest request body accepted"
    )
    request_timeout_ms: int = setting(
        30_000, env="SPKY_GATEWAY_REQUEST_TIMEOUT_MS", unit="ms", gt=0, about="time within which a request is answered"
    )
