"""Run texts through a model, forwards and backwards, and keep the second moments that passes ask for.

Every matrix is met where it is used: a linear layer's inputs and the gradients of its outputs, an embedding's
rows and the gradients of what was looked up. A matrix that is used in another way (DeBERTa's relative
positions) is known by its own gradient. Padding does not count.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from prensa.calibration.blocks import by_blocks, move_all_but_blocks
from prensa.calibration.objective import objective, outputs_of
from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.task import LANGUAGE, Kind
from prensa.errors import OUT_OF_MEMORY, CalibrationError, PrensaError, first_line
from prensa.isolation import building
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics, Statistics
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.runtime.torch import load_on
from prensa.texts.encoding import check_ids, pad

_MATRIX = 2  # dimensions


@dataclass
class _Sums:
    """Sums over all texts for one matrix; what a change costs is ``importance × moment`` in the end.

    ``inputs`` and ``gradients`` belong to its use as a linear layer, ``looked_up`` and ``uses`` to that as an
    embedding, ``own`` and ``rows`` to any other.
    """

    inputs: Moment | None = None
    input_count: int = 0
    gradients: Tensor | None = None
    looked_up: Moment | None = None
    look_ups: int = 0
    uses: Tensor | None = None
    own: Moment | None = None
    rows: Tensor | None = None


@dataclass
class _Watch:
    """Sums of every matrix that was met, by its parameter's identity; ``mask`` is the current batch's.

    ``home`` is the device where sums are kept.
    """

    home: str
    mask: Tensor = field(default_factory=lambda: torch.empty(0))
    sums: dict[int, _Sums] = field(default_factory=dict)

    def of(self, weight: Tensor) -> _Sums:
        return self.sums.setdefault(id(weight), _Sums())

    def moment(self, so_far: Moment | None, vectors: Tensor) -> Moment:
        """Add the second moment of some vectors to a sum, in place."""
        moment = Moment.zeros(vectors.shape[-1], self.home) if so_far is None else so_far
        moment.add(vectors)
        return moment

    def plus(self, so_far: Tensor | None, more: Tensor) -> Tensor:
        """Add to a sum, in place."""
        more = more.to(self.home)
        return more if so_far is None else so_far.add_(more)


def collect(plan: CalibrationPlan, progress: Progress = silent) -> Statistics:
    """Carry out a plan. Raises :class:`CalibrationError` where the model gives no finite numbers."""
    home = "cpu" if plan.by_blocks else plan.device
    model = load_on(plan.path, torch.float32, home, plan.encoded.fill["input_ids"])
    table = _word_pieces(model)
    if table is not None:  # else ids are no numbers of rows: code points, bytes
        _check_pieces(plan, len(table))
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
    watch = _Watch(home)
    hooks = _hook(model, watch)
    try:
        if plan.by_blocks:
            move_all_but_blocks(model, plan.device)
        with by_blocks(model, plan.device if plan.by_blocks else None):
            found = _run(model, watch, plan, progress)
    except PrensaError:
        raise
    except Exception as error:
        if "fork" in str(error):  # CUDA, and gradients beside it, do not work behind a fork
            raise CalibrationError(
                f"{plan.path}: cannot be calibrated in a forked process ({first_line(error)}); start it with "
                "multiprocessing's spawn method"
            ) from error
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in OUT_OF_MEMORY):
            reason = first_line(error)
            raise CalibrationError(
                f"{plan.path}: cannot be calibrated, {type(model).__name__} does not run on texts alone "
                f"({reason}); take a preset without calibration (int8)"
            ) from error
        raise CalibrationError(
            f"{plan.path}: out of memory on {plan.device}; the model and its moments take "
            f"{plan.memory / 1e9:.1f} GB, and what a batch leaves for the way back comes on top; free some, "
            "take another --device, or a preset without calibration (int8)"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return _statistics(model, watch, plan, *found)


def _word_pieces(model: Any) -> nn.Parameter | None:
    """Return the table with a row for each id, None where a class has none: CANINE hashes code points."""
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except (NotImplementedError, AttributeError):
        return None
    return weight if isinstance(weight, nn.Parameter) and weight.dim() == _MATRIX else None


def _check_pieces(plan: CalibrationPlan, rows: int) -> None:
    """Raise :class:`CalibrationError` where the tokenizer gives ids that the model has no row for."""
    largest = max(len(plan.counts) - 1, plan.encoded.fill["input_ids"])
    check_ids(plan.path, largest, rows, CalibrationError)


def _run(model: Any, watch: _Watch, plan: CalibrationPlan, progress: Progress) -> tuple[int, float]:
    """Send all batches through. Return the number of outputs and their variance over all entries."""
    generator = torch.Generator().manual_seed(0)
    pool = read_text_vector(plan.path, plan.kind)
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    others: list[Tensor] = []
    done, tokens = 0, sum(plan.encoded.lengths)
    for number, indices in enumerate(plan.batches):
        batch = pad([plan.encoded.rows[i] for i in indices], plan.encoded, plan.device)
        batch.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
        watch.mask = batch["attention_mask"].bool()
        if number == 0:
            others = _not_met(model, watch, batch, plan.kind)
        # Some models compute with the default dtype, which loading another one changes.
        with building(), torch.enable_grad():
            output = model(**batch, **_other_inputs(model, batch, plan.kind))
            outputs = outputs_of(output, batch, plan.kind, pool)
            if not torch.isfinite(outputs).all():
                raise CalibrationError(
                    f"{plan.path}: gives no number (NaN or infinity) on a calibration text; "
                    "use a model that works"
                )
            objective(outputs, plan.kind, generator).backward()  # type: ignore[no-untyped-call]
        for weight in others:
            if weight.grad is not None:
                _add_own(watch, weight, weight.grad)
                weight.grad = None
        kept = outputs.detach().double().cpu()
        count += len(kept)
        total, squares = total + kept.sum(dim=0), squares + kept.square().sum(dim=0)
        done += sum(plan.encoded.lengths[i] for i in indices)
        progress(f"reading {len(plan.encoded.rows):,} texts", done, tokens)
    if plan.kind in LANGUAGE:  # divergences need no measure
        return count, 1.0
    variance = float((squares / count - (total / count).square()).sum()) or float((squares / count).sum())
    if not variance > 0:
        raise CalibrationError(
            f"{plan.path}: gives nothing but zeros on every text; use a model that was trained"
        )
    return count, variance


def _other_inputs(model: Any, batch: Mapping[str, Tensor], kind: Kind | None) -> dict[str, Any]:
    """Return what a model wants beside its texts: to keep no past, and something to decode."""
    wanted = inspect.signature(model.forward).parameters
    others: dict[str, Any] = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
    if kind is None and model.config.is_encoder_decoder and "decoder_input_ids" in wanted:
        others["decoder_input_ids"] = batch["input_ids"]
        others["decoder_attention_mask"] = batch["attention_mask"]
    return others


@torch.no_grad()
def _not_met(model: Any, watch: _Watch, batch: Mapping[str, Tensor], kind: Kind | None) -> list[Tensor]:
    """Find the matrices that no hook meets, and ask for their own gradients."""
    model(**batch, **_other_inputs(model, batch, kind))
    met = set(watch.sums)
    watch.sums.clear()
    others = [each for each in model.parameters() if each.dim() == _MATRIX and id(each) not in met]
    for weight in others:
        weight.requires_grad_()
    return others


def _hook(model: Any, watch: _Watch) -> list[Any]:
    hooks = []
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.dim() != _MATRIX:
            continue
        if isinstance(module, nn.Embedding) and _looks_up(module):
            hooks.append(module.register_forward_hook(functools.partial(_see_embedding, watch)))
        elif isinstance(module, (nn.Linear, Conv1D)):
            hooks.append(module.register_forward_hook(functools.partial(_see_linear, watch)))
    return hooks


def _looks_up(module: nn.Embedding) -> bool:
    """Whether it gives the rows of its ids, perhaps scaled: tables of positions may compute their own ids."""
    return type(module).forward is nn.Embedding.forward or hasattr(module, "embed_scale")


def _see_linear(watch: _Watch, module: Any, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
    sums = watch.of(module.weight)
    if not torch.is_grad_enabled():
        return output  # inside of a block, which runs once more
    inputs = _real(arguments[0].detach(), watch.mask)
    sums.inputs = watch.moment(sums.inputs, inputs)
    sums.input_count += len(inputs)

    def see_gradient(gradient: Tensor) -> None:
        squares = gradient.reshape(-1, gradient.shape[-1]).square().sum(dim=0)
        sums.gradients = watch.plus(sums.gradients, squares)

    return _watched(output, see_gradient)


def _see_embedding(
    watch: _Watch, module: nn.Embedding, arguments: tuple[Tensor, ...], output: Tensor
) -> Tensor | None:
    ids = arguments[0].detach()
    sums = watch.of(module.weight)
    scale = getattr(module, "embed_scale", 1.0)

    def see_gradient(gradient: Tensor) -> None:
        is_of_texts = ids.shape == watch.mask.shape
        seen, rows = (ids[watch.mask], gradient[watch.mask]) if is_of_texts else (ids, gradient)
        rows, seen = rows.reshape(-1, rows.shape[-1]) * scale, seen.reshape(-1)
        sums.looked_up = watch.moment(sums.looked_up, rows)
        sums.look_ups += len(rows)
        uses = torch.zeros(module.num_embeddings, dtype=torch.float32, device=seen.device)
        sums.uses = watch.plus(sums.uses, uses.index_add_(0, seen, torch.ones_like(seen, dtype=uses.dtype)))

    if not torch.is_grad_enabled():
        return None
    # Everything behind it gets gradients, weights do not.
    return _watched(output if output.requires_grad else output.detach().requires_grad_(), see_gradient)


def _watched(output: Tensor, see_gradient: Callable[[Tensor], None]) -> Tensor:
    """Return a tensor like ``output`` whose gradient is seen, also where it is changed in place later on."""
    if not output.requires_grad:
        return output
    output.register_hook(see_gradient)  # type: ignore[no-untyped-call]
    return output.clone()


def _add_own(watch: _Watch, weight: Tensor, gradient: Tensor) -> None:
    sums = watch.of(weight)
    sums.own = watch.moment(sums.own, gradient)
    sums.rows = watch.plus(sums.rows, gradient.square().sum(dim=1))


def _real(tensor: Tensor, mask: Tensor) -> Tensor:
    """Return the vectors of a tensor ``[…, size]`` as rows, without those of padding."""
    if tensor.shape[:-1] == mask.shape:
        return tensor[mask].float()
    return tensor.reshape(-1, tensor.shape[-1]).float()


def _statistics(
    model: Any, watch: _Watch, plan: CalibrationPlan, outputs: int, variance: float
) -> Statistics:
    word_pieces = id(_word_pieces(model))
    per_output = 1 / (outputs * variance)
    matrices: dict[str, MatrixStatistics] = {}
    weights = 0
    for names, weight in _by_parameter(model):
        sums = watch.sums.pop(id(weight), None)  # their memory is needed for what is made of them
        if sums is None:
            continue
        one_use = 0.0
        if id(weight) == word_pieces and sums.uses is not None:  # all texts tell how often a piece comes
            one_use = len(plan.encoded.rows) / plan.counted
            sums.uses = one_use * nn.functional.pad(plan.counts, (0, len(weight) - len(plan.counts))).float()
        elif sums.uses is not None:
            sums.uses = _at_least_as_seen(sums.uses)
        if sums.rows is not None:
            sums.rows = _at_least_as_seen(sums.rows)
        found = _matrix(sums, weight, per_output, one_use)
        if found is None:
            continue
        if not (found.moment.is_finite() and torch.isfinite(found.importance).all()):
            raise CalibrationError(
                f"{plan.path}: what {names[0]} sees has no finite second moment; use a model that works"
            )
        matrices |= dict.fromkeys(names, found)
        weights += weight.numel()
    return Statistics(
        matrices,
        weights,
        source=plan.source,
        texts=len(plan.encoded.rows),
        counted=plan.counted,
        tokens=sum(plan.encoded.lengths),
    )


def _at_least_as_seen(uses: Tensor) -> Tensor:
    """Treat rows that no text has reached as the others on average: the next texts may be longer."""
    seen = uses > 0
    return torch.where(seen, uses, uses[seen].mean()) if seen.any() else uses


def _by_parameter(model: Any) -> list[tuple[list[str], Tensor]]:
    """List the parameters, each with all of its names."""
    names: dict[int, list[str]] = {}
    parameters = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
        parameters[id(weight)] = weight
    return [(names[key], weight) for key, weight in parameters.items()]


def _matrix(sums: _Sums, weight: Tensor, per_output: float, one_use: float) -> MatrixStatistics | None:
    """Join what is known of a matrix from all of its uses, None where no output hangs on it.

    Every row of the word pieces counts as used once more than it was: the next texts may have it.
    """
    known: list[tuple[Moment, Tensor]] = []
    if sums.inputs is not None and sums.gradients is not None:
        known.append((sums.inputs.scaled(1 / sums.input_count), sums.gradients * per_output))
    if sums.looked_up is not None and sums.uses is not None:
        uses = sums.uses.to(sums.looked_up.strips[0].device)
        known.append((sums.looked_up.scaled(1 / sums.look_ups), (uses + one_use) * per_output))
    if sums.own is not None and sums.rows is not None and (trace := _trace(sums.own)) > 0:
        known.append((sums.own.scaled(1 / trace), sums.rows * per_output))
    known = [(moment, importance) for moment, importance in known if _trace(moment) * importance.sum() > 0]
    if not known:
        return None
    moment, importance = known[0]
    if len(known) > 1:  # tied: one moment, weighted by what each of its uses costs, must do for all
        importance = torch.stack([cost * _trace(each) for each, cost in known]).sum(dim=0)
        moment = functools.reduce(Moment.plus, [each.scaled(float(cost.mean())) for each, cost in known])
        importance /= _trace(moment)
    offset = weight.detach().float().mean(dim=0).cpu() if sums.uses is not None else None
    return MatrixStatistics(moment.to("cpu"), importance.cpu(), offset)


def _trace(moment: Moment) -> float:
    return float(moment.diagonal().sum())
