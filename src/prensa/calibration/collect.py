"""Run texts through a model, forwards and backwards, and keep the second moments that passes need.

Every matrix is met where it is used: a linear layer's inputs and the gradients of its outputs, an embedding's
rows and the gradients of what was looked up. A matrix that is used in another way (DeBERTa's relative
positions) is known by its own gradient. Padding does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prensa.calibration.blocks import by_blocks, move_all_but_blocks
from prensa.calibration.joining import Outputs, statistics_of
from prensa.calibration.objective import objective
from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.running import (
    check_table,
    explained,
    finite_outputs,
    other_inputs,
    outputs_seen,
    padded,
    take_own_gradients,
    want_own_gradients,
)
from prensa.calibration.spread import Spread
from prensa.calibration.streamed import collect_streamed
from prensa.calibration.watch import Watch, watch_layers
from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.task import Kind
from prensa.errors import OutputError, PrensaError
from prensa.files.temporary import is_full, which_is_full
from prensa.isolation import building
from prensa.ops.statistics import Statistics
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.runtime.torch import load_on


@contextmanager
def collected(plan: CalibrationPlan, output: Path, progress: Progress = silent) -> Iterator[Statistics]:
    """Carry out a plan, and have its statistics while the context lasts.

    Those of a model that is larger than memory lie in a hidden directory beside ``output``, which is removed
    in the end. Raises what :func:`collect` raises, and :class:`~prensa.errors.OutputError` for a full disk.
    """
    if plan.streaming is None:
        yield collect(plan, progress)
        return
    with hidden_beside(output) as place:
        try:
            statistics = collect_streamed(plan, place, progress)
        except OSError as error:
            if is_full(error):
                raise OutputError(which_is_full(error, output)) from error
            raise OutputError(f"{output}: cannot be written beside ({error})") from error
        yield statistics


def collect(plan: CalibrationPlan, progress: Progress = silent) -> Statistics:
    """Carry out a plan with the whole model in memory.

    Raises :class:`~prensa.errors.ModelError` for a model that gives no finite numbers or reads more than
    texts, :class:`~prensa.errors.DeviceError` for too little memory, and
    :class:`~prensa.errors.TokenizerError` for ids that the model has no row for.
    """
    home = plan.device
    visited = None
    # A model that is too large for its device stays in main memory, and its blocks visit.
    if plan.by_blocks:
        home, visited = "cpu", plan.device
    model = load_on(plan.path, torch.float32, home, plan.padding)
    check_table(model, plan)
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
    watch = Watch(home)
    handles = watch_layers(model, watch)
    try:
        if plan.by_blocks:
            move_all_but_blocks(model, plan.device)
        with by_blocks(model, visited):
            outputs = _run(model, watch, plan, progress)
    except PrensaError:
        raise
    except Exception as error:
        raise explained(error, model, plan) from error
    finally:
        for handle in handles:
            handle.remove()
    return statistics_of(model, watch, plan, outputs)


def _run(model: PreTrainedModel, watch: Watch, plan: CalibrationPlan, progress: Progress) -> Outputs:
    """Send all batches through, forwards and backwards, and measure the outputs."""
    # Which signs are drawn must not depend on what was drawn before: same input, same bytes.
    generator = torch.Generator().manual_seed(0)
    pool = read_text_vector(plan.path, plan.kind)
    spread = Spread()
    unmet: list[nn.Parameter] = []
    texts, tokens = len(plan.encoded.rows), sum(plan.encoded.lengths)
    done = 0
    for number, indices in enumerate(plan.batches):
        batch = padded(plan, indices, plan.device)
        watch.mask = batch["attention_mask"].bool()
        if number == 0:
            unmet = _not_met(model, watch, batch, plan.kind)
        # Some models compute with the default dtype, which loading another one changes.
        with building(), torch.enable_grad():
            output = model(**batch, **other_inputs(model, batch, plan.kind))
            outputs = finite_outputs(output, batch, plan, pool)
            # The hooks see all gradients on the way back.
            objective(outputs, plan.kind, generator).backward()  # type: ignore[no-untyped-call]
        take_own_gradients(watch, unmet)
        spread.add(outputs)
        done += plan.tokens_of(indices)
        progress(f"reading {texts:,} texts", done, tokens)
    return outputs_seen(spread, plan)


@torch.no_grad()
def _not_met(
    model: PreTrainedModel, watch: Watch, batch: Mapping[str, Tensor], kind: Kind | None
) -> list[nn.Parameter]:
    """Find the matrices that no hook meets, and have them get gradients."""
    # Without gradients, hooks only say which matrices are there.
    model(**batch, **other_inputs(model, batch, kind))
    met = list(watch.sums)
    watch.sums.clear()
    return want_own_gradients(model, met)
