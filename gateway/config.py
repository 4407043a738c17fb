"""The gateway's settings."""

from __future__ import annotations

from pathlib import Path

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
    client_secret: str = setting(
        "", env="SPKY_CLIENT_SECRET", secret=True, about="bearer token of an application's server: role client alone"
    )
    ssp_secret: str = setting("", env="SPKY_SSP_SECRET", secret=True, about="bearer token of an SSP: role ssp alone")
    admin_secret: str = setting(
        "",
        env="SPKY_ADMIN_SECRET",
        secret=True,
        about="bearer token of role admin; while it is set, SPKY_AUTH_SECRET is no admin's",
    )
    jwt_secret: str = setting(
        "",
        env="SPKY_JWT_SECRET",
        secret=True,
        min_length=32,
        about="secret that JWTs are signed with (HS256, 384, 512)",
    )
    jwt_jwks_file: Path | None = setting(
        None, env="SPKY_JWT_JWKS_FILE", unit="path", about="JWKS file with the public keys of JWTs (RS, ES)"
    )
    jwt_audience: str = setting(
        "", env="SPKY_JWT_AUDIENCE", about="audience that a JWT must name; unset: a JWT must name none"
    )
    jwt_issuer: str = setting("", env="SPKY_JWT_ISSUER", about="issuer that a JWT must name; unset: any")
    jwt_leeway_s: int = setting(
        10, env="SPKY_JWT_LEEWAY_SECS", unit="s", ge=0, le=300, about="clock difference that a JWT's times may have"
    )
    cors_origins: str = setting(
        "",
        env="SPKY_GATEWAY_CORS_ORIGINS",
        about="origins whose pages may call, with commas between; * is every one; unset: none but the dashboard's own",
    )
    trusted_proxies: str = setting(
        "",
        env="SPKY_GATEWAY_TRUSTED_PROXIES",
        about="addresses or networks, with commas between, of proxies whose X-Forwarded-For is believed; unset: none",
    )
    body_bytes_max: int = setting(
        16 * 1024 * 1024, env="SPKY_GATEWAY_BODY_BYTES_MAX", unit="bytes", gt=0, about="longest request body accepted"
    )
    request_timeout_ms: int = setting(
        30_000, env="SPKY_GATEWAY_REQUEST_TIMEOUT_MS", unit="ms", gt=0, about="time within which a request is answered"
    )
    head_timeout_ms: int = setting(
        5_000, env="SPKY_GATEWAY_HEAD_TIMEOUT_MS", unit="ms", gt=0, about="time within which a request's head arrives"
    )
    write_timeout_ms: int = setting(
        30_000,
        env="SPKY_GATEWAY_WRITE_TIMEOUT_MS",
        unit="ms",
        gt=0,
        about="how long a peer may read nothing of what is written to it before it is cut off",
    )
    keep_alive_ms: int = setting(
        15_000,
        env="SPKY_GATEWAY_KEEP_ALIVE_MS",
        unit="ms",
        gt=0,
        about="time after which a stream of events that has nothing to tell says that it lives",
    )
    streams_max: int = setting(
        8_192, env="SPKY_GATEWAY_STREAMS_MAX", gt=0, about="streams of views (events and ws) of one server"
    )
    stream_views_max: int = setting(
        64, env="SPKY_GATEWAY_STREAM_VIEWS_MAX", gt=0, about="views of one stream that move together"
    )
    feeds_max: int = setting(
        10_000, env="SPKY_GATEWAY_FEEDS_MAX", gt=0, about="views that one server follows for its readers"
    )
    feed_linger_ms: int = setting(
        10_000,
        env="SPKY_GATEWAY_FEED_LINGER_MS",
        unit="ms",
        ge=0,
        about="how long a view is followed on after its last reader has left",
    )
    feed_entries_max: int = setting(
        256,
        env="SPKY_GATEWAY_FEED_ENTRIES_MAX",
        gt=0,
        about="changes of one view that are kept for slow readers and those who come back",
    )
    feed_bytes_max: int = setting(
        1024 * 1024, env="SPKY_GATEWAY_FEED_BYTES_MAX", unit="bytes", gt=0, about="size of what is kept of one view"
    )
    feeds_bytes_max: int = setting(
        256 * 1024 * 1024,
        env="SPKY_GATEWAY_FEEDS_BYTES_MAX",
        unit="bytes",
        gt=0,
        about="size of what is kept of all views",
    )
    resume_reads_max: int = setting(
        16,
        env="SPKY_GATEWAY_RESUME_READS_MAX",
        gt=0,
        about="views read at the same time for readers who come back with a revision that is not kept",
    )
    memory_bytes_max: int = setting(
        0,
        env="SPKY_GATEWAY_MEMORY_BYTES_MAX",
        unit="bytes",
        ge=0,
        about="memory this process may take: from 95 % on it takes no new stream; 0 is its container's limit, if any",
    )
    header_bytes_max: int = setting(
        16 * 1024, env="SPKY_GATEWAY_HEADER_BYTES_MAX", unit="bytes", ge=1024, about="longest header accepted"
    )
    requests_inflight_max: int = setting(
        1_024, env="SPKY_GATEWAY_REQUESTS_INFLIGHT_MAX", gt=0, about="requests answered at the same time, streams apart"
    )
    connections_max: int = setting(
        10_000,
        env="SPKY_GATEWAY_CONNECTIONS_MAX",
        gt=0,
        about="connections of one server; never more than half of the files the process may open",
    )
    connections_per_address_max: int = setting(
        2_048, env="SPKY_GATEWAY_CONNECTIONS_PER_ADDRESS_MAX", gt=0, about="connections of one client address"
    )
    rate_new: int = setting(
        1_000,
        env="SPKY_GATEWAY_RATE_NEW",
        unit="requests/s",
        ge=0,
        about="registrations and explanations of one caller (a record user, else an address); 0 is without limit",
    )
    rate_write: int = setting(
        10_000, env="SPKY_GATEWAY_RATE_WRITE", unit="requests/s", ge=0, about="other writes of one caller"
    )
    rate_log: int = setting(
        20, env="SPKY_GATEWAY_RATE_LOG", unit="lines/s", ge=0, about="lines that one caller may put into the log"
    )
    rate_read: int = setting(10_000, env="SPKY_GATEWAY_RATE_READ", unit="requests/s", ge=0, about="reads of one caller")
