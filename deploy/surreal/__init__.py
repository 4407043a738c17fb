"""What the mesh installs in SurrealDB, as SurrealQL files."""

from __future__ import annotations

from importlib.resources import files


def schema() -> str:
    """The system tables, idempotent."""
    return files(__name__).joinpath("schema.surql").read_text(encoding="utf-8")
