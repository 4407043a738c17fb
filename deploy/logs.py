"""Logging of a process, set up once: readable on a terminal, one JSON object per line otherwise, always on stderr.

Modules use the standard `logging`; only this one knows structlog.
"""

from __future__ import annotations

import logging
import sys

import structlog

_QUIET = ("grpc", "aiohttp.access", "asyncio", "websockets", "opentelemetry")


def set_up_logging(level: str, service: str) -> None:
    """Send every record of `level` and worse to stderr, naming the service."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _naming(service),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _naming(service: str) -> structlog.typing.Processor:
    def name_service(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return name_service
