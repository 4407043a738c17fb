"""The process that runs functions: `python -m sp00ky.ssp.jobs.worker python:package.module BYTES FUEL`.

A job's path names a function: `/charge`, or `/orders/charge` for `orders_charge`. Of a module only what it defines
itself under a public name can be called, or what its `__all__` lists. It gets the payload, and the idempotency key
where it has a parameter `key`; what it returns is the result. What it prints goes to stderr: stdout is the protocol's.
(`wasm.py` has the functions of a `wasm:` file.)

BYTES is the memory that functions may have: of Python the process's address space, so that what wants more gets a
MemoryError and not the machine's.
"""

from __future__ import annotations

import importlib
import inspect
import os
import resource
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import orjson
from sp00ky.proto.jobs.backend import PYTHON, WASM
from sp00ky.ssp.jobs.called import Function, Late

REASON_CHARS_MAX = 2_000


def functions_of(module: ModuleType) -> dict[str, Function]:
    listed = getattr(module, "__all__", None)
    return {
        name: _called_by_job(found)
        for name, found in vars(module).items()
        if inspect.isfunction(found)
        and not name.startswith("_")
        and (name in listed if listed is not None else found.__module__ == module.__name__)
    }


def _called_by_job(function: Callable[..., Any]) -> Function:
    takes_key = "key" in inspect.signature(function).parameters

    def call(asked: Mapping[str, Any]) -> Any:
        return function(asked["payload"], **({"key": asked["key"]} if takes_key else {}))

    return call


def answer(functions: Mapping[str, Function], asked: Mapping[str, Any]) -> bytes:
    """A line of JSON. `code` as HTTP would have it, 0: no answer in time; `reason` empty where it worked."""
    path = str(asked["path"])
    name = path.removeprefix("/").replace("/", "_").replace("-", "_")
    function = functions.get(name)
    if function is None:
        return _told(404, f"there is no function {name!r}")
    try:
        result = orjson.dumps(function(asked))
    except Late:
        return _told(0, f"no answer within {asked['timeout_s']:g} s")
    except Exception as error:  # whatever it is, it is the function's, and the job's reason
        return _told(500, f"{type(error).__name__}: {error}")
    if len(result) > asked["most"]:
        return _told(200, note=f"the answer has more than {asked['most']} bytes and was not kept")
    return orjson.dumps({"code": 200, "reason": "", "note": "", "result": orjson.Fragment(result)})


def _told(code: int, reason: str = "", note: str = "") -> bytes:
    said = reason[:REASON_CHARS_MAX].encode("utf-8", "replace").decode()
    return orjson.dumps({"code": code, "reason": said, "note": note, "result": None})


def _loaded(source: str, memory_bytes: int, fuel: int) -> dict[str, Function]:
    if source.startswith(WASM):
        from sp00ky.ssp.jobs.wasm import wasm_functions

        return wasm_functions(source.removeprefix(WASM), memory_bytes, fuel)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    return functions_of(importlib.import_module(source.removeprefix(PYTHON)))


def main(source: str, memory_bytes: str, fuel: str) -> None:
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)
        sys.path.insert(0, os.getcwd())
        functions: dict[str, Function] = {}
        broken = ""
        try:
            functions = _loaded(source, int(memory_bytes), int(fuel))
        except Exception as error:
            broken = f"{source} cannot be loaded: {type(error).__name__}: {error}"
        for line in sys.stdin.buffer:
            told = _told(500, broken) if broken else answer(functions, orjson.loads(line))
            out.write(told + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
