import dataclasses

from tests.report.test_html import Page
from tests.sample import EVALUATION, manifest
from tests.structure import DISTILLED, report

from prensa.report import charts
from prensa.report.html import render
from prensa.report.structure import structure_table, structures


def shrunk(**more):
    return {"int8": dataclasses.replace(manifest(), shrink=report(**more))}


def test_the_page_shows_what_became_of_each_layer():
    page = render(EVALUATION, shrunk(distilled=DISTILLED, texts="<i>train</i>.csv"))
    parsed = Page(page)
    assert parsed.open == []
    assert ("href", "#structure") in parsed.attributes
    assert ("id", "structure") in parsed.attributes
    for words in ("3,072 → 1,000", "gone", "3.0 %", "2.04 times as fast", "1,234 steps in 10.0 minutes"):
        assert words in page
    assert "&lt;i&gt;train&lt;/i&gt;.csv" in page
    assert "<i>" not in page
    assert page.count("<svg") == 7  # one more than without


def test_a_result_that_was_not_shrunk_has_no_such_section():
    assert structures(EVALUATION, {"int8": manifest()}) == []
    assert structures(EVALUATION, {}) == []
    page = render(EVALUATION, {"int8": manifest()})
    assert "#structure" not in page
    assert "Structure" not in page


def test_rows_are_the_layers_of_the_original():
    table = structure_table("int8", report())
    assert table.columns == ("", "heads", "feed-forward", "expected change")
    assert table.rows == (
        ("layer 0", "12 → 7", "3,072 → 1,000", "3.0 %"),
        ("layer 1", "gone", "gone", "5.0 %"),
        ("layer 2", "12", "3,072", "–"),
        ("layer 3", "12 → 1", "3,072 → 96", "7.0 %"),
    )


def test_layers_alone_make_a_table_without_a_chart():
    [structure] = structures(EVALUATION, shrunk(parts=()))
    assert structure.charts == ()
    assert [row[1] for row in structure.table.rows] == ["stays", "gone", "stays", "stays"]
    assert 'id="structure"' in render(EVALUATION, shrunk(parts=()))


def test_bars_are_shares_of_what_there_was(monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "_draw", lambda spec, values: drawn.append(values) or "")
    chart = charts.structure_chart("int8", report())
    assert "3 of 4 layers stay" in chart.description
    left = {(value["layer"], value["kind"]): value["left"] for value in drawn[0]}
    assert left["0", "heads"] == round(7 / 12, 4)
    assert left["1", "feed-forward"] == 0
    assert left["2", "feed-forward"] == 1
    assert left["3", "feed-forward"] == round(96 / 3072, 4)


def test_what_went_is_no_header(monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "_draw", lambda spec, values: drawn.append(values) or "")
    charts.size_chart(EVALUATION, shrunk())
    kinds = {(value["model"], value["kind"]) for value in drawn[0]}
    assert ("before pressing", "taken away") in kinds
    assert ("before pressing", "headers") not in kinds
    assert ("int8", "headers") in kinds
