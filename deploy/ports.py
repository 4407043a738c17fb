"""Free ports, chosen before the processes that will use them start.

They are taken from below the kernel's ephemeral range: a port out of that range could be handed to an outgoing
connection while its owner is being restarted, and the owner would not get it back.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

from sp00ky.proto.faults import Code, Fault

LOWEST = 15_000
EPHEMERAL_DEFAULT = 32_768
TRIES = 2_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def ephemeral_floor() -> int:
    """The first port that the kernel gives to outgoing connections."""
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_DEFAULT


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """That many different ports on which nobody listens. Raises Fault UNAVAILABLE."""
    floor = ephemeral_floor()
    low, high = (LOWEST, floor) if floor > LOWEST + 1_000 else (1_024, 65_536)
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(range(low, high), min(TRIES, high - low)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found.append(port)
    if len(found) < count:
        raise Fault(Code.UNAVAILABLE, f"no {count} free ports on {host}")
    return found


def require_free(address: str) -> None:
    """Raises Fault UNAVAILABLE when somebody listens on `host:port` already, or it cannot be bound."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise Fault(
                Code.UNAVAILABLE, f"cannot listen on {address}: {(error.strerror or str(error)).lower()}"
            ) from error
