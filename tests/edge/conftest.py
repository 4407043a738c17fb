"""The gateway over a fake mesh."""

from tests.harness.served_gateway import scheduler, serve

__all__ = ["scheduler", "serve"]
