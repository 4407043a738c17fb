"""This host and its settings: the data directory, where each service may listen, and with which secret."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sp00ky.deploy.cli_client import counted
from sp00ky.deploy.compose import decided_address
from sp00ky.deploy.doctor.finding import Finding, fail, ok, warn
from sp00ky.gateway.exposure import is_loopback, split_address
from sp00ky.proto.faults import Fault
from sp00ky.proto.settings import Loaded, MeshSettings
from sp00ky.scheduler.config import SchedulerSettings
from sp00ky.scheduler.datastore.opening import holds_store

FREE_BYTES_MIN: Final = 1024**3  # below it there is no room for a clone beside the log
SECRET_CHARS_MIN: Final = 16


def directory_findings(settings: SchedulerSettings) -> Iterator[Finding]:
    """The directories of the scheduler's store: may they be written, and is there room for what they may hold."""
    if settings.replica_engine == "memory":
        yield ok("data directory", "none: the replica is in memory")
        yield warn(
            "backup", "what came by /ingest alone is lost when the scheduler ends", "SPKY_REPLICA_ENGINE=rocksdb"
        )
        return
    for directory in dict.fromkeys(filter(None, (settings.replica_dir, settings.wal_path))):
        there = _nearest(directory)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield fail("data directory", f"{directory} cannot be written", "set SPKY_DATA_DIR, or change its owner")
            continue
        yield ok("data directory", f"{directory} can be {'written' if directory.is_dir() else 'made'}")
    free = shutil.disk_usage(_nearest(settings.replica_dir)).free
    said = f"{free / 1024**3:.1f} GiB free, the log may grow to {settings.replica_log_max_bytes / 1024**3:.1f} GiB"
    if free < FREE_BYTES_MIN:
        yield fail("free space", said, "make room: with a full disk nothing is accepted (507)")
    elif free < settings.replica_log_max_bytes:
        yield warn("free space", said, "make room, or lower SPKY_REPLICA_LOG_MAX_BYTES")
    else:
        yield ok("free space", said)


def upkeep_findings(settings: SchedulerSettings, url: str) -> Iterator[Finding]:
    """Who watches, and what one could go back to. SurrealDB's own backup is not the mesh's, and not seen here."""
    if settings.replica_engine == "rocksdb":
        kept, there = counted(settings.replica_snapshots_max, "snapshot"), holds_store(settings.replica_dir)
        store = f"the store keeps {kept}" if there else f"no store is in {settings.replica_dir} yet; one keeps {kept}"
        yield ok("backup", f"{store}; SurrealDB is backed up by its own means")
    where = f"pushed to {settings.otel_endpoint}" if settings.otel_endpoint else f"at {url}/metrics/prometheus"
    yield ok("monitoring", f"metrics are {where}")


def secret_findings(loaded: dict[str, tuple[Loaded[MeshSettings], tuple[str, ...]]]) -> Iterator[Finding]:
    """By service: its settings and its listening fields. No address outside without a secret; one secret for all."""
    secrets = {service: each.settings.auth_secret for service, (each, _) in loaded.items()}
    if len(set(secrets.values())) > 1:
        yield fail("secrets", "the services have different SPKY_AUTH_SECRETs", "give all of them the same one")
    secret = secrets["scheduler"]
    for service, (each, fields) in loaded.items():
        for field in fields:
            try:
                address = decided_address(each, field)
            except Fault as fault:
                yield fail("secrets", f"{service}: {fault.message}", fault.hint)
                continue
            outside = not address.startswith("unix:") and not is_loopback(split_address(address)[0])
            if outside and not secret.strip():
                todo = "set SPKY_AUTH_SECRET, or listen on 127.0.0.1"
                yield fail("secrets", f"{service} listens on {address} without a secret", todo)
    if secret and len(secret) < SECRET_CHARS_MIN:
        yield warn("secrets", f"SPKY_AUTH_SECRET has {len(secret)} characters", "use 32 random ones")
    elif secret:
        yield ok("secrets", "one secret for all services")
    else:
        yield ok("secrets", "none: services answer anyone on this host, and nobody else")


def port_findings(
    loaded: Loaded[SchedulerSettings], running: bool, entities_at: Callable[[str], list[dict[str, Any]]]
) -> Iterator[Finding]:
    """Where the scheduler is to listen: taken by another, while no scheduler answers, is a failure. `running`: whether
    one answers at --url; the one that listens may be another. `entities_at`: what the mesh at a URL says of itself."""
    own: dict[str, Any] = {}
    for field in ("listen_addr", "grpc_addr"):
        try:
            address = decided_address(loaded, field)
            host, port = split_address(address)
        except Fault as fault:
            yield fail("ports", fault.message, fault.hint)
            continue
        if port == 0 or running:
            continue
        local = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        if not _answers(local, port):
            yield ok("ports", f"{address} is free")
            continue
        if field == "listen_addr":
            scheme = "https" if loaded.settings.tls_cert else "http"
            url = f"{scheme}://{f'[{local}]' if ':' in local else local}:{port}"
            own = next(iter(entities_at(url)), {})
        if own.get("entity") != "scheduler":
            taker = f"by {own['entity']} {own['id']}" if own and field == "listen_addr" else "and not by a scheduler"
            yield fail("ports", f"{address} is taken, {taker}", "stop that, or choose another address")
        elif field == "listen_addr":
            yield warn("ports", f"{address} has scheduler {own['id']}, and --url is elsewhere", f"--url {url}")
        elif str(own.get("grpc_address", "")).rpartition(":")[2] == str(port):
            yield ok("ports", f"{address} has scheduler {own['id']}")
        else:
            todo = "stop that, or choose another address"
            yield fail("ports", f"{address} is taken, and not by scheduler {own['id']}", todo)


def _answers(local: str, port: int) -> bool:
    try:
        with socket.create_connection((local, port), timeout=1.0):
            return True
    except OSError:
        return False


def _nearest(path: Path) -> Path:
    """The directory itself, or the nearest above it that exists."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
