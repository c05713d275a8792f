"""Run texts through a model, forwards and backwards, and keep the second moments that passes need.

Every matrix is met where it is used: a linear layer's inputs and the gradients of its outputs, an embedding's
rows and the gradients of what was looked up. A matrix that is used in another way (DeBERTa's relative
positions) is known by its own gradient. Padding does not count.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prensa.calibration.blocks import by_blocks, move_all_but_blocks
from prensa.calibration.joining import Outputs, by_parameter, statistics_of, token_table
from prensa.calibration.objective import objective, outputs_of, without_past
from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.slices import Seen
from prensa.calibration.spread import Spread
from prensa.calibration.watch import MATRIX, Watch, add_own, watch_layers
from prensa.checkpoint.task import LANGUAGE, Kind
from prensa.cluster.tasks import IN_TURN, Tasks
from prensa.errors import OUT_OF_MEMORY, DeviceError, ModelError, PrensaError, first_line
from prensa.isolation import building
from prensa.ops.statistics import Statistics
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.runtime.torch import load_on
from prensa.texts.encoding import pad
from prensa.texts.tokenizers import check_ids


def collect(plan: CalibrationPlan, progress: Progress = silent, tasks: Tasks = IN_TURN) -> Statistics:
    """Carry out a plan, each of its slices as one of the ``tasks``.

    Raises :class:`ModelError` for a model that gives no finite numbers or reads more than texts,
    :class:`~prensa.errors.DeviceError` for too little memory, and
    :class:`~prensa.errors.TokenizerError` for ids that the model has no row for.
    """
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
    return statistics_of(model, watch, plan, _outputs(seen.spread, plan))


def see_slice(plan: CalibrationPlan, number: int) -> Seen:
    """Run one slice of the texts. Raises what :func:`collect` raises."""
    return _seen(_loaded(plan), plan, number, silent)


def _home(plan: CalibrationPlan) -> str:
    """Return the device of the sums: a model that is too large for its own stays in main memory."""
    return "cpu" if plan.by_blocks else plan.device


def _loaded(plan: CalibrationPlan) -> PreTrainedModel:
    padding = plan.encoded.fill["input_ids"]
    model = load_on(plan.path, torch.float32, _home(plan), padding)
    table = token_table(model)
    # Without a table, ids are no numbers of rows: code points, bytes.
    if table is not None:
        largest = len(plan.counts) - 1
        check_ids(plan.path, max(largest, padding), len(table))
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
        raise _explained(error, model, plan) from error
    finally:
        for handle in handles:
            handle.remove()
    sums = {}
    for names, weight in by_parameter(model):
        if id(weight) in watch.sums:
            sums[names[0]] = watch.sums[id(weight)]
    return Seen(sums, spread)


def _explained(error: Exception, model: PreTrainedModel, plan: CalibrationPlan) -> PrensaError:
    """Return what PyTorch's error means for a calibration."""
    # CUDA, and gradients beside it, do not work behind a fork.
    if "fork" in str(error):
        return DeviceError(
            f"{plan.path}: cannot be calibrated in a forked process ({first_line(error)}); start it with "
            "multiprocessing's spawn method"
        )
    if _is_out_of_memory(error):
        return DeviceError(
            f"{plan.path}: out of memory on {plan.device}; the model and its moments take "
            f"{plan.memory / 1e9:.1f} GB, and what a batch leaves for the way back comes on top; free some, "
            "take another `device`, or a preset without calibration (`preset=int8`)"
        )
    return ModelError(
        f"{plan.path}: cannot be calibrated, {type(model).__name__} does not run on texts alone "
        f"({first_line(error)}); take a preset without calibration (`preset=int8`)"
    )


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch has no class of errors for main memory.
    if isinstance(error, MemoryError):
        return True
    message = str(error)
    return any(words in message for words in OUT_OF_MEMORY)


def _run(
    model: PreTrainedModel, watch: Watch, plan: CalibrationPlan, number_of_slice: int, progress: Progress
) -> Spread:
    """Send the batches of a slice through, forwards and backwards, and measure the outputs."""
    # Which signs are drawn must not depend on what was drawn before: same input, same bytes.
    generator = torch.Generator().manual_seed(number_of_slice)
    pool = read_text_vector(plan.path, plan.kind)
    spread = Spread()
    unmet: list[nn.Parameter] = []
    texts, tokens = len(plan.encoded.rows), sum(plan.encoded.lengths)
    done = 0
    for number, indices in enumerate(plan.batches_of(number_of_slice)):
        rows = [plan.encoded.rows[index] for index in indices]
        batch = pad(rows, plan.encoded, plan.device)
        batch.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
        watch.mask = batch["attention_mask"].bool()
        if number == 0:
            unmet = _not_met(model, watch, batch, plan.kind)
        # Some models compute with the default dtype, which loading another one changes.
        with building(), torch.enable_grad():
            arguments = _other_inputs(model, batch, plan.kind)
            output = model(**batch, **arguments)
            outputs = outputs_of(output, batch, plan.kind, pool)
            if not torch.isfinite(outputs).all():
                raise ModelError(
                    f"{plan.path}: gives no number (NaN or infinity) on a calibration text; "
                    "use a model that works"
                )
            # The hooks see all gradients on the way back.
            objective(outputs, plan.kind, generator).backward()  # type: ignore[no-untyped-call]
        _take_own_gradients(watch, unmet)
        spread.add(outputs)
        for row in rows:
            done += len(row["input_ids"])
        progress(f"reading {texts:,} texts", done, tokens)
    return spread


def _outputs(spread: Spread, plan: CalibrationPlan) -> Outputs:
    # A divergence needs no measure: it is in nats.
    if plan.kind in LANGUAGE:
        return Outputs(spread.count, 1.0)
    variance = spread.variance()
    if not variance > 0:
        raise ModelError(f"{plan.path}: gives nothing but zeros on every text; use a model that was trained")
    return Outputs(spread.count, variance)


def _take_own_gradients(watch: Watch, weights: list[nn.Parameter]) -> None:
    """Add the gradients of matrices themselves, and drop them: autograd would add those of the next batch."""
    for weight in weights:
        if weight.grad is not None:
            add_own(watch, weight, weight.grad)
            weight.grad = None


def _other_inputs(
    model: PreTrainedModel, batch: Mapping[str, Tensor], kind: Kind | None
) -> dict[str, Tensor | bool]:
    """Return what a model needs beside its texts: to keep no past, and something to decode."""
    inputs: dict[str, Tensor | bool] = dict(without_past(model))
    if kind is not None or not model.config.is_encoder_decoder:
        return inputs
    # A whole encoder-decoder has nothing to decode but the text itself.
    arguments = inspect.signature(model.forward).parameters
    if "decoder_input_ids" in arguments:
        inputs["decoder_input_ids"] = batch["input_ids"]
        inputs["decoder_attention_mask"] = batch["attention_mask"]
    return inputs


@torch.no_grad()
def _not_met(
    model: PreTrainedModel, watch: Watch, batch: Mapping[str, Tensor], kind: Kind | None
) -> list[nn.Parameter]:
    """Find the matrices that no hook meets, and have them get gradients."""
    # Without gradients, hooks only say which matrices are there.
    model(**batch, **_other_inputs(model, batch, kind))
    met = set(watch.sums)
    watch.sums.clear()
    unmet: list[nn.Parameter] = []
    for weight in model.parameters():
        if weight.dim() == MATRIX and id(weight) not in met:
            weight.requires_grad_()
            unmet.append(weight)
    return unmet
