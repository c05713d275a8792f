import dataclasses

from tests.report.test_html import Page
from tests.sample import EVALUATION, manifest

from prensa.checkpoint.manifest import HealReport
from prensa.report.html import render

HEALED = HealReport(
    source="<b>train</b>.csv",
    texts=1_234,
    numbers=5_678,
    steps=90,
    seconds=240.0,
    loss_before=0.0355,
    loss_after=0.0209,
    best_step=80,
    nbytes_before=3_000,
)


def test_the_page_says_what_healing_did():
    page = render(EVALUATION, {"int8": dataclasses.replace(manifest(), heal=HEALED)})
    parsed = Page(page)
    assert parsed.open == []
    assert ("href", "#healing") in parsed.attributes
    assert ("id", "healing") in parsed.attributes
    assert "5,678 scales" in page
    assert "0.0355 → 0.0209" in page
    # Names of files are text, not markup.
    assert "&lt;b&gt;train&lt;/b&gt;.csv" in page


def test_a_result_that_was_not_healed_has_no_such_section():
    assert "healing" not in render(EVALUATION, {"int8": manifest()})
