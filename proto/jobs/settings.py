"""What a process reads about jobs: the same three places in an SSP, which runs them, and in a scheduler, which shows
them to operators and asks how their backends are."""

from __future__ import annotations

from typing import Any

from sp00ky.proto.jobs.backend import Backend, backends_of
from sp00ky.proto.settings import SourceSettings, setting


class JobSettings(SourceSettings):
    job_config: str = setting(
        "",
        env="SPKY_JOB_CONFIG",
        unit="json",
        secret=True,
        about="outbox tables and the backends that run their jobs",
    )
    backends: str = setting(
        "",
        env="SPKY_SCHEDULER_BACKENDS",
        aliases=("SPKY_BACKENDS",),
        unit="json",
        secret=True,
        about="backends whose health is asked for, and that run jobs where they state a table",
    )
    apps: Any = setting(
        None,
        env="SPKY_APPS",
        yaml="apps",
        unit="json",
        secret=True,
        about="applications; those of type backend with method.type outbox run the jobs of their table",
    )

    def job_backends(self) -> tuple[Backend, ...]:
        """Every backend of the three. Raises Fault INVALID."""
        return backends_of(self.job_config, self.backends, self.apps)
