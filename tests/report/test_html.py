import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.sample import EVALUATION, MARKUP, manifest

from prensa.errors import MissingPackageError, OutputError
from prensa.evaluation.results import File
from prensa.evaluation.results_file import load_results
from prensa.report import charts
from prensa.report.html import check_report_place, command, load_manifests, render, write_page, write_report

GOLDEN = Path(__file__).parents[1] / "golden" / "report.html"


@pytest.fixture
def page():
    return render(EVALUATION, {"int8": manifest()})


def test_the_golden_page(monkeypatch):
    """Charts aside, whose drawing is their library's. To accept a change: write `page` to the file."""
    monkeypatch.setattr(charts, "_draw", lambda spec, values: "<svg></svg>")
    page = render(EVALUATION, {"int8": manifest()})
    assert page == GOLDEN.read_text(encoding="utf-8")


def test_it_is_a_pure_function(page):
    assert render(EVALUATION, {"int8": manifest()}) == page


class Page(HTMLParser):
    """Which tags and attributes there are, and that every tag is closed."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_tag_is_closed_and_names_are_unique(page):
    parsed = Page(page)
    assert parsed.open == []
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = [value[1:] for name, value in parsed.attributes if name == "href" and value.startswith("#")]
    assert set(targets) <= set(ids)


def test_text_of_users_is_text(page):
    parsed = Page(page)
    assert parsed.tags.count("script") == 1
    assert not {"img", "b", "i", "u"} & set(parsed.tags)
    assert MARKUP not in page
    assert "&lt;script&gt;document.title = &#39;owned&#39;&lt;/script&gt;" in page
    assert "F1: &lt;b&gt;toxic&lt;/b&gt;" in page


def test_nothing_is_loaded_from_elsewhere(page):
    parsed = Page(page)
    links = [value for name, value in parsed.attributes if name in {"src", "href", "xlink:href", "action"}]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in page
    assert not re.search(r"url\(\s*['\"]?(?!#)", page)


def test_the_verdict_comes_first(page):
    assert page.index("int8 takes 18.97 MB") < page.index("<h2")
    assert "Budget held, not for certain" in page


def test_everything_is_there(page):
    assert "prensa evaluate &#39;models/my deberta&#39; out/int8 --data comments.csv" in page
    for words in (
        "format = &#34;packed&#34;",
        "torch 2.13.0",
        "avx512_vnni",
        "model_optimized.pt",
        "half: &lt;u&gt;kept",
    ):
        assert words in page, words
    assert page.count("<svg") == 6  # size, bits, three lengths, reliability
    assert page.count('role="img"') == 6
    assert "14 of 14 tensors" in page


def test_without_manifests_or_measurements():
    page = render(EVALUATION, {})
    assert "int8: there is no manifest.json of these files" in page
    bare = dataclasses.replace(EVALUATION.results[0], timings=(), memory=None, quality=None, recipe="")
    original = dataclasses.replace(EVALUATION.original, timings=(), memory=None)
    page = render(dataclasses.replace(EVALUATION, original=original, results=(bare,)), {})
    assert "Speed was not measured." in page
    assert Page(page).open == []


def test_a_12_layer_model_weighs_less_than_2_mb():
    assert len(render(EVALUATION, {"int8": manifest(layers=12)}).encode()) < 2_000_000


def test_report_and_results_stand_side_by_side(tmp_path):
    write_report(EVALUATION, tmp_path / "page.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "results.json"]
    assert load_results(tmp_path) == EVALUATION
    before = (tmp_path / "page.html").read_text()
    write_page(load_results(tmp_path), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == before


def test_manifests_are_read_from_the_results(tmp_path):
    for name in ("good", "damaged"):
        (tmp_path / name).mkdir()
    manifest().save(tmp_path / "good")
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    (tmp_path / "pressed again").mkdir()
    manifest(layers=3).save(tmp_path / "pressed again")
    files = (File("model.safetensors", manifest().nbytes, "weights"),)
    results = [
        dataclasses.replace(EVALUATION.results[0], name=name, path=str(tmp_path / name), files=files)
        for name in ("good", "damaged", "gone", "pressed again")
    ]
    found = load_manifests(dataclasses.replace(EVALUATION, results=tuple(results)))
    assert found == {"good": manifest()}


def test_places_that_cannot_take_a_report(tmp_path, monkeypatch):
    check_report_place(tmp_path / "report.html")
    with pytest.raises(OutputError, match="is a directory"):
        check_report_place(tmp_path)
    with pytest.raises(OutputError, match="no such directory"):
        check_report_place(tmp_path / "none" / "report.html")
    with pytest.raises(OutputError, match="is the name of the results themselves"):
        check_report_place(tmp_path / "results.json")
    (tmp_path / "mine.csv").write_text("text,label")
    with pytest.raises(OutputError, match="is no report of Prensa's"):
        check_report_place(tmp_path / "mine.csv")
    (tmp_path / "mine.csv").write_text(GOLDEN.read_text(encoding="utf-8"))
    check_report_place(tmp_path / "mine.csv")
    (tmp_path / "mine.csv").unlink()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission to write"):
        check_report_place(tmp_path / "report.html")
    monkeypatch.undo()
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(OutputError, match="no evaluation wrote it"):
        check_report_place(tmp_path / "report.html")
    with pytest.raises(OutputError, match="no evaluation wrote it"):
        write_report(EVALUATION, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    (tmp_path / "results.json").unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputError, match="are needed"):
        check_report_place(tmp_path / "report.html")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingPackageError, match=r"a report needs .*jinja2.*pip install 'prensa\[evaluate\]'"
    ):
        write_page(EVALUATION, tmp_path / "report.html")


def test_the_command_measures_the_same_again():
    assert command(EVALUATION) == (
        "prensa evaluate 'models/my deberta' out/int8 --data comments.csv --batch-size 32 --max-drop 0.005"
    )
