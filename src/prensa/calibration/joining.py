"""From the sums of a model's run to how its outputs depend on each matrix.

A linear layer gives ``y = W·x``. A change D of W changes an output of the model by ``gᵀ·D·x``, where g is
the output's gradient with respect to y. What counts is its square, on average over texts, tokens and outputs.
With g and x taken as independent, and the entries of g as independent of each other, that is

    Σ over rows r of   E[g_r²] · D_rᵀ · E[x·xᵀ] · D_r

so each row has an *importance*, and all rows have one second *moment*: two small things in place of a matrix
of ``(rows · columns)²`` numbers. For an embedding the roles are the other way round: row r is seen as often
as its token comes, and what a change of it costs lies in the gradients g of what was looked up,
``D_rᵀ · E[g·gᵀ] · D_r``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.watch import Sums, Watch, matrix_of
from prensa.errors import ModelError
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics, Statistics


@dataclass(frozen=True)
class Outputs:
    """How many outputs went through an objective, and their variance over all entries."""

    count: int
    variance: float


def token_table(model: PreTrainedModel) -> nn.Parameter | None:
    """Return the table with a row for each id, None if a class has none: CANINE hashes code points."""
    try:
        table = model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    return matrix_of(table)


def statistics_of(
    model: PreTrainedModel, watch: Watch, plan: CalibrationPlan, outputs: Outputs
) -> Statistics:
    """Join what was seen of each matrix. The sums are used up.

    Raises :class:`ModelError` for a moment that is not finite.
    """
    matrices: dict[str, MatrixStatistics] = {}
    weights = 0
    for names, weight in by_parameter(model):
        statistics = join_seen(names, weight, model, watch, plan, outputs)
        if statistics is not None:
            matrices |= dict.fromkeys(names, statistics)
            weights += weight.numel()
    return Statistics(
        matrices,
        weights,
        source=plan.source,
        texts=len(plan.encoded.rows),
        counted=plan.counted,
        tokens=sum(plan.encoded.lengths),
    )


def join_seen(
    names: Sequence[str],
    weight: nn.Parameter,
    model: PreTrainedModel,
    watch: Watch,
    plan: CalibrationPlan,
    outputs: Outputs,
) -> MatrixStatistics | None:
    """Join what was seen of the matrix with these names, None if it was not met or no output depends on it.

    Its sums are used up. Raises :class:`ModelError` for a moment that is not finite.
    """
    # Taken out: their memory is needed for what is made of them.
    sums = watch.sums.pop(id(weight), None)
    if sums is None:
        return None
    # Squared gradients are of all outputs together; as a share of one output's variance, a change of one
    # model costs the same number as a change of another.
    per_output = 1 / (outputs.count * outputs.variance)
    one_use = 0.0
    if weight is token_table(model) and sums.uses is not None:
        # All texts were counted, and some went through the model. Scaled to these, the counts of all
        # are a better estimate of how often a token comes.
        one_use = len(plan.encoded.rows) / plan.counted
        counts = _padded(plan.counts, len(weight))
        sums.uses = one_use * counts
    elif sums.uses is not None:
        sums.uses = at_least_as_seen(sums.uses)
    if sums.rows is not None:
        sums.rows = at_least_as_seen(sums.rows)
    statistics = join(sums, weight, per_output, one_use)
    if statistics is not None and not is_finite(statistics):
        raise ModelError(
            f"{plan.path}: what {names[0]} sees has no finite second moment; use a model that works"
        )
    return statistics


def is_finite(statistics: MatrixStatistics) -> bool:
    """Whether moment and importance hold numbers alone."""
    if not statistics.moment.is_finite():
        return False
    return bool(torch.isfinite(statistics.importance).all())


def by_parameter(model: nn.Module) -> list[tuple[list[str], nn.Parameter]]:
    """List the parameters, each with all of its names: a tied one is one matrix, and is quantized once."""
    names: dict[int, list[str]] = {}
    parameters: dict[int, nn.Parameter] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
        parameters[id(weight)] = weight
    named: list[tuple[list[str], nn.Parameter]] = []
    for key, weight in parameters.items():
        named.append((names[key], weight))
    return named


def _padded(counts: Tensor, rows: int) -> Tensor:
    """Return counts of ids as those of rows: no text has the last ones."""
    missing = rows - len(counts)
    padded = nn.functional.pad(counts, (0, missing))
    return padded.float()


def at_least_as_seen(uses: Tensor) -> Tensor:
    """Treat rows that no text has reached as the others on average: the next texts may be longer."""
    seen = uses > 0
    if not seen.any():
        return uses
    return torch.where(seen, uses, uses[seen].mean())


def join(sums: Sums, weight: Tensor, per_output: float, one_use: float) -> MatrixStatistics | None:
    """Join what is known of a matrix from all of its uses, None if no output depends on it.

    Every row of the word embedding counts as used once more than it was (``one_use``). A token that none of
    the texts has would else cost nothing, and its row would become anything; the next texts may have it.
    """
    uses = _as_linear(sums, per_output)
    uses += _as_embedding(sums, per_output, one_use)
    uses += _as_itself(sums, per_output)
    return join_uses(uses, weight, is_table=sums.uses is not None)


def join_uses(
    uses: Iterable[tuple[Moment, Tensor]], weight: Tensor, *, is_table: bool
) -> MatrixStatistics | None:
    """Join moment and importance of a matrix over all of its uses, None if none costs anything.

    What is not finite in a use is not finite in the result, for the caller to refuse.
    """
    # A use that costs nothing says nothing of the directions in which a change costs.
    counting: list[tuple[Moment, Tensor]] = []
    for moment, importance in uses:
        if not _costs_nothing(moment, importance):
            counting.append((moment, importance))
    if not counting:
        return None
    moment, importance = counting[0]
    if len(counting) > 1:
        moment, importance = _of_tied(counting)
    offset = None
    # Rows of an embedding share a mean, which is best kept apart: those of linear layers have none.
    if is_table:
        rows = weight.detach().float()
        offset = rows.mean(dim=0).cpu()
    return MatrixStatistics(moment.to("cpu"), importance.cpu(), offset)


def _as_linear(sums: Sums, per_output: float) -> list[tuple[Moment, Tensor]]:
    # A mixture's expert may be given no inputs at all.
    if sums.inputs is None or sums.gradients is None or not sums.input_count:
        return []
    # The mean over inputs, and the sum over gradients: a layer that is used twice as often counts twice.
    moment = sums.inputs.scaled(1 / sums.input_count)
    return [(moment, sums.gradients * per_output)]


def _as_embedding(sums: Sums, per_output: float, one_use: float) -> list[tuple[Moment, Tensor]]:
    if sums.looked_up is None or sums.uses is None or not sums.look_ups:
        return []
    uses = sums.uses.to(sums.looked_up.strips[0].device)
    moment = sums.looked_up.scaled(1 / sums.look_ups)
    return [(moment, (uses + one_use) * per_output)]


def _as_itself(sums: Sums, per_output: float) -> list[tuple[Moment, Tensor]]:
    if sums.own is None or sums.rows is None:
        return []
    # The squares are in the importance; the moment keeps their directions alone.
    trace = _trace(sums.own)
    if trace == 0:
        return []
    moment = sums.own.scaled(1 / trace)
    return [(moment, sums.rows * per_output)]


def _of_tied(uses: list[tuple[Moment, Tensor]]) -> tuple[Moment, Tensor]:
    """Return one moment and importance for all uses of a tied matrix: a change of it is a change in each.

    The moment is the sum of all, weighted by what each use costs; the importance of a row is what it costs in
    all uses together. Moments are scaled in place, so their traces are taken first.
    """
    costs: list[Tensor] = []
    for moment, importance in uses:
        costs.append(importance * _trace(moment))
    scaled: list[Moment] = []
    for moment, importance in uses:
        mean = float(importance.mean())
        scaled.append(moment.scaled(mean))
    joined = functools.reduce(Moment.plus, scaled)
    importance = torch.stack(costs).sum(dim=0)
    importance /= _trace(joined)
    return joined, importance


def _costs_nothing(moment: Moment, importance: Tensor) -> bool:
    """Whether a use adds nothing to the cost of a change. NaN is not nothing, and has to be met."""
    total = importance.sum()
    return bool(total == 0) or bool(_trace(moment) * total == 0)


def _trace(moment: Moment) -> float:
    return float(moment.diagonal().sum())
