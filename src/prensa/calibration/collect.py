"""Run texts through a model, forwards and backwards, and keep the second moments that passes need.

Every matrix is met where it is used: a linear layer's inputs and the gradients of its outputs, an embedding's
rows and the gradients of what was looked up. A matrix that is used in another way (DeBERTa's relative
positions), be it beside look-ups, is known by its own gradient. Padding does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prensa.calibration.blocks import by_blocks, move_all_but_blocks
from prensa.calibration.joining import by_parameter, statistics_of
from prensa.calibration.objective import objective
from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.running import (
    check_table,
    explained,
    finite_outputs,
    other_inputs,
    outputs_seen,
    padded,
    want_own_gradients,
)
from prensa.calibration.slices import Seen
from prensa.calibration.spread import Spread
from prensa.calibration.streamed import collect_streamed
from prensa.calibration.watch import Watch, take_own_gradients, watch_layers
from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.kinds import Kind
from prensa.cluster.tasks import IN_TURN, Tasks
from prensa.errors import OutputError, PrensaError
from prensa.files.temporary import is_full
from prensa.ops.statistics import Statistics
from prensa.progress import Progress, silent
from prensa.runtime.release import release_memory
from prensa.runtime.text_vector import read_text_vector
from prensa.runtime.torch import load_on
from prensa.sharing import building


@contextmanager
def collected(
    plan: CalibrationPlan, output: Path, progress: Progress = silent, tasks: Tasks = IN_TURN
) -> Iterator[Statistics]:
    """Carry out a plan, and have its statistics while the context lasts.

    Those of a model that is larger than memory lie in a hidden directory beside ``output``, which is removed
    in the end. Raises what :func:`collect` raises, and :class:`~prensa.errors.OutputError` for a full disk.
    """
    if plan.streaming is None:
        yield collect(plan, progress, tasks)
        return
    with hidden_beside(output) as place:
        try:
            statistics = collect_streamed(plan, place, progress)
        except OSError as error:
            if is_full(error):
                raise
            raise OutputError(f"{output}: cannot be written beside ({error})") from error
        # What layers gave is gone; rounding needs other sizes.
        release_memory()
        yield statistics


def collect(plan: CalibrationPlan, progress: Progress = silent, tasks: Tasks = IN_TURN) -> Statistics:
    """Carry out a plan with the whole model in memory, each of its slices as one of the ``tasks``.

    Raises :class:`~prensa.errors.ModelError` for a model that gives no finite numbers or reads more than
    texts, :class:`~prensa.errors.DeviceError` for too little memory, and
    :class:`~prensa.errors.TokenizerError` for ids that the model has no row for.
    """
    statistics = _collect(plan, progress, tasks)
    # The model is gone; rounding needs other sizes.
    release_memory()
    return statistics


def _collect(plan: CalibrationPlan, progress: Progress, tasks: Tasks) -> Statistics:
    if plan.slices == 1 and tasks is IN_TURN:
        # The model that was run is the one whose sums are joined: it is loaded once.
        model = _loaded(plan)
        seen = _seen(model, plan, 0, progress)
    else:
        seen = Seen({}, Spread())
        for number, more in enumerate(tasks.map(see_slice, plan, range(plan.slices)), 1):
            seen = seen.plus(more)
            progress("reading slices of texts", number, plan.slices)
        model = _loaded(plan)
    watch = Watch(_home(plan))
    for names, weight in by_parameter(model):
        if names[0] in seen.sums:
            watch.sums[id(weight)] = seen.sums.pop(names[0])
    return statistics_of(model, watch, plan, outputs_seen(seen.spread, plan))


def see_slice(plan: CalibrationPlan, number: int) -> Seen:
    """Run one slice of the texts. Raises what :func:`collect` raises."""
    return _seen(_loaded(plan), plan, number, silent)


def _home(plan: CalibrationPlan) -> str:
    """Return the device of the sums: a model that is too large for its own stays in main memory."""
    return "cpu" if plan.by_blocks else plan.device


def _loaded(plan: CalibrationPlan) -> PreTrainedModel:
    model = load_on(plan.path, torch.float32, _home(plan), plan.padding)
    check_table(model, plan)
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
    return model


def _seen(model: PreTrainedModel, plan: CalibrationPlan, number: int, progress: Progress) -> Seen:
    """Run a slice of the texts through a model, its blocks one after the other where it is large."""
    watch = Watch(_home(plan))
    handles = watch_layers(model, watch)
    try:
        if plan.by_blocks:
            move_all_but_blocks(model, plan.device)
        with by_blocks(model, plan.device if plan.by_blocks else None):
            spread = _run(model, watch, plan, number, progress)
    except PrensaError:
        raise
    except Exception as error:
        raise explained(error, model, plan) from error
    finally:
        for handle in handles:
            handle.remove()
    sums = {}
    for names, weight in by_parameter(model):
        if id(weight) in watch.sums:
            sums[names[0]] = watch.sums[id(weight)]
    return Seen(sums, spread)


def _run(
    model: PreTrainedModel, watch: Watch, plan: CalibrationPlan, number_of_slice: int, progress: Progress
) -> Spread:
    """Send the batches of a slice through, forwards and backwards, and measure the outputs."""
    # Which signs are drawn must not depend on what was drawn before: same input, same bytes.
    generator = torch.Generator().manual_seed(number_of_slice)
    pool = read_text_vector(plan.path, plan.kind)
    spread = Spread()
    own: list[nn.Parameter] = []
    texts, tokens = len(plan.encoded.rows), sum(plan.encoded.lengths)
    done = 0
    for number, indices in enumerate(plan.batches_of(number_of_slice)):
        batch = padded(plan, indices, plan.device)
        watch.mask = batch["attention_mask"].bool()
        if number == 0:
            own = _with_own_gradients(model, watch, batch, plan.kind)
        # Some models compute with the default dtype, which loading another one changes.
        with building(), torch.enable_grad():
            output = model(**batch, **other_inputs(model, batch, plan.kind))
            outputs = finite_outputs(output, batch, plan, pool)
            # The hooks see all gradients on the way back.
            objective(outputs, plan.kind, generator).backward()  # type: ignore[no-untyped-call]
        take_own_gradients(watch, own)
        spread.add(outputs)
        done += plan.tokens_of(indices)
        progress(f"reading {texts:,} texts", done, tokens)
    return spread


@torch.no_grad()
def _with_own_gradients(
    model: PreTrainedModel, watch: Watch, batch: Mapping[str, Tensor], kind: Kind | None
) -> list[nn.Parameter]:
    """Find the matrices that no linear layer multiplies, and have them get gradients."""
    # Without gradients, hooks only say which matrices are there.
    model(**batch, **other_inputs(model, batch, kind))
    watch.sums.clear()
    return want_own_gradients(model.parameters(), watch)
