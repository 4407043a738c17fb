"""The process that runs the functions of one module: `python -m sp00ky.ssp.jobs.worker package.module`.

A job's path names a function: `/charge`, or `/orders/charge` for `orders_charge`. Only what the module defines itself
under a public name can be called, or what its `__all__` lists. It gets the payload, and the idempotency key where it
has a parameter `key`; what it returns is the result. What it prints goes to stderr: stdout is the protocol's.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import orjson


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    listed = getattr(module, "__all__", None)
    return {
        name: found
        for name, found in vars(module).items()
        if inspect.isfunction(found)
        and not name.startswith("_")
        and (name in listed if listed is not None else found.__module__ == module.__name__)
    }


def answer(functions: dict[str, Callable[..., Any]], asked: dict[str, Any]) -> dict[str, Any]:
    """`code` as HTTP would have it; `reason` empty where it worked."""
    path = str(asked["path"])
    name = path.removeprefix("/").replace("/", "_").replace("-", "_")
    function = functions.get(name)
    if function is None:
        return {"code": 404, "reason": f"there is no function {name!r}", "result": None}
    try:
        takes_key = "key" in inspect.signature(function).parameters
        result = function(asked["payload"], **({"key": asked["key"]} if takes_key else {}))
        return {"code": 200, "reason": "", "result": orjson.loads(orjson.dumps(result))}
    except Exception as error:  # whatever it is, it is the function's, and the job's reason
        return {"code": 500, "reason": f"{type(error).__name__}: {error}", "result": None}


def main(module_name: str) -> None:
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)
        sys.path.insert(0, os.getcwd())
        try:
            functions = functions_of(importlib.import_module(module_name))
            broken = ""
        except Exception as error:
            functions, broken = {}, f"module {module_name} cannot be imported: {type(error).__name__}: {error}"
        for line in sys.stdin.buffer:
            told = answer(functions, orjson.loads(line)) if not broken else {"code": 500, "reason": broken}
            out.write(orjson.dumps(told) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
