"""What layers gave is given again, batch after batch, and nobody can change it."""

import torch
from tests.families import FAMILIES
from tests.shrink.test_cuts import encoded

from prensa.runtime.sharing import sharing_weights
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.quality import Yardstick
from prensa.shrink.recording import record


def test_layers_that_play_compute_nothing(tmp_path):
    family = FAMILIES["bert"]
    model = family.build()
    layers = anatomy_of(family.write_config(tmp_path)).layers
    yardstick = Yardstick.of(model, encoded(), "classes", lambda vectors, mask: vectors.mean(dim=1))
    recording = record(model, layers, yardstick)

    twin = sharing_weights(model)
    modules = list(twin.get_submodule(layers))
    recording.play(modules, 2)
    for parameter in modules[0].parameters():
        # Whoever computed with it would see.
        parameter.data = torch.full_like(parameter, float("nan"))
    modules[1].register_forward_hook(
        lambda _, __, output: (output[0] if isinstance(output, tuple) else output).zero_()
    )
    assert yardstick.change(twin) > 0

    again = sharing_weights(model)
    recording.play(list(again.get_submodule(layers)), 2)
    # What the hook has made of an answer is not in the recording.
    assert yardstick.change(again) < 1e-6
