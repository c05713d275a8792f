"""What is traced: the inputs that a model reads, and nothing on the terminal."""

import sys
import threading

import pytest
import torch
import transformers
from tests.conftest import SIZES

from prensa.errors import ModelError
from prensa.serving.program import input_names, quiet, trace

ROW = {"input_ids": [2, 7, 8, 3], "token_type_ids": [0, 0, 1, 1], "attention_mask": [1, 1, 1, 1]}
SMALL = {"vocab_size": 40, **SIZES}


def distilbert():
    config = transformers.DistilBertConfig(vocab_size=40, dim=32, n_layers=1, n_heads=2, hidden_dim=32)
    return transformers.DistilBertForSequenceClassification(config).eval()


def bert(**settings):
    return transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL, **settings)).eval()


def test_only_what_the_class_reads_goes_in():
    assert input_names(distilbert(), ROW) == ("input_ids", "attention_mask")
    assert input_names(bert(), ROW) == tuple(ROW)


def test_a_model_of_few_positions():
    """Shorter than the texts that a model is usually traced with."""
    program = trace(bert(max_position_embeddings=5), ROW, 5)
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    logits = program.graph.module()(ids, torch.zeros_like(ids), torch.ones_like(ids))[0]
    assert logits.shape == (1, 2)


def test_an_input_that_is_not_read_does_not_go_in():
    """RWKV takes a mask and ignores it; runtimes would drop it and know no such name."""

    class Maskless(transformers.BertForSequenceClassification):
        def forward(self, input_ids=None, attention_mask=None):
            return super().forward(input_ids)

    torch.manual_seed(0)
    model = Maskless(transformers.BertConfig(**SMALL)).eval()
    assert trace(model, ROW, 16).inputs == ("input_ids",)


def test_what_pytorch_dumps_is_one_line(capfd):
    """Of a graph that depends on numbers PyTorch prints hundreds of lines."""

    class Data(transformers.BertForSequenceClassification):
        def forward(self, input_ids=None, attention_mask=None):
            sys.stderr.write("a remark")
            if int(input_ids.sum()) // 3 == 8:
                return super().forward(input_ids)
            return super().forward(input_ids, attention_mask)

    with pytest.raises(ModelError, match="Data cannot be exported") as raised:
        trace(Data(transformers.BertConfig(**SMALL)).eval(), ROW, 16)
    assert len(str(raised.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


def test_other_threads_still_write_and_streams_come_back(capsys):
    before = (sys.stdout, sys.stderr)
    with quiet(), quiet():
        sys.stdout.write("nothing")
        sys.stderr.write("nothing")
        other = threading.Thread(target=lambda: sys.stderr.write("progress"))
        other.start()
        other.join()
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("", "progress")
