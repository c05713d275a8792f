import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
import sys
for module in sys.argv.pop(1).split(","):
    sys.modules[module] = None
from prensa.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compress", "MODEL", "-o", "OUT"], 0, "Written to"),
        (["compress", "MODEL", "-o", "OUT", "--preset", "small"], 0, "Calibrated on"),
        (["compress", "MODEL", "-o", "OUT", "--max-size", "50%"], 2, "a budget needs"),
        (["compress", "MODEL", "-o", "OUT", "--runtime", "onnx"], 2, "--runtime needs"),
        (["export", "MODEL", "-o", "OUT", "--to", "openvino"], 2, "exporting to openvino needs"),
        (["inspect", "MODEL"], 0, "weight files"),
    ],
)
def test_what_needs_no_extra_works_without_any(original, tmp_path, arguments, code, words):
    """In a process where none of their modules can be imported."""
    modules = ",".join(module for extra in EXTRAS.values() for module in extra)
    places = {"MODEL": str(original), "OUT": str(tmp_path / "out")}
    command = [sys.executable, "-c", WITHOUT_EXTRAS, modules, *(places.get(word, word) for word in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
