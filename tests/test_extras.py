import importlib.util
import re
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
