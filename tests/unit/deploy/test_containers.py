"""The container files, checked by form: no container engine is at hand. That their commands run is
tests/unit/deploy/test_compose_processes.py."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from sp00ky.deploy.cli import app
from sp00ky.deploy.environment import CLIENT_NAMES, MODELS
from sp00ky.deploy.example import env_example
from sp00ky.proto.settings import environment_names, load
from typer.testing import CliRunner

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
FILES = {
    "compose.yaml": {"surrealdb", "ssp"},
    "compose.distributed.yaml": {"surrealdb", "scheduler", "ssp-1", "ssp-2", "gateway"},
}
PORTS = {"scheduler": {"9667", "9668"}, "ssp": {"8667", "8668"}, "gateway": {"7667"}}


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / name).read_text())["services"]
    return found


def ours() -> list[Any]:
    return [
        pytest.param(name, service, id=f"{name}:{service}")
        for name, wanted in FILES.items()
        for service in sorted(wanted - {"surrealdb"})
    ]


def test_env_example_is_what_the_models_print() -> None:
    assert (DEPLOY / "env.example").read_text() == env_example(), "python -m sp00ky.deploy.example > deploy/env.example"


def test_env_example_names_every_setting() -> None:
    text = env_example()
    named = set(re.findall(r"^#([A-Z_]+)=", text, flags=re.M))
    older = set(re.findall(r"\b[A-Z][A-Z_]+\b", " ".join(re.findall(r"older: ([^;)]*)", text))))
    assert named | older == environment_names(MODELS.values())


@pytest.mark.parametrize("name", FILES)
def test_the_services_are_those_of_the_deployment_page(name: str) -> None:
    found = services(name)
    assert set(found) == FILES[name]
    for service, facts in found.items():
        assert {"image", "command", "healthcheck", "stop_grace_period", "restart"} <= set(facts), service
        assert {"test", "interval", "timeout", "retries"} <= set(facts["healthcheck"]), service
        assert int(facts["stop_grace_period"].removesuffix("s")) > 10, "a drain may take 10 s"
        for other, needs in facts.get("depends_on", {}).items():
            assert needs == {"condition": "service_healthy"}
            assert "healthcheck" in found[other]


@pytest.mark.parametrize("name", FILES)
def test_volumes_are_declared_and_used(name: str) -> None:
    declared = set(yaml.safe_load((DEPLOY / name).read_text())["volumes"])
    mounted = {volume.split(":")[0] for facts in services(name).values() for volume in facts.get("volumes", [])}
    assert mounted == declared


@pytest.mark.parametrize(("name", "service"), ours())
def test_a_service_states_known_settings_of_an_existing_command(name: str, service: str) -> None:
    facts = services(name)[service]
    words = shlex.split(facts["command"])
    assert words[0] == "serve"
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    model = MODELS[words[1]]
    env = {key: default_of(value) for key, value in facts["environment"].items() if key not in CLIENT_NAMES}
    loaded = load(model, env=env, others=[other for other in MODELS.values() if other is not model])
    assert loaded.warnings == ()
    assert set(env) <= environment_names([model]), "states what its process does not read"


@pytest.mark.parametrize(("name", "service"), ours())
def test_ports_agree_with_what_is_listened_on_and_exposed(name: str, service: str) -> None:
    facts = services(name)[service]
    kind = facts["command"].split()[1]
    listening = {value.rpartition(":")[2] for key, value in facts["environment"].items() if key.endswith("LISTEN_ADDR")}
    grpc = {value.rpartition(":")[2] for key, value in facts["environment"].items() if key.endswith("GRPC_ADDR")}
    assert listening | grpc == PORTS[kind]
    for mapping in facts.get("ports", []):
        host, published, inside = mapping.split(":")
        assert host == "127.0.0.1"
        assert published == inside
        assert inside in listening
    assert facts["environment"]["SPKY_URL"].rpartition(":")[2] in listening
    exposed = re.search(r"^EXPOSE (.*)$", (DEPLOY / "Dockerfile").read_text(), flags=re.M)
    assert exposed
    assert listening | grpc <= set(exposed[1].split())


def test_the_image_runs_the_command_as_nobody_special() -> None:
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    last = lines[max(index for index, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert 'ENTRYPOINT ["spky"]' in last
    assert last.index("USER spky") < last.index('ENTRYPOINT ["spky"]')
    assert any(line.startswith("HEALTHCHECK ") and '["spky", "status", "--json"]' in line for line in last)
    assert sum(line.startswith("FROM ") for line in lines) == 2


def default_of(value: object) -> str:
    """`${NAME:-default}` → default; `${NAME:?why}` → a value that somebody has to give."""
    text = str(value)
    return re.sub(r"\$\{\w+:([-?])([^}]*)\}", lambda found: found[2] if found[1] == "-" else "given", text)
