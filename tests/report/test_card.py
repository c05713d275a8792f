import dataclasses

from tests.sample import EVALUATION, MARKUP

import prensa
from prensa.report.card import card_text, write_cards


def test_verdict_tables_and_machine_but_no_text_of_the_user():
    text = card_text(EVALUATION, EVALUATION.results[0])
    assert text.startswith("int8 takes 18.97 MB, 20.9 % of the original's")
    assert "| accuracy | 92.00 % | 91.70 % | −0.30 (−0.80 to +0.10) |" in text
    assert "Measured on 2026-11-24 with Prensa 0.2.0: A processor with avx2 avx512\\_vnni, float32." in text
    for disagreement in EVALUATION.results[0].quality.disagreements:
        assert disagreement.text[:20] not in text
    assert MARKUP[:10] not in text


def test_labels_are_not_markup():
    text = card_text(EVALUATION, EVALUATION.results[0])
    assert "F1: &lt;b&gt;toxic&lt;/b&gt;" in text
    odd = dataclasses.replace(EVALUATION.results[0], name="a|b_*c*\n[d](e)")
    text = card_text(EVALUATION, odd)
    assert r"a\|b\_\*c\*" in text
    assert "a|b" not in text


def test_every_result_gets_its_own_numbers(model, tmp_path):
    results = []
    for name in ("one", "two"):
        prensa.compress(model, tmp_path / name)
        results.append(dataclasses.replace(EVALUATION.results[0], name=name, path=str(tmp_path / name)))
    stranger = dataclasses.replace(EVALUATION.results[0], name="stranger", path=str(model))
    assert write_cards(dataclasses.replace(EVALUATION, results=(*results, stranger))) == []
    for name, other in (("one", "two"), ("two", "one")):
        text = (tmp_path / name / "README.md").read_text()
        assert f"{name} takes 18.97 MB" in text
        assert f"| {other} |" not in text
    assert not (model / "README.md").exists()


def test_an_interrupted_evaluation_writes_no_card(model, tmp_path):
    prensa.compress(model, tmp_path / "out")
    result = dataclasses.replace(EVALUATION.results[0], path=str(tmp_path / "out"))
    write_cards(dataclasses.replace(EVALUATION, results=(result,), missing=("speed",)))
    assert "Not measured yet" in (tmp_path / "out" / "README.md").read_text()


def test_a_card_that_cannot_be_written_is_said(model, tmp_path, monkeypatch):
    prensa.compress(model, tmp_path / "out")
    before = (tmp_path / "out" / "README.md").read_text()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    result = dataclasses.replace(EVALUATION.results[0], path=str(tmp_path / "out"))
    [problem] = write_cards(dataclasses.replace(EVALUATION, results=(result,)))
    assert "README.md: the disk is full; nothing was changed" in problem
    assert (tmp_path / "out" / "README.md").read_text() == before
