"""Functions of a WebAssembly module. Its ABI, all of it:

* it exports `memory`, `alloc(length: i32) -> i32`, and for each path a function `(pointer: i32, length: i32) -> i64`;
* a function is given a UTF-8 JSON object `{"payload": …, "key": "…", "attempt": 1}`, written to where `alloc` said;
* it returns `pointer << 32 | length` of the result's JSON, 0 for none; the negative of that for a text: why the
  attempt has failed (its job is tried again as any other);
* it imports nothing: no files, network, clock or randomness.

Each call has an instance of its own, with no state of calls before it. Fuel (about one a instruction) and memory are
bounded, and a call that takes too long is interrupted (an epoch of its engine), so that its process lives on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import wasmtime
from sp00ky.ssp.jobs.called import Function, Late

ALLOC: Final = "alloc"
MEMORY: Final = "memory"
TABLE_ELEMENTS_MAX: Final = 100_000
_MASK: Final = 0xFFFFFFFF
_FUNCTION: Final = (["i32", "i32"], ["i64"])
_WHY: Final[Mapping[object, str]] = {
    wasmtime.TrapCode.OUT_OF_FUEL: "it used up its fuel",
    wasmtime.TrapCode.UNREACHABLE: "it trapped: unreachable",
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: "it trapped: out of its memory",
    wasmtime.TrapCode.STACK_OVERFLOW: "it trapped: stack overflow",
}


class Trapped(Exception):
    """What the function did, or said itself, in place of a result."""


def wasm_functions(file: str, memory_bytes: int, fuel: int) -> dict[str, Function]:
    """By name, as paths name them. Raises OSError, ValueError where the file is no such module."""
    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    engine = wasmtime.Engine(config)
    try:
        module = wasmtime.Module(engine, Path(file).read_bytes())
    except wasmtime.WasmtimeError as error:
        raise ValueError(f"no WebAssembly module: {str(error)[:300]}") from None
    if imports := [f"{each.module}.{each.name}" for each in module.imports]:
        raise ValueError(f"it imports {', '.join(imports[:5])}, and nothing is offered")
    exported = {each.name: each.type for each in module.exports}
    if not isinstance(exported.get(MEMORY), wasmtime.MemoryType) or _signature(exported.get(ALLOC)) != (
        ["i32"],
        ["i32"],
    ):
        raise ValueError(f"it does not export {MEMORY} and {ALLOC}(i32) -> i32")
    names = [name for name, kind in exported.items() if _signature(kind) == _FUNCTION and not name.startswith("_")]
    return {name: _Call(engine, module, name, memory_bytes, fuel) for name in names}


def _signature(kind: object) -> tuple[list[str], list[str]] | None:
    if not isinstance(kind, wasmtime.FuncType):
        return None
    return [str(each) for each in kind.params], [str(each) for each in kind.results]


class _Call:
    """One function; each call is an instance of its own."""

    def __init__(
        self, engine: wasmtime.Engine, module: wasmtime.Module, name: str, memory_bytes: int, fuel: int
    ) -> None:
        self._engine, self._module, self._name = engine, module, name
        self._memory_bytes, self._fuel = memory_bytes, fuel

    def __call__(self, asked: Mapping[str, Any]) -> Any:
        """Raises Trapped, Late, ValueError for a result that is not JSON."""
        given = orjson.dumps({name: asked[name] for name in ("payload", "key", "attempt")})
        store = wasmtime.Store(self._engine)
        store.set_fuel(self._fuel)
        store.set_epoch_deadline(1)
        store.set_limits(self._memory_bytes, TABLE_ELEMENTS_MAX, instances=1, tables=16, memories=1)
        alarm = threading.Timer(asked["timeout_s"], self._engine.increment_epoch)
        alarm.start()
        try:
            return self._run(store, given)
        except wasmtime.Trap as trap:
            if trap.trap_code is wasmtime.TrapCode.INTERRUPT:
                raise Late from None
            raise Trapped(_WHY.get(trap.trap_code, f"it trapped: {trap.trap_code}")) from None
        except wasmtime.WasmtimeError as error:
            raise Trapped(str(error)[:300]) from None
        finally:
            alarm.cancel()
            alarm.join()  # it has rung, or never will: the next call's deadline is its own

    def _run(self, store: wasmtime.Store, given: bytes) -> Any:
        exports = wasmtime.Linker(self._engine).instantiate(store, self._module).exports(store)
        memory, alloc, function = exports[MEMORY], exports[ALLOC], exports[self._name]
        assert isinstance(memory, wasmtime.Memory) and isinstance(alloc, wasmtime.Func)
        assert isinstance(function, wasmtime.Func)
        pointer = alloc(store, len(given)) & _MASK
        if pointer + len(given) > memory.data_len(store):
            raise Trapped(f"{ALLOC}({len(given)}) said {pointer}, which is not in its memory")
        memory.write(store, given, pointer)
        said: int = function(store, pointer, len(given))
        pointer, length = abs(said) >> 32, abs(said) & _MASK
        if pointer + length > memory.data_len(store):
            raise Trapped(f"it returned {length} bytes at {pointer}, which is not in its memory")
        result = bytes(memory.read(store, pointer, pointer + length))
        if said < 0:
            raise Trapped(result.decode("utf-8", "replace"))
        return orjson.loads(result) if result else None
