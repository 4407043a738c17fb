"""Compile proto/v1/*.proto into the committed modules beside them; `--check` fails when they are stale.

protoc accepts a virtual import path (`-Isp00ky/proto=proto`), so the generated code already says
`from sp00ky.proto.v1 import …` and needs no patching. Run from the repository's root:
`python proto/generate.py [--check]`. Needs grpcio-tools (the `test` extra).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def compile_into(out: Path) -> Path:
    """Compile every .proto file below `out` and return the folder that holds the result."""
    from grpc_tools import protoc

    sources = sorted(str(path.relative_to(HERE.parent)) for path in (HERE / "v1").glob("*.proto"))
    arguments = [f"--{kind}={out}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    status = protoc.main(["protoc", f"-Isp00ky/proto={HERE}", *arguments, *(f"sp00ky/{name}" for name in sources)])
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")
    return out / "sp00ky" / "proto" / "v1"


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        fresh = compile_into(Path(folder))
        produced = {path.name: path.read_bytes() for pattern in GENERATED for path in fresh.glob(pattern)}
    target = HERE / "v1"
    committed = {path.name: path.read_bytes() for pattern in GENERATED for path in target.glob(pattern)}
    if "--check" in arguments:
        stale = sorted(name for name in produced.keys() | committed.keys() if produced.get(name) != committed.get(name))
        print("stale: " + ", ".join(stale) if stale else f"fresh: {len(produced)} files")
        return 1 if stale else 0
    for name in committed.keys() - produced.keys():
        (target / name).unlink()
    for name, content in produced.items():
        (target / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
