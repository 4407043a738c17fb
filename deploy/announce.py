"""What a process of ours says on stdout: one JSON object per line, for tools that wait for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listening:
    """A service that answers on its addresses (which need not mean that it is ready)."""

    service: str
    id: str = ""
    http: str = ""
    grpc: str = ""
    ws: str = ""

    def facts(self) -> dict[str, object]:
        said = {"service": self.service, "id": self.id, "http": self.http, "grpc": self.grpc, "ws": self.ws}
        return {"event": "listening", **{name: text for name, text in said.items() if text}, "pid": os.getpid()}


def say(facts: Mapping[str, object]) -> None:
    """Write one line at once: the reader is waiting for it."""
    sys.stdout.write(json.dumps(facts, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One line to the operator, on stderr."""
    sys.stderr.write(f"spky: {text}\n")
    sys.stderr.flush()
