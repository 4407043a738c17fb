"""I11: the product runs no text, loads no object, starts no shell, guesses no file name; what looks inside is admin's.

The dependencies' own reports (pip-audit) need a list that is fetched, so they are no part of a test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sp00ky.gateway.endpoint import ADMINS
from sp00ky.gateway.endpoints import ENDPOINTS

from tests.tidy.tree import PACKAGES, imports, parsed, relative, sources

FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "shelve",
    "marshal",
    "jsonpickle",
    "telnetlib",
    "ftplib",
    "xml",
    "imp",
}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "yaml.load", "yaml.load_all",
    "yaml.full_load", "yaml.unsafe_load", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "create_subprocess_shell", "random.seed", "hashlib.md5", "hashlib.sha1",
    "ssl._create_unverified_context",
}  # fmt: skip
INSIDE = ("/debug", "/admin", "/dead-letters", "/backup", "/reset")
# The only way past: a line here, with the reason.
ALLOWED = {
    "ssp/circuit/predicate.py": "a shape becomes code of ours: constants are names in it, no text of a query is",
}


def dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FORBIDDEN_CALLS:
                yield node.lineno, name
            for keyword in node.keywords:
                said = f"{keyword.arg}={ast.unparse(keyword.value)}"
                if said in ("shell=True", "verify=False", "verify_ssl=False", "ssl=False"):
                    yield node.lineno, said
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            yield node.lineno, "an assertion that always holds"


def test_i11_what_is_forbidden_is_found() -> None:
    found = dangers(ast.parse("eval('1'); run(x, shell=True); yaml.load(f); re.compile('x'); tempfile.mktemp()"))
    assert sorted(name for _, name in found) == ["eval", "shell=True", "tempfile.mktemp", "yaml.load"]


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=relative)
def test_i11_nothing_runs_text_or_loads_objects(path: Path) -> None:
    for module, line in imports(path):
        assert module.split(".")[0] not in FORBIDDEN_MODULES, f"{relative(path)}:{line} imports {module}"
    found = [f"{relative(path)}:{line} {name}" for line, name in dangers(parsed(path))]
    assert bool(found) == (relative(path) in ALLOWED), found or f"{relative(path)} needs no exception any more"


def test_i11_what_looks_inside_is_admins_alone() -> None:
    inside = [
        row for row in ENDPOINTS if row.path.startswith(("/debug", "/admin", "/dead-letters", "/backup", "/reset"))
    ]
    assert len(inside) >= 10
    for row in inside:
        assert row.roles == ADMINS and not row.open_on and not row.bearer_in_address, row.name
