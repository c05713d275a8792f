"""A module that an earlier version stored stays readable, value by value."""

import hashlib
from pathlib import Path

import torch
from torch import nn

import prensa

GOLDEN = Path(__file__).parent.parent / "golden" / "module"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(40, 16)
        self.layer = nn.Linear(16, 40)
        self.layer.weight = self.table.weight
        self.head = nn.Linear(40, 2)
        self.norm = nn.LayerNorm(2)
        self.register_buffer("count", torch.tensor(3))


def test_it_is_read():
    module = prensa.load_into(Small(), GOLDEN)
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    assert digest.hexdigest() == "eb10753e318da27750f2077e41d7d72a2fa2ad1eb9108204b73a4925fc6ffb11"
    assert module.layer.weight is module.table.weight
    assert int(module.count) == 7
