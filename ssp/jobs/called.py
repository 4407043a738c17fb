"""What a function is to the worker that calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Function(Protocol):
    def __call__(self, asked: Mapping[str, Any]) -> Any:
        """The result of a call, of which `asked` has payload, key, attempt and timeout_s. Raises whatever it raises."""


class Late(Exception):
    """The call was interrupted: its time was over."""
