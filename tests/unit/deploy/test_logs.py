"""A line of the log: its form, and whose request it belongs to."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from sp00ky.deploy.logs import named, set_up_logging
from sp00ky.proto import tracing
from sp00ky.proto.tracing import REQUEST_ID


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_json_line_has_the_stable_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "scheduler", "json")
    logging.getLogger("sp00ky.scheduler").warning("%d records differ", 3)
    logging.getLogger("sp00ky.scheduler").debug("not told")
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "3 records differ",
        "level": "warning",
        "logger": "sp00ky.scheduler",
        "service": "scheduler",
    }


def test_a_line_names_its_request_and_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "gateway", "json")
    tracer = TracerProvider().get_tracer("test")
    tracing.trace_with(tracer)
    token = REQUEST_ID.set("r-1")
    try:
        with tracer.start_as_current_span("POST /ingest") as span:
            logging.getLogger("x").info("inside")
        logging.getLogger("x").info("outside")
    finally:
        REQUEST_ID.reset(token)
        tracing.trace_with(None)
    inside, outside = map(json.loads, capsys.readouterr().err.splitlines())
    context = span.get_span_context()
    assert inside["request_id"] == outside["request_id"] == "r-1"
    assert (inside["trace_id"], inside["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert "trace_id" not in outside


@pytest.mark.parametrize(
    ("form", "on_terminal", "is_json"),
    [("auto", False, True), ("auto", True, False), ("pretty", False, False), ("json", True, True)],
)
def test_spky_log_format(form: str, on_terminal: bool, is_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Terminal() if on_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    set_up_logging("info", "ssp", form)  # type: ignore[arg-type]
    logging.getLogger("x").info("loaded")
    line = written.getvalue().strip()
    assert line.startswith("{") is is_json
    assert "loaded" in line
    assert ("\x1b" in line) is (on_terminal and not is_json), "no colours in a file"


def test_a_childs_line_says_whose_it_is() -> None:
    assert json.loads(named("ssp-1", b'{"event": "x"}')) == {"process": "ssp-1", "event": "x"}
    assert named("ssp-1", b"2026 [info] loaded") == b"[ssp-1] 2026 [info] loaded"
    assert named("ssp-1", b'{"cut in the mid') == b'[ssp-1] {"cut in the mid'
