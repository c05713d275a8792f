import re
from pathlib import Path

import pytest
from benchmarks.table import WORDS, updated

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", WORDS)
def test_the_numbers_are_those_of_the_results(name):
    """`python -m benchmarks.table` mends this."""
    assert (ROOT / name).read_text(encoding="utf-8") == updated(ROOT / name)


@pytest.mark.parametrize(
    "name", ["README.md", "README.es.md", "CONTRIBUTING.md", "docs/guide.md", "docs/format.md"]
)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / name).parent / target).exists(), target
