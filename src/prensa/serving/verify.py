"""Whether an export answers as PyTorch does: by itself, from its record, and padded beside longer texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from prensa.errors import DifferentAnswersError
from prensa.serving.answering import Answering, own_rows, together
from prensa.serving.distance import Comparison, Rows, as_rows, distance
from prensa.serving.exported import TOLERANCES, Engine, Inputs, Record, apart_on_record, whole
from prensa.serving.plan import ExportPlan
from prensa.serving.program import trace
from prensa.temporary import temporary_directory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOGETHER = 2  # tolerances that padded texts may be apart by: 8-bit ranges reach over all of a batch
_EXPLAINED = 8  # texts that the layers of an export that differs are compared on


class PaddingError(DifferentAnswersError):
    """Texts are answered rightly alone, and differently beside longer ones."""


def check_distance(plan: ExportPlan, apart: float, model: PreTrainedModel, samples: Sequence[Inputs]) -> None:
    """Raise :class:`DifferentAnswersError` where answers are too far apart, and name the first such layer."""
    if apart > TOLERANCES[plan.precision]:
        where = _first_layer_apart(plan, model, samples)
        raise DifferentAnswersError(_differs(plan, plan.texts, apart, where))


def check_record(plan: ExportPlan, record: Record, exact: Answering, engine: Engine) -> None:
    """Check that loading will accept what is written, and that texts may be answered together.

    Raises :class:`DifferentAnswersError`, and for the second :class:`PaddingError`.
    """
    apart = apart_on_record(record, engine)
    if apart > TOLERANCES[record.precision]:
        raise DifferentAnswersError(_differs(plan, f"short texts of {plan.texts}", apart))
    # An original that itself answers only one by one says nothing about padded texts.
    if exact.way != "padded" or not record.rows:
        return
    apart = _apart_together(plan, record, exact, engine)
    if apart > _TOGETHER * TOLERANCES[record.precision]:
        raise PaddingError(_differs(plan, "texts that are padded and answered together", apart))


def _apart_together(plan: ExportPlan, record: Record, exact: Answering, engine: Engine) -> float:
    """Return how far answers are apart where short texts are padded to the length of the longest."""
    longest_row = max(plan.samples.rows, key=lambda row: len(row["input_ids"]))
    rows = [record.rows[0], record.rows[-1], longest_row]
    inputs = together(rows, plan.samples, exact.names)
    # The graph may have fewer inputs than the model: those that nothing reads were dropped.
    read_inputs = {name: inputs[name] for name in record.inputs}
    outputs = whole(engine(read_inputs))
    truth = whole(exact.engine(inputs))
    comparison = Comparison(record.scale)
    for at, row in enumerate(rows):
        length = len(row["input_ids"])
        own = own_rows(outputs[at], length, plan.samples.side)
        own_truth = own_rows(truth[at], length, plan.samples.side)
        comparison.add(own, own_truth)
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
        exact = [_hidden_states(model, inputs) for inputs in some]
    except Exception:  # noqa: BLE001  the error that is being explained is what counts
        return ""
    for number in range(len(exact[0])):
        of_export = [layers[number] for layers in outputs]
        of_model = [layers[number] for layers in exact]
        if distance(of_export, of_model) > TOLERANCES[plan.precision]:
            # The first hidden state is what the embeddings give.
            layer = "the embeddings" if number == 0 else f"layer {number - 1}"
            return f", from {layer} on"
    return ", in the head alone"


def _layers_of_export(
    plan: ExportPlan, model: PreTrainedModel, samples: Sequence[Inputs], some: Sequence[Inputs]
) -> list[list[Rows]]:
    """Export the model once more, with its hidden states as outputs, and return those for some texts."""
    program = trace(model, plan.samples.rows[0], plan.longest, layers=True)
    with temporary_directory() as place:
        plan.runtime.write(program, place, plan.precision, samples)
        engine = plan.runtime.Engine(place, plan.precision)
        layers = []
        for inputs in some:
            outputs = engine(inputs)
            layers.append([as_rows(output[0]) for output in outputs[1:]])
    return layers


@torch.inference_mode()
def _hidden_states(model: PreTrainedModel, inputs: Inputs) -> list[Rows]:
    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
    output = model(**tensors, output_hidden_states=True)
    return [as_rows(np.asarray(state[0].numpy())) for state in output.hidden_states]
