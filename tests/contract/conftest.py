"""The gateway over a fake mesh."""

from tests.harness.served_gateway import scheduler, serve, ssp

__all__ = ["scheduler", "serve", "ssp"]
