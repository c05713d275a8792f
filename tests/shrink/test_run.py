"""A smaller model shares weights with its original, and nothing that is done to it changes the original."""

import pytest
import torch
from tests.jobs.test_resuming import many_lines  # noqa: F401  a fixture
from tests.jobs.test_shrinking import made, seconds  # noqa: F401  a fixture and a clock that counts parameters

from prensa.shrink.learn import learn
from prensa.shrink.plan import plan_shrinking
from prensa.shrink.run import prepare, shrunk
from prensa.shrink.settings import Shrink
from prensa.texts.library import Library
from prensa.texts.source import Source

pytest.importorskip("accelerate")


def test_the_original_stays_as_it_is(made, many_lines):  # noqa: F811
    settings = Shrink(faster=1.3, distill=1.0)
    plan = plan_shrinking(made, settings, Source(many_lines), even=False, library=Library())
    prepared = prepare(plan, lambda models: seconds(None, models), "here")
    original = prepared.original
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}

    small = shrunk(prepared, settings.faster)
    of_original = {parameter.data_ptr() for parameter in original.parameters()}
    own = [parameter for parameter in small.model.parameters() if parameter.data_ptr() not in of_original]
    assert 0 < len(own) < len(list(small.model.parameters()))
    learnt = learn(small, original, plan, plan.distillation)
    assert learnt.report.distilled.steps > 0
    assert not of_original & {parameter.data_ptr() for parameter in learnt.model.parameters()}

    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, before[name]), name
