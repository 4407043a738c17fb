"""Backends that are WebAssembly: what may be called, what it may cost, and that a call leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs.backend import WASM_MEMORY_BYTES_MAX, Backend, backends_of
from sp00ky.proto.jobs.row import Request
from sp00ky.ssp.jobs.functions import FunctionBackend
from sp00ky.ssp.jobs.jobs import Jobs

# `echo` returns what it was given; `refuse` gives it as the reason; `count` how often this instance was called.
MODULE = """
(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (data (i32.const 0) "123456789")
  (func (export "alloc") (param $length i32) (result i32)
    (local $pointer i32)
    (local.set $pointer (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $length)))
    (local.get $pointer))
  (func $packed (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func (export "echo") (param i32 i32) (result i64) (call $packed (local.get 0) (local.get 1)))
  (func (export "orders_charge") (param i32 i32) (result i64) (call $packed (i32.const 0) (i32.const 3)))
  (func (export "nothing") (param i32 i32) (result i64) (i64.const 0))
  (func (export "refuse") (param i32 i32) (result i64)
    (i64.sub (i64.const 0) (call $packed (i32.const 0) (i32.const 4))))
  (func (export "not_json") (param i32 i32) (result i64) (call $packed (local.get 0) (i32.const 2)))
  (func (export "count") (param i32 i32) (result i64)
    (i32.store8 (i32.const 2) (i32.add (i32.load8_u (i32.const 2)) (i32.const 1)))
    (call $packed (i32.const 2) (i32.const 1)))
  (func (export "spin") (param i32 i32) (result i64) (loop $again (br $again)) (i64.const 0))
  (func (export "grow") (param i32 i32) (result i64)
    (if (i32.eq (memory.grow (i32.const 4096)) (i32.const -1)) (then unreachable))
    (i64.const 0))
  (func (export "elsewhere") (param i32 i32) (result i64) (call $packed (i32.const 1000000) (i32.const 9)))
  (func $deep (export "deep") (param i32 i32) (result i64) (call $deep (local.get 0) (local.get 1)))
  (func (export "_hidden") (param i32 i32) (result i64) (i64.const 0))
  (func (export "other_form") (param i32) (result i32) (local.get 0)))
"""
Made = Any


def written(folder: Path, text: str = MODULE) -> str:
    file = folder / "shop.wasm"
    file.write_bytes(wasmtime.wat2wasm(text))
    return f"wasm:{file}"


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Made]:
    made: list[FunctionBackend] = []

    def make(text: str = MODULE, **stated: Any) -> FunctionBackend:
        made.append(
            FunctionBackend(Backend(**{"name": "shop", "table": "job", "base_url": written(tmp_path, text), **stated}))
        )
        return made[-1]

    yield make
    for each in made:
        await each.close()


def request(path: str, timeout_s: float = 20.0) -> Request:
    return Request(path, b'{"amount": 5}', timeout_s, "job:a", 2)


async def test_exported_functions_are_the_paths(make: Made) -> None:
    backend = make()
    assert (await backend.call(request("/echo"))).result == {"payload": {"amount": 5}, "key": "job:a", "attempt": 2}
    assert (await backend.call(request("/orders/charge"))).result == 123
    nothing = await backend.call(request("/nothing"))
    assert nothing.ok and not nothing.result
    assert (await backend.call(request("/refuse"))).reason == "Trapped: 1234"
    for path in ("/_hidden", "/other_form", "/alloc", "/memory", "/none"):
        assert (await backend.call(request(path))).code == 404, path


async def test_a_call_leaves_nothing_to_the_next(make: Made) -> None:
    backend = make()
    assert [(await backend.call(request("/count"))).result for _ in range(3)] == [4, 4, 4]
    assert len(backend._workers) == 1


async def test_a_call_is_interrupted_when_its_time_is_over_and_its_worker_lives_on(make: Made) -> None:
    backend = make(fuel=2**60)
    late = await backend.call(request("/spin", 0.3))
    assert (late.code, late.reason) == (0, "no answer within 0.3 s")
    assert (await backend.call(request("/orders/charge"))).result == 123
    assert len(backend._workers) == 1, "nobody was killed"


async def test_fuel_and_memory_are_bounded(make: Made) -> None:
    spent = await make(fuel=100_000).call(request("/spin"))
    assert (spent.code, spent.reason) == (500, "Trapped: it used up its fuel")
    assert (await make().call(request("/grow"))).ok
    small = make(memory_bytes_max=16 * 1024 * 1024)
    assert (await small.call(request("/grow"))).reason == "Trapped: it trapped: unreachable", "it was refused more"
    assert (await small.call(request("/orders/charge"))).result == 123


async def test_what_a_function_does_wrong_is_its_jobs_reason(make: Made) -> None:
    backend = make()
    assert "not in its memory" in (await backend.call(request("/elsewhere"))).reason
    assert "JSONDecodeError" in (await backend.call(request("/not_json"))).reason
    assert "stack overflow" in (await backend.call(request("/deep"))).reason
    assert (await backend.call(request("/orders/charge"))).result == 123


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('(module (import "wasi" "clock" (func)) (memory (export "memory") 1))', "it imports wasi.clock"),
        ("(module)", "it does not export memory and alloc"),
        ('(module (memory (export "memory") 1) (func (export "alloc")))', "it does not export memory and alloc"),
    ],
)
async def test_a_module_without_the_abi_is_refused(make: Made, text: str, said: str) -> None:
    answer = await make(text).call(request("/echo"))
    assert answer.code == 500 and said in answer.reason


async def test_a_file_that_is_no_module_is_a_reason(make: Made, tmp_path: Path) -> None:
    backend = make()
    (tmp_path / "shop.wasm").write_bytes(b"\0asm and then nothing")
    answer = await backend.call(request("/echo"))
    assert answer.code == 500 and "no WebAssembly module" in answer.reason


def test_a_file_that_is_not_there_is_refused_at_the_start(database: Database) -> None:
    with pytest.raises(Fault, match=r"there is no file nowhere\.wasm") as refused:
        Jobs(database, [Backend(name="shop", table="job", base_url="wasm:nowhere.wasm")], "one")
    assert refused.value.code is Code.INVALID


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"base_url": "wasm:shop.so"}, "no address of a backend"),
        ({"base_url": "wasm:shop.wasm", "memory_bytes_max": WASM_MEMORY_BYTES_MAX + 1}, "at most"),
        ({"base_url": "wasm:shop.wasm", "fuel": 0}, "fuel"),
    ],
)
def test_what_cannot_be_a_wasm_backend_is_refused(stated: dict[str, Any], said: str) -> None:
    import orjson

    with pytest.raises(Fault, match=said):
        backends_of(job_config=orjson.dumps([{"name": "shop", "table": "job", **stated}]).decode())
