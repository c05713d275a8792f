"""What every way of sending calibration texts through a model does: batches, outputs, and what went wrong."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prensa.calibration.joining import Outputs, token_table
from prensa.calibration.objective import outputs_of, without_past
from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.spread import Spread
from prensa.calibration.watch import MATRIX, Watch
from prensa.checkpoint.kinds import LANGUAGE, Kind
from prensa.errors import OUT_OF_MEMORY, DeviceError, ModelError, PrensaError, first_line
from prensa.runtime.text_vector import TextVector
from prensa.texts.encoding import pad
from prensa.texts.tokenizers import check_ids


def check_table(model: PreTrainedModel, plan: CalibrationPlan) -> None:
    """Raise :class:`~prensa.errors.TokenizerError` for ids that the model has no row for."""
    table = token_table(model)
    # Without a table, ids are no numbers of rows: code points, bytes.
    if table is not None:
        largest = len(plan.counts) - 1
        check_ids(plan.path, max(largest, plan.padding), len(table))


def padded(plan: CalibrationPlan, indices: Sequence[int], device: str) -> dict[str, Tensor]:
    """Return the texts of a batch as a model reads them."""
    rows = [plan.encoded.rows[index] for index in indices]
    batch = pad(rows, plan.encoded, device)
    batch.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
    return batch


def other_inputs(
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


def finite_outputs(
    output: object, batch: Mapping[str, Tensor], plan: CalibrationPlan, pool: TextVector
) -> Tensor:
    """Return what counts of a model's output. Raises :class:`ModelError` if not all of it are numbers."""
    outputs = outputs_of(output, batch, plan.kind, pool)
    if not torch.isfinite(outputs).all():
        raise ModelError(
            f"{plan.path}: gives no number (NaN or infinity) on a calibration text; use a model that works"
        )
    return outputs


def outputs_seen(spread: Spread, plan: CalibrationPlan) -> Outputs:
    """Return how many outputs there were and how far they lie apart.

    Raises :class:`ModelError` for outputs that are all zero.
    """
    # A divergence needs no measure: it is in nats.
    if plan.kind in LANGUAGE:
        return Outputs(spread.count, 1.0)
    variance = spread.variance()
    if not variance > 0:
        raise ModelError(f"{plan.path}: gives nothing but zeros on every text; use a model that was trained")
    return Outputs(spread.count, variance)


def want_own_gradients(parameters: Iterable[Tensor], watch: Watch) -> list[nn.Parameter]:
    """Find the matrices that no linear layer has multiplied, and have them get gradients.

    A table that is looked up is among them: a model may multiply it, too (DeBERTa's language models do).
    """
    own: list[nn.Parameter] = []
    for weight in parameters:
        if not isinstance(weight, nn.Parameter) or weight.dim() != MATRIX:
            continue
        if id(weight) not in watch.multiplied:
            weight.requires_grad_()
            own.append(weight)
    return own


def explained(error: Exception, model: PreTrainedModel, plan: CalibrationPlan) -> PrensaError:
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
