"""Settings of the embedded SurrealDB server (`spky serve db`)."""

from __future__ import annotations

from pathlib import Path

from sp00ky.proto.settings import ProcessSettings, setting


class DbSettings(ProcessSettings):
    """`path` left empty lies under `data_dir`; the word `mem` keeps everything in memory."""

    listen_addr: str = setting(
        "127.0.0.1:8000", env="SPKY_DB_LISTEN_ADDR", unit="host:port", about="WebSocket and HTTP API of SurrealDB"
    )
    path: str = setting("", env="SPKY_DB_PATH", unit="path", about="directory of the data; mem keeps it in memory")
    db_user: str = setting(
        "root", env="SPKY_DB_USER", aliases=("SURREALDB_USER",), yaml="db.username", about="root user"
    )
    db_pass: str = setting(
        "root",
        env="SPKY_DB_PASS",
        aliases=("SURREALDB_PASS",),
        yaml="db.password",
        secret=True,
        about="password of the root user",
    )
    data_dir: Path = setting(Path("data"), env="SPKY_DATA_DIR", unit="path", about="directory that holds db/")

    def secret(self) -> str:
        """The root password, empty if it is the one everybody knows."""
        return "" if self.db_pass == "root" else self.db_pass

    def directory(self) -> Path | None:
        """Where the data lie; None for memory."""
        if self.path == "mem":
            return None
        return Path(self.path) if self.path else self.data_dir / "db"
