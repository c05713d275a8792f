import re
from pathlib import Path

import pytest
from benchmarks.table import BLOCKS, DOCUMENTS, updated

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_numbers_are_those_of_the_results(name):
    """`python -m benchmarks.table` mends this."""
    assert (ROOT / name).read_text(encoding="utf-8") == updated(ROOT / name)


def test_each_block_of_numbers_is_in_a_document():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS]
    for block in BLOCKS:
        assert any(f"<!-- {block} -->" in text for text in texts), block


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target, section in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        page = (ROOT / name).parent / target if target else ROOT / name
        assert page.exists(), target
        if section:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            assert section in [_anchor(heading) for heading in headings], f"{target}#{section}"


def _anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["README.md", "README.es.md"])
def test_two_commands_do_all_set_up(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"$ make {target}" in text
        assert f"\n{target}:" in makefile


def test_the_first_page_is_short():
    text = re.sub(r"<!--.*?-->", "", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= 500
