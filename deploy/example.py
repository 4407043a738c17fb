"""`env.example`, printed from the settings models: `python -m sp00ky.deploy.example > deploy/env.example`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from sp00ky.deploy.environment import MODELS
from sp00ky.proto.settings import Settings, fields_of

HEAD = """\
# Every setting with its default. Uncomment what differs. Precedence: flag > environment > sp00ky.yml > default.
# Printed by: python -m sp00ky.deploy.example
"""


def env_example() -> str:
    return HEAD + "".join(f"\n# --- {service} ---\n" + "".join(entries(model)) for service, model in MODELS.items())


def entries(model: type[Settings]) -> Iterator[str]:
    """What a service reads: the description, then the name with its default, commented out."""
    for field, names in fields_of(model).items():
        info = model.model_fields[field]
        notes = [names.unit, f"sp00ky.yml: {names.yaml[0]}" if names.yaml else ""]
        notes += [
            f"older: {', '.join(names.aliases)}" if names.aliases else "",
            "no effect yet" if _waits(names) else "",
        ]
        said = "; ".join(filter(None, notes))
        default = f"<{field.removesuffix('_id')}-uuid>" if info.default_factory else default_text(info.default)
        yield f"# {info.description}" + (f" ({said})" if said else "") + f"\n#{names.env}={default}\n"


def _waits(names: Any) -> bool:
    return bool(names.later) and not names.works


def default_text(value: object) -> str:
    """As the environment would state it."""
    match value:
        case None | ():
            return ""
        case bool():
            return "1" if value else "0"
        case _:
            return str(value)


if __name__ == "__main__":
    sys.stdout.write(env_example())
