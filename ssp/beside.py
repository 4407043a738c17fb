"""What runs in an SSP's process beside its views: told of the tables that have changed, and counted with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sp00ky.proto.v1 import admin_pb2, common_pb2


class Beside(Protocol):
    """`entered` must neither block nor fail: it is called on the path of the views."""

    def entered(self, entries: Sequence[common_pb2.Entry]) -> None: ...

    def metrics(self) -> Mapping[str, float]: ...

    def distributions(self) -> Sequence[admin_pb2.Distribution]: ...


class Besides(list[Beside]):
    """All of them, as one."""

    def entered(self, entries: Sequence[common_pb2.Entry]) -> None:
        for each in self:
            each.entered(entries)

    def metrics(self) -> dict[str, float]:
        return {name: value for each in self for name, value in each.metrics().items()}

    def distributions(self) -> list[admin_pb2.Distribution]:
        return [message for each in self for message in each.distributions()]
