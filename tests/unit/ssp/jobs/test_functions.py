"""Backends that are Python modules: what may be called, and that a call costs no more than its own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.row import Request
from sp00ky.ssp.jobs.functions import PythonBackend

MODULE = """
import os, threading
from json import dumps

def double(payload):
    print("this is no answer")
    return payload["n"] * 2

def keyed(payload, key):
    return key

def secrets(payload):
    return [name for name in os.environ if name.startswith("SPKY_")]

def never(payload):
    threading.Event().wait()

def dies(payload):
    os._exit(3)

def raises(payload):
    raise ValueError("not today")

def _hidden(payload):
    return 1
"""


@pytest.fixture
async def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PythonBackend]:
    (tmp_path / "shop_of_the_tests.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SPKY_AUTH_SECRET", "not for functions")
    backend = PythonBackend(Backend(name="shop", table="job", base_url="python:shop_of_the_tests"))
    yield backend
    await backend.close()


def request(path: str, timeout_s: float = 20.0) -> Request:
    return Request(path, b'{"n": 4}', timeout_s, "job:a", 1)


async def test_public_functions_are_the_paths(backend: PythonBackend) -> None:
    assert (await backend.call(request("/double"))).result == 8
    assert (await backend.call(request("/keyed"))).result == "job:a"
    assert (await backend.call(request("/secrets"))).result == []
    for path in ("/_hidden", "/dumps", "/os", "/__class__", "/nothing", "/"):
        answer = await backend.call(request(path))
        assert answer.code == 404 and "no function" in answer.reason, path


async def test_what_a_function_does_costs_its_own_call_alone(backend: PythonBackend) -> None:
    assert (await backend.call(request("/raises"))).reason == "ValueError: not today"
    assert (await backend.call(request("/never", 0.3))).reason == "no answer within 0.3 s"
    assert "the worker ended" in (await backend.call(request("/dies"))).reason
    assert (await backend.call(request("/double"))).result == 8
    assert len(backend._workers) == 1


async def test_a_module_that_cannot_be_imported_is_a_reason(tmp_path: Path) -> None:
    backend = PythonBackend(Backend(name="shop", table="job", base_url="python:no_such_module_at_all"))
    answer = await backend.call(request("/x"))
    await backend.close()
    assert answer.code == 500 and "cannot be imported" in answer.reason
