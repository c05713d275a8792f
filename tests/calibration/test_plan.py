import pytest
import torch

from prensa.calibration import plan as planning
from prensa.calibration.plan import plan_calibration
from prensa.errors import DataError, DeviceError, TokenizerError
from prensa.texts.columns import BUILT_IN
from prensa.texts.library import Library
from prensa.texts.source import Source


def plan(model, texts, count=None, **settings):
    return plan_calibration(model, Source(texts, limit=count), library=Library(), **settings)


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.csv"
    rows = [f"{'ab ' * (1 + number % 9)},{number % 2}" for number in range(60)]
    path.write_text("\n".join(["comment,label", *rows]) + "\n")
    return path


def test_all_texts_count_pieces_and_some_go_through_the_model(original, texts):
    found = plan(original, texts, 20)
    assert (len(found.encoded.rows), found.counted, found.source) == (20, 60, "texts.csv")
    assert found.kind == "classes"
    a, cls = 5 + ord("a") - 33, 2
    assert int(found.counts[a]) == sum(1 + number % 9 for number in range(60))
    assert int(found.counts[cls]) == 60
    assert sorted(index for batch in found.batches for index in batch) == list(range(20))


def test_batches_hold_texts_of_like_length(original, texts):
    found = plan(original, texts)
    lengths = found.encoded.lengths
    ordered = [lengths[index] for batch in found.batches for index in batch]
    assert ordered == sorted(ordered, reverse=True)
    assert all(len(batch) * max(lengths[i] for i in batch) <= 1024 for batch in found.batches)


def test_the_same_texts_are_taken_every_time(original, texts):
    first, second = (plan(original, texts, 20) for _ in range(2))
    assert first.encoded.rows == second.encoded.rows


def test_built_in_texts(original):
    found = plan(original, None)
    assert found.source == BUILT_IN
    assert len(found.encoded.rows) == planning.TEXTS


def test_memory_is_the_model_and_its_moments(original, texts):
    weights = 200 * 48 + 16 * 48 + 2 * (4 * 48**2 + 2 * 48 * 96) + 48**2
    moments = 2 * (5 * 48**2 + 96**2) + 4 * 48**2
    assert plan(original, texts).memory == pytest.approx(4 * (weights + moments), rel=0.1)


def test_too_little_memory_is_said_before_anything_is_read(original, texts, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 10)
    with pytest.raises(
        DeviceError, match=r"takes \d\.\d+ MB of main memory, and there are 0\.\d+ MB.*`preset=int8`"
    ):
        plan(original, texts)


def test_too_few_texts(original, tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match="few.txt: 2 texts are too few"):
        plan(original, tmp_path / "few.txt")
    (tmp_path / "none.txt").write_text("")
    with pytest.raises(DataError, match="empty"):
        plan(original, tmp_path / "none.txt")


def test_no_tokenizer(model, texts):
    with pytest.raises(TokenizerError, match="tokenizer"):
        plan(model, texts)


def test_a_model_that_is_too_large_for_its_gpu_goes_there_block_by_block(original, texts, monkeypatch):
    monkeypatch.setattr(planning, "choose_device", lambda wanted: wanted)
    for free, by_blocks in ((1 << 30, False), (1 << 10, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 1 << 30))
        assert plan(original, texts, device="cuda:0").by_blocks is by_blocks
