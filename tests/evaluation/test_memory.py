import sys

import pytest
import transformers
from tests.seq2seq import bart

from prensa.errors import ModelError
from prensa.evaluation.memory import Job, high_water_mark, memory_of

ROW = {"input_ids": [2, 5, 6, 3], "attention_mask": [1] * 4}


def test_a_process_of_its_own_measures_and_imports_no_files_where_the_user_stands(
    pressed, tmp_path, monkeypatch
):
    (tmp_path / "argparse.py").write_text("raise SystemExit('not ours')")
    (tmp_path / "torch.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *sys.path])
    found = memory_of(Job(str(pressed), "float32", "cpu", ROW, 4, 0))
    assert len(found.load_seconds) == 3
    assert all(seconds > 0 for seconds in found.load_seconds)
    assert 50e6 < found.before_bytes <= found.peak_bytes < 4e9
    assert found.accelerator_bytes is None


def test_what_goes_wrong_there_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="none: memory could not be measured") as failed:
        memory_of(Job(str(tmp_path / "none"), "float32", "cpu", ROW, 4, 0))
    assert "\n" not in str(failed.value)


def test_a_model_that_cannot_pad_is_told_how(tmp_path):
    config = transformers.GPT2Config(vocab_size=99, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    transformers.GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    assert memory_of(Job(str(tmp_path), "float32", "cpu", ROW, 3, 1)).peak_bytes


def test_a_model_that_writes(tmp_path):
    assert memory_of(Job(str(bart(tmp_path)), "float32", "cpu", ROW, 2, 0)).peak_bytes


def test_the_mark_only_rises():
    before = high_water_mark()
    block = bytearray(64 << 20)
    assert high_water_mark() >= before
    assert block
