"""Imports point one way: a package may import those above it in this list, and itself."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "prensa"
ORDER = [
    *("version", "errors", "amounts", "extras", "arithmetic", "sharing", "isolation", "wording", "progress"),
    *("files", "ops", "codecs", "passes"),
    *("checkpoint", "cluster", "texts", "vocabulary", "integrations"),
    *("runtime", "formats", "calibration", "distilling", "shrink", "healing", "pressing", "modules"),
    *("serving", "predicting", "evaluation", "search", "report"),
    *("server", "jobs", "api", "example", "cli", "classic"),
]


def layer(module):
    return ORDER.index(module.split(".")[1])


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "prensa":
            yield from (f"prensa.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prensa."):
            yield node.module


def test_imports_point_one_way():
    wrong = []
    for path in SOURCE.rglob("*.py"):
        module = ".".join(("prensa", *path.relative_to(SOURCE).with_suffix("").parts))
        if module == "prensa.__init__":
            continue
        wrong += [f"{module} imports {other}" for other in imports(path) if layer(other) > layer(module)]
    assert not wrong
