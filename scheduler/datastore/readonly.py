"""Reading a store without changing anything of it, not even the time of a file.

It is read as it is when it is opened; a scheduler may have it open, but what that one compacts away meanwhile is gone
for the reader, too, and is said to be damaged then.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.scheduler.datastore.migrations import require_head
from sp00ky.scheduler.datastore.opening import holds_store, open_files, require_current
from sp00ky.scheduler.datastore.rocks import RocksDatastore

_CONFIG_FILE: Final = "rocksdict-config.json"  # rewritten at every opening


@contextmanager
def read_only(path: Path, wal_path: Path | None = None) -> Iterator[RocksDatastore]:
    """A store whose reads serve and whose writes are all refused. Raises Fault: NOT_FOUND, DATA_LOSS, INVALID."""
    if not holds_store(path):
        raise Fault(Code.NOT_FOUND, f"there is no replica in {path}")
    require_current(path)
    refusal = Fault(Code.FORBIDDEN, f"replica {path} is open for reading only", "write through the scheduler")
    with linked(path, wal_path or path) as view:
        files = open_files(view, view, read_only=True)
        try:
            require_head(files, f"replica {path}", auto=False)
            yield RocksDatastore(path, wal_path or path, files, lambda: time.monotonic_ns() // 1_000_000, refusal)
        finally:
            files.close()


@contextmanager
def linked(*directories: Path) -> Iterator[Path]:
    """A directory with the files of others by symbolic link: who opens a database writes beside its files, if only
    to say how it was opened."""
    with tempfile.TemporaryDirectory(prefix="spky-view-") as name:
        for directory in dict.fromkeys(directories):
            for file in directory.iterdir():
                if file.is_file() and file.name != _CONFIG_FILE:
                    (Path(name) / file.name).symlink_to(file.resolve())
        yield Path(name)
