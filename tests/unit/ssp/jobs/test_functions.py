"""Backends that are Python modules: what may be called, and that a call costs no more than its own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sp00ky.proto.jobs.backend import Backend
from sp00ky.proto.jobs.row import Request
from sp00ky.ssp.jobs.functions import FunctionBackend

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

def hungry(payload):
    return len(bytes(200_000_000))

def talkative(payload):
    return "x" * payload["n"] * 1000

def late(payload):
    raise TimeoutError("of its own")

def _hidden(payload):
    return 1
"""


@pytest.fixture
async def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FunctionBackend]:
    (tmp_path / "shop_of_the_tests.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SPKY_AUTH_SECRET", "not for functions")
    backend = FunctionBackend(Backend(name="shop", table="job", base_url="python:shop_of_the_tests"))
    yield backend
    await backend.close()


def request(path: str, timeout_s: float = 20.0) -> Request:
    return Request(path, b'{"n": 4}', timeout_s, "job:a", 1)


async def test_public_functions_are_the_paths(backend: FunctionBackend) -> None:
    assert (await backend.call(request("/double"))).result == 8
    assert (await backend.call(request("/keyed"))).result == "job:a"
    assert (await backend.call(request("/secrets"))).result == []
    for path in ("/_hidden", "/dumps", "/os", "/__class__", "/nothing", "/"):
        answer = await backend.call(request(path))
        assert answer.code == 404 and "no function" in answer.reason, path


async def test_what_a_function_does_costs_its_own_call_alone(backend: FunctionBackend) -> None:
    assert (await backend.call(request("/raises"))).reason == "ValueError: not today"
    assert (await backend.call(request("/never", 0.3))).reason == "no answer within 0.3 s"
    assert "the worker ended" in (await backend.call(request("/dies"))).reason
    assert (await backend.call(request("/double"))).result == 8
    assert len(backend._workers) == 1


async def test_a_module_that_cannot_be_imported_is_a_reason(tmp_path: Path) -> None:
    backend = FunctionBackend(Backend(name="shop", table="job", base_url="python:no_such_module_at_all"))
    answer = await backend.call(request("/x"))
    await backend.close()
    assert answer.code == 500 and "cannot be loaded: ModuleNotFoundError" in answer.reason


async def test_a_worker_has_as_much_memory_as_is_set(backend: FunctionBackend) -> None:
    assert (await backend.call(request("/hungry"))).result == 200_000_000
    small = FunctionBackend(backend._backend.model_copy(update={"memory_bytes_max": 128 * 1024 * 1024}))
    assert (await small.call(request("/hungry"))).reason.startswith("MemoryError")
    assert (await small.call(request("/double"))).result == 8, "it lives on"
    await small.close()


async def test_an_answer_that_is_too_long_is_a_success_without_a_result(backend: FunctionBackend) -> None:
    small = FunctionBackend(backend._backend.model_copy(update={"response_bytes_max": 1_000}))
    answer = await small.call(request("/talkative"))
    assert answer.ok and not answer.result and answer.note == "the answer has more than 1000 bytes and was not kept"
    assert (await small.call(request("/double"))).result == 8 and len(small._workers) == 1
    await small.close()


async def test_a_functions_own_time_out_is_an_answer(backend: FunctionBackend) -> None:
    answer = await backend.call(request("/late"))
    assert (answer.code, answer.reason) == (500, "TimeoutError: of its own")
