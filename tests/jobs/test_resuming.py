"""A compression that is stopped while it distils, and what the next one makes of what it left."""

import pytest
from tests.conftest import leftovers
from tests.jobs.test_shrinking import INT8, clock, made  # noqa: F401  fixtures

import prensa
from prensa.errors import FormatError, PrensaError
from prensa.jobs import shrinking
from prensa.shrink import begun

pytest.importorskip("accelerate")

LEARNT = {"faster": 1.3, "distill": 1, **INT8}


@pytest.fixture
def many_lines(tmp_path):
    """Enough different texts to learn from."""
    rows = [f"{'abcdefghij'[n % 10]} {'klmnopq'[n % 7] * 3} {n},LABEL_{n % 2}" for n in range(300)]
    path = tmp_path / "lines.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def stopped(made, many_lines, tmp_path, monkeypatch):  # noqa: F811
    """Have a compression stopped at its first step; return the texts."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shrinking, "learn", stop)
        prensa.compress(made, tmp_path / "out", texts=many_lines, **LEARNT)
    return many_lines


def test_a_stopped_one_goes_on_with_the_same_structure(made, stopped, tmp_path, monkeypatch):  # noqa: F811
    assert [path.name for path in leftovers(tmp_path)] == [".out.prensa-distill"]

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(shrinking, "prepare", never)
    result = prensa.compress(made, tmp_path / "out", texts=stopped, **LEARNT)
    assert result.held
    report = result.manifest.shrink
    assert report.wanted == 1.3
    assert report.distilled.texts > 200
    small = prensa.load(tmp_path / "out")
    assert small.config.num_hidden_layers == len(report.layers)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("change", [{"faster": 1.5}, {"distill": 2}, {"preset": "half"}])
def test_another_recipe_is_refused_and_nothing_is_lost(made, stopped, tmp_path, change):  # noqa: F811
    left = leftovers(tmp_path)
    with pytest.raises(FormatError, match=r"a stopped distillation of another model or recipe, .* remove it"):
        prensa.compress(made, tmp_path / "out", texts=stopped, **{**LEARNT, **change})
    assert leftovers(tmp_path) == left
    assert not (tmp_path / "out").exists()


def test_other_texts_are_refused(made, stopped, tmp_path):  # noqa: F811
    stopped.write_text(stopped.read_text() + "one more,LABEL_0\n")
    with pytest.raises(FormatError, match="with other texts"):
        prensa.compress(made, tmp_path / "out", texts=stopped, **LEARNT)


def test_a_damaged_one_is_refused(made, stopped, tmp_path):  # noqa: F811
    [record] = tmp_path.glob(".out.prensa-distill/*/shrunk.json")
    record.write_text(record.read_text()[:100])
    with pytest.raises(FormatError, match=r"shrunk\.json: damaged .* to shrink anew"):
        prensa.compress(made, tmp_path / "out", texts=stopped, **LEARNT)


def test_a_half_written_one_is_made_anew(made, stopped, tmp_path):  # noqa: F811
    [record] = tmp_path.glob(".out.prensa-distill/*/shrunk.json")
    record.unlink()
    result = prensa.compress(made, tmp_path / "out", texts=stopped, **LEARNT)
    assert result.held
    assert not leftovers(tmp_path)


def test_an_error_leaves_nothing(made, many_lines, tmp_path, monkeypatch):  # noqa: F811
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(begun, "write_shrunk", full)
    with pytest.raises((PrensaError, OSError)):
        prensa.compress(made, tmp_path / "out", texts=many_lines, **LEARNT)
    assert not leftovers(tmp_path)
    assert not (tmp_path / "out").exists()
