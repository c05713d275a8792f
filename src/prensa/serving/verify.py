"""Whether an export answers as PyTorch does: by itself, from its record, and padded beside longer texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.errors import DifferentAnswersError
from prensa.files.temporary import temporary_directory
from prensa.serving.distance import Comparison, Rows, as_rows, distance
from prensa.serving.exported import TOLERANCES, Engine, Inputs, Record, apart_on_record, whole
from prensa.serving.plan import ExportPlan
from prensa.serving.program import trace
from prensa.serving.ways import InBatches, own_rows, together

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Tolerances that padded texts may be apart by: 8-bit ranges reach over all of a batch.
_TOGETHER = 2
# Texts that the layers of an export that differs are compared on.
_EXPLAINED = 8


class PaddingError(DifferentAnswersError):
    """Texts are answered rightly alone, and differently beside longer ones."""


class DistanceError(DifferentAnswersError):
    """Answers are farther from PyTorch's than the precision allows: as far as :attr:`apart`."""

    def __init__(self, plan: ExportPlan, apart: float, where: str = "") -> None:
        """Say so, and ``where`` in the model that begins."""
        super().__init__(_differs(plan, plan.texts, apart, where))
        self.apart = apart


def check_distance(plan: ExportPlan, apart: float) -> None:
    """Raise :class:`DistanceError` where answers are too far apart."""
    if apart > TOLERANCES[plan.precision]:
        raise DistanceError(plan, apart)


def explained(
    plan: ExportPlan, error: DifferentAnswersError, model: PreTrainedModel, samples: Sequence[Inputs]
) -> DifferentAnswersError:
    """Return an error that names the first layer that differs, the same one where that is not known."""
    if not isinstance(error, DistanceError):
        return error
    return DistanceError(plan, error.apart, _first_layer_apart(plan, model, samples))


def check_record(plan: ExportPlan, record: Record, exact: InBatches, engine: Engine) -> None:
    """Check that loading will accept what is written, and that texts may be answered together.

    Raises :class:`DifferentAnswersError`, and for the second :class:`PaddingError`.
    """
    # The same comparison that loading makes.
    apart = apart_on_record(record, engine)
    if apart > TOLERANCES[record.precision]:
        raise DifferentAnswersError(_differs(plan, f"short texts of {plan.texts}", apart))
    # An original that itself answers only one by one says nothing about padded texts.
    if exact.way != "padded" or not record.rows:
        return
    apart = _apart_together(plan, record, exact, engine)
    if apart > _TOGETHER * TOLERANCES[record.precision]:
        raise PaddingError(_differs(plan, "texts that are padded and answered together", apart))


def _apart_together(plan: ExportPlan, record: Record, exact: InBatches, engine: Engine) -> float:
    """Return how far answers are apart where short texts are padded to the length of the longest."""
    texts = plan.samples
    lengths = texts.lengths
    longest = lengths.index(max(lengths))
    rows = [record.rows[0], record.rows[-1], texts.rows[longest]]
    inputs = together(rows, texts, exact.names)
    # The graph may have fewer inputs than the model: those that nothing reads were dropped.
    read_inputs = {name: inputs[name] for name in record.inputs}
    outputs = whole(engine(read_inputs))
    truths = whole(exact.engine(inputs))
    comparison = Comparison(record.scale)
    for row, output, truth in zip(rows, outputs, truths, strict=True):
        length = len(row["input_ids"])
        answer = own_rows(output, length, texts.side)
        right = own_rows(truth, length, texts.side)
        comparison.add(answer, right)
    return comparison.distance


def _differs(plan: ExportPlan, texts: str, apart: float, where: str = "") -> str:
    return (
        f"{plan.model}: {plan.runtime.NAME} in {plan.precision} gives different answers from PyTorch on "
        f"{texts} (distance {apart:.3g}, allowed {TOLERANCES[plan.precision]:g}){where}; "
        "choose another `precision`, or give more `texts` like yours"
    )


def _first_layer_apart(plan: ExportPlan, model: PreTrainedModel, samples: Sequence[Inputs]) -> str:
    """Name the first layer whose vectors differ more than is allowed, if that can be found out."""
    some = samples[:_EXPLAINED]
    try:
        outputs = _layers_of_export(plan, model, samples, some)
        exact = _layers_of_model(model, some)
    except Exception:  # noqa: BLE001  the error that is being explained is what counts
        return ""
    for number, (of_export, of_model) in enumerate(zip(outputs, exact, strict=True)):
        if distance(of_export, of_model) > TOLERANCES[plan.precision]:
            # The first hidden state is what the embeddings give.
            layer = "the embeddings" if number == 0 else f"layer {number - 1}"
            return f", from {layer} on"
    return ", in the head alone"


def _layers_of_export(
    plan: ExportPlan, model: PreTrainedModel, samples: Sequence[Inputs], some: Sequence[Inputs]
) -> list[list[Rows]]:
    """Export the model once more, with its hidden states as outputs; return each layer's for some texts."""
    program = trace(model, plan.samples.rows[0], plan.longest, layers=True)
    with temporary_directory() as place:
        plan.runtime.write(program, place, plan.precision, samples)
        engine = plan.runtime.Engine(place, plan.precision)
        by_text = []
        for inputs in some:
            # The first output is that of the head.
            states = engine(inputs)[1:]
            by_text.append(_as_rows(states))
    return _by_layer(by_text)


@torch.inference_mode()
def _layers_of_model(model: PreTrainedModel, some: Sequence[Inputs]) -> list[list[Rows]]:
    """Return the hidden states of each layer for some texts, in PyTorch."""
    by_text = []
    for inputs in some:
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        output = model(**tensors, output_hidden_states=True)
        states = [state.numpy() for state in output.hidden_states]
        by_text.append(_as_rows(states))
    return _by_layer(by_text)


def _as_rows(states: Sequence[NDArray[np.float32]]) -> list[Rows]:
    """Return each layer's hidden states ``[1, tokens, size]`` as rows."""
    return [as_rows(state[0]) for state in states]


def _by_layer(by_text: Sequence[Sequence[Rows]]) -> list[list[Rows]]:
    """Turn what each text has of all layers into what each layer has of all texts."""
    return [list(layer) for layer in zip(*by_text, strict=True)]
