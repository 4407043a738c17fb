"""What is installed is what is here: package list, generated code, root folder, and a wheel that works elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.tidy.tree import PACKAGES, ROOT

AT_THE_ROOT = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", *PACKAGES, "tests"}


def pyproject() -> dict[str, dict[str, dict[str, list[str]]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed() -> None:
    """An editable install finds an unlisted package; a wheel silently leaves it out."""
    found = {
        "sp00ky." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(pyproject()["tool"]["setuptools"]["packages"]) == found


def test_only_the_two_betas_are_pinned() -> None:
    pinned = [line for line in pyproject()["project"]["dependencies"] if "==" in line]
    assert sorted(pinned) == ["surrealdb-embedded==3.0.0b10", "surrealdb==3.0.0b10"]


def test_nothing_else_lies_at_the_root() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    roots = {name.split("/")[0] for name in listed}
    assert {name for name in roots if not name.startswith(".")} <= AT_THE_ROOT


def test_generated_code_is_fresh() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "proto" / "generate.py"), "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks, so that no leftover of this checkout gets in."""
    source = tmp_path_factory.mktemp("source")
    out = tmp_path_factory.mktemp("dist")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), str(source)],
        check=True, capture_output=True, timeout=110,
    )  # fmt: skip
    return next(out.glob("*.whl"))


def test_the_wheel_holds_only_our_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"sp00ky"}
    assert not [name for name in names if name.startswith("sp00ky/tests")]
    for needed in ("sp00ky/proto/v1/common.proto", "sp00ky/deploy/surreal/views.surql", "sp00ky/proto/py.typed"):
        assert needed in names
    assert [name for name in names if name.startswith("sp00ky/deploy/demo/") and name.endswith(".gz")]


def test_the_wheel_runs_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """Installed into an environment of its own, started from another folder; dependencies come from this one."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False, symlinks=True)
    site = next((home / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    ours = f"{ROOT}{os.sep}"
    dependencies = [path for path in sys.path if "site-packages" in path and not path.startswith(ours)]
    (site / "dependencies.pth").write_text("\n".join(dependencies))
    program = (
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()];"
        "import sp00ky.deploy.cli as cli, sp00ky.ssp.driver, sp00ky.scheduler.driver, sp00ky.gateway.server;"
        "print(cli.__file__); sys.argv = ['spky', 'version']; cli.main()"
    )
    ran = subprocess.run(
        [str(home / "bin" / "python"), "-P", "-c", program],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].startswith(str(site)), ran.stdout
    version = str(pyproject()["project"]["version"])
    assert version in ran.stdout
