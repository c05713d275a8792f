import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from prensa.errors import MissingPackageError
from prensa.extras import EXTRAS, require


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_what_is_missing_is_named_with_the_command_that_brings_it(extra, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError) as refused:
        require(extra, "something")
    message = str(refused.value)
    assert message.startswith("something needs ")
    assert all(package in message for package in EXTRAS[extra].values())
    assert message.endswith(f"pip install 'prensa[{extra}]'")


def test_only_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "scipy" else object())
    with pytest.raises(MissingPackageError, match="needs scipy, not installed here"):
        require("evaluate", "it")


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_the_extras_of_the_package_bring_them(extra):
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    listed = re.search(rf"^{extra} = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)[1]
    assert all(f'"{package}>=' in listed for package in EXTRAS[extra].values())


WITHOUT_EXTRAS = """
import contextlib, io, json, sys
sys.modules |= dict.fromkeys(json.loads(sys.argv[1]))  # what is None there is not found
from prensa.cli.main import main
results = []
for arguments in json.loads(sys.argv[2]):
    sys.argv = ["prensa", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
    results.append((code, said.getvalue()))
print(json.dumps(results))
"""

COMMANDS = {
    "compress": (["compress", "MODEL", "-o", "OUT"], 0, "Written to"),
    "calibrate": (["compress", "MODEL", "-o", "OUT", "--preset", "small"], 0, "Calibrated on"),
    "budget": (["compress", "MODEL", "-o", "OUT", "--max-size", "50%"], 2, "a budget needs"),
    "runtime": (["compress", "MODEL", "-o", "OUT", "--runtime", "onnx"], 2, "--runtime needs"),
    "export": (["export", "MODEL", "-o", "OUT", "--to", "openvino"], 2, "exporting to openvino needs"),
    "serve": (["serve", "MODEL"], 2, "serving over HTTP needs"),
    "inspect": (["inspect", "MODEL"], 0, "weight files"),
}


def beyond_the_requirements():
    """Name the modules of all packages here that Prensa alone would not bring: others may need them."""
    needed, waiting = set(), [Requirement("prensa")]
    while waiting:
        package = waiting.pop()
        name = canonicalize_name(package.name)
        if name in needed:
            continue
        needed.add(name)
        for line in importlib.metadata.requires(name) or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *package.extras)):
                waiting.append(requirement)
    return [
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if needed.isdisjoint(map(canonicalize_name, packages))
    ]


@pytest.fixture(scope="module")
def without_extras(tiny, tmp_path_factory):
    """Exit codes and words of all commands, in one process that finds what Prensa alone brings, and no more."""
    outputs = tmp_path_factory.mktemp("outputs")
    commands = []
    for name, (arguments, _, _) in COMMANDS.items():
        places = {"MODEL": str(tiny), "OUT": str(outputs / name)}
        commands.append([places.get(word, word) for word in arguments])
    hidden = json.dumps(beyond_the_requirements())
    command = [sys.executable, "-c", WITHOUT_EXTRAS, hidden, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(COMMANDS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_what_needs_no_extra_works_without_any(without_extras, name):
    _, code, words = COMMANDS[name]
    assert without_extras[name][0] == code, without_extras[name][1]
    assert words in without_extras[name][1]
