from torch import nn
from torch.nn.utils import parametrize

from prensa.calibration.blocks import blocks_of


def test_parametrized_tensors_are_no_layers():
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    model = nn.Sequential(nn.LayerNorm(2), nn.ModuleDict({"encoder": nn.Sequential(nn.Identity())}))
    model.add_module("layers", layers)
    parametrize.register_parametrization(model[0], "weight", nn.Identity())
    assert blocks_of(model) == list(layers)
