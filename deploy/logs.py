"""Logging of a process, set up once: readable on a terminal, one JSON object per line otherwise, always on stderr.

A line that belongs to a request says which: `request_id`, and `trace_id`, `span_id` where it is traced. Under a
supervisor each line also says which process wrote it: a JSON line as its field `process`, any other before it.

Modules use the standard `logging`; only this one knows structlog.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Literal

import structlog
from sp00ky.proto.tracing import REQUEST_ID, current_ids

_QUIET = ("grpc", "aiohttp.access", "asyncio", "websockets", "opentelemetry")


def set_up_logging(level: str, service: str, form: Literal["auto", "json", "pretty"] = "auto") -> None:
    """Send every record of `level` and worse to stderr, naming the service."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _naming(service),
        name_request,
    ]
    is_pretty = form == "pretty" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if is_pretty else structlog.processors.JSONRenderer()
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


def named(process: str, line: bytes) -> bytes:
    """A line of a child's log, saying whose it is."""
    if line.startswith(b'{"') and line.endswith(b"}"):
        return b'{"process": ' + json.dumps(process).encode() + b", " + line[1:]
    return f"[{process}] ".encode() + line


def name_request(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of the task that logs: a record is rendered where it is made."""
    request_id = REQUEST_ID.get()
    if request_id:
        event["request_id"] = request_id
    trace_id, span_id = current_ids()
    if trace_id:
        event["trace_id"], event["span_id"] = trace_id, span_id
    return event


def _naming(service: str) -> structlog.typing.Processor:
    def name_service(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return name_service
