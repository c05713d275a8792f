"""Run models side by side over batches of texts, and keep of each output what its task compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from prensa.checkpoint.kinds import LANGUAGE, Kind
from prensa.errors import ModelError
from prensa.evaluation.answer_spans import likeliest_span
from prensa.evaluation.generation import write
from prensa.evaluation.reading import CommonTokens, Reading, common_tokens
from prensa.progress import Progress
from prensa.runtime.text_vector import TextVector
from prensa.serving.padding import pads_alike
from prensa.serving.ways import take
from prensa.sharing import building
from prensa.texts.encoding import Encoded, batches, pad
from prensa.texts.ids import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.utils import ModelOutput

    from prensa.serving.served import Served

Output = NDArray[np.float32] | NDArray[np.float64]
"""What is kept of one text: logits ``[labels]``, logits of its words ``[words, labels]``, a vector
``[size]``; of a question what :func:`~prensa.evaluation.answer_spans.likeliest_span` gives; of a text that is
written the numbers of its characters; or, for a language model, sums over the predicted tokens in the order
of ``SUMS``."""

SUMS = ("nats", "pieces", "bytes", "divergence", "largest divergence", "same", "largest shift")
"""Of a language model on one text: negative log likelihood, how many tokens were predicted and the bytes of
text they stand for, Kullback–Leibler divergence from the original, summed and largest, how often the
likeliest token is the original's, and the largest change of the probability of the token that came."""

# Of the tokens, as in BERT's training (Devlin et al., arXiv 1810.04805, section 3.1).
_MASKED_SHARE = 0.15

Batch = dict[str, Tensor]


def answer_texts(
    models: Sequence[PreTrainedModel | Served],
    vectors: Sequence[TextVector],
    readings: Sequence[Reading],
    batch_size: int,
    answers: Sequence[dict[int, Output]],
    progress: Progress,
) -> None:
    """Let models answer all texts, and put what they answer into ``answers``, by the number of the text.

    ``readings`` say how each model reads the texts. After an interruption ``answers`` holds what there is.
    """
    lengths = readings[0].encoded.lengths
    done = 0
    total = sum(lengths)
    for indices, outputs in predict(models, vectors, readings, batch_size):
        for own_answers, own_outputs in zip(answers, outputs, strict=True):
            own_answers.update(zip(indices, own_outputs, strict=True))
        for index in indices:
            done += lengths[index]
        progress(f"answering {len(lengths):,} texts", done, total)


def predict(
    models: Sequence[PreTrainedModel | Served],
    vectors: Sequence[TextVector],
    readings: Sequence[Reading],
    batch_size: int,
    *,
    equal: bool | None = None,
) -> Iterator[tuple[list[int], list[list[Output]]]]:
    """Yield, batch by batch, the indices of its texts and for each model what it makes of them.

    The first model is the original, which language models are compared with on the spot: their outputs are
    too large to keep. Batches of ``equal`` length need no padding; None finds out whether it must be so.
    """
    kind = readings[0].encoded.kind
    common = None
    if kind in LANGUAGE:
        common = common_tokens(readings)
    encoded = readings[0].encoded
    if equal is None:
        equal = any_mixes_padding(models, readings)
    lengths = [reading.encoded.lengths for reading in readings]
    if equal and any(own != encoded.lengths for own in lengths):
        # Of a trimmed vocabulary texts of one length have several.
        batch_size = 1
    for indices in batches(encoded.lengths, batch_size, equal=equal):
        inputs: list[Batch] = []
        for reading in readings:
            rows = [reading.encoded.rows[index] for index in indices]
            inputs.append(pad(rows, reading.encoded, models[0].device))
        if kind in LANGUAGE:
            yield indices, _language(models, inputs, readings, common, indices)
            continue
        outputs: list[list[Output]] = []
        for model, batch, vector, reading in zip(models, inputs, vectors, readings, strict=True):
            if reading.encoded.tokenizer is not None:
                outputs.append(_written(model, batch, reading.encoded.tokenizer))
                continue
            output = forward(model, batch, kind, vector)
            outputs.append(_split(output, reading.encoded, indices))
        yield indices, outputs


def any_mixes_padding(models: Sequence[PreTrainedModel | Served], readings: Sequence[Reading]) -> bool:
    """Whether padding changes what any of the models answers: it is served without, and so it is compared."""
    pairs = zip(models, readings, strict=True)
    return not all(_is_paddable(model, reading.encoded) for model, reading in pairs)


def _is_paddable(model: PreTrainedModel | Served, encoded: Encoded) -> bool:
    if not isinstance(model, nn.Module):
        return model.record.is_paddable
    # What a model writes has no one answer to compare; a text without tokens has none alone.
    some = [index for index, length in enumerate(encoded.lengths) if length]
    if encoded.tokenizer is not None or not some:
        return True
    return pads_alike(model, take(encoded, some))


@torch.inference_mode()
def forward(
    model: PreTrainedModel | Served, batch: Mapping[str, Tensor], kind: Kind, vector: TextVector
) -> Tensor:
    """Return a model's logits, or the vectors of texts, in float32."""
    # Some models compute with the default dtype, which loading another model changes meanwhile.
    with building():
        output: ModelOutput = model(**batch)
    if kind == "questions":
        return torch.stack([output.start_logits, output.end_logits], dim=-1).float()
    if kind == "embedding":
        return vector(output.last_hidden_state.float(), batch.get("attention_mask"))
    logits: Tensor = output.logits
    return logits.float()


def _written(
    model: PreTrainedModel | Served, batch: Batch, tokenizer: PreTrainedTokenizerBase
) -> list[Output]:
    """Return the texts that a model writes. Raises :class:`ModelError` for an export, which writes none."""
    if isinstance(model, nn.Module):
        return list(write(model, batch, tokenizer))
    raise ModelError(f"{model.name_or_path}: an export writes no texts; compare the model in PyTorch")


def _split(output: Tensor, encoded: Encoded, indices: Sequence[int]) -> list[Output]:
    """Return one output for each text; of models of words those at the first token of each word."""
    rows: NDArray[np.float32] = output.cpu().numpy()
    if encoded.kind == "questions":
        return [likeliest_span(row, encoded.spans[index]) for row, index in zip(rows, indices, strict=True)]
    if encoded.kind != "tokens":
        return list(rows)
    outputs: list[Output] = []
    for row, index in zip(rows, indices, strict=True):
        places = [place for place in encoded.places[index] if place != IGNORED]
        outputs.append(row[np.array(places, dtype=int)])
    return outputs


def _language(
    models: Sequence[PreTrainedModel | Served],
    inputs: Sequence[Batch],
    readings: Sequence[Reading],
    common: CommonTokens | None,
    indices: Sequence[int],
) -> list[list[Output]]:
    """Return the sums of each model over each text of a batch, as ``SUMS`` names them."""
    encoded = readings[0].encoded
    # The right tokens are read before any of them is masked.
    ids = inputs[0]["input_ids"].clone()
    predicted: list[list[int]] = []
    for index in indices:
        predicted.append(_masked(encoded, index) if encoded.kind == "masked" else _continued(encoded, index))
    if encoded.kind == "masked":
        _mask(inputs, readings, predicted)
    logits: list[Tensor] = []
    for model, batch in zip(models, inputs, strict=True):
        logits.append(forward(model, batch, encoded.kind, TextVector()))
    sums: list[list[Output]] = [[] for _ in models]
    for row, (index, places) in enumerate(zip(indices, predicted, strict=True)):
        read_at = places
        if encoded.kind == "causal":
            # A causal model predicts a token at the place of the token before.
            read_at = [place - 1 for place in places]
        scores = _scores([of_model[row, read_at] for of_model in logits], common)
        truth = ids[row, places]
        if common is not None:
            truth = torch.searchsorted(common.ids, truth.cpu()).to(truth.device)
        nbytes = 0
        for place in places:
            nbytes += encoded.nbytes[index][place]
        for own_sums, own_scores in zip(sums, scores, strict=True):
            own_sums.append(_sums(scores[0], own_scores, truth, nbytes))
    return sums


def _mask(inputs: Sequence[Batch], readings: Sequence[Reading], places: Sequence[Sequence[int]]) -> None:
    """Put each model's mask token at the places of each row, in place."""
    for batch, reading in zip(inputs, readings, strict=True):
        ids = batch["input_ids"]
        mask = torch.tensor(reading.encoded.mask_id, device=ids.device)
        for row, of_row in enumerate(places):
            ids[row, of_row] = mask


def _scores(logits: Sequence[Tensor], common: CommonTokens | None) -> list[Tensor]:
    """Return log probabilities ``[tokens, vocabulary]`` for each model, over the tokens that all have."""
    scores: list[Tensor] = []
    for model, of_model in enumerate(logits):
        exact = of_model.to(_exact(of_model))
        if common is not None:
            exact = exact[:, common.columns[model]]
        scores.append(log_softmax(exact, dim=-1))
    return scores


def _sums(original: Tensor, scores: Tensor, truth: Tensor, nbytes: int) -> Output:
    """Sum up log probabilities ``[tokens, vocabulary]`` beside the original's, in the order of ``SUMS``."""
    if not len(truth):
        return np.zeros(len(SUMS))
    rows = torch.arange(len(truth), device=truth.device)
    # A probability of 0 times an infinite difference of logarithms counts as nothing.
    divergence = (original.exp() * (original - scores)).nan_to_num(posinf=0.0).sum(dim=-1)
    came = scores[rows, truth]
    came_before = original[rows, truth]
    same = scores.argmax(dim=-1) == original.argmax(dim=-1)
    shift = (came.exp() - came_before.exp()).abs()
    sums = [
        -came.sum(),
        torch.tensor(len(truth)),
        torch.tensor(nbytes),
        divergence.sum(),
        divergence.max(),
        same.sum(),
        shift.max(),
    ]
    return np.array([float(value) for value in sums])


def _exact(logits: Tensor) -> torch.dtype:
    """Return float64 where the device has it: divergences are small differences."""
    if logits.device.type == "mps":
        return torch.float32
    return torch.float64


def _characters(encoded: Encoded, index: int) -> list[list[int]]:
    """List the places of each token of a text, with those that finish its last character."""
    groups: list[list[int]] = []
    for place, count in enumerate(encoded.nbytes[index]):
        if count == 0 and groups:
            # The second token of one character: it stands for no bytes of the text that the first did not.
            groups[-1].append(place)
        elif count != IGNORED:
            groups.append([place])
    return groups


def _continued(encoded: Encoded, index: int) -> list[int]:
    """Return the places of the tokens that a causal model predicts: those that follow another."""
    places: list[int] = []
    for group in _characters(encoded, index):
        if group[0] > 0:
            places += group
    return places


def _masked(encoded: Encoded, index: int) -> list[int]:
    """Choose the tokens of a text to mask, the same ones every time; at least one if there is one.

    The tokens of one character are masked together: each would give the others away.
    """
    groups = _characters(encoded, index)
    count = min(len(groups), max(1, round(_MASKED_SHARE * len(groups))))
    chosen = np.random.default_rng(index).permutation(len(groups))[:count]
    places: list[int] = []
    for group in chosen:
        places += groups[group]
    return sorted(places)
