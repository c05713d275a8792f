"""Run a caller's batches through a module, and learn what each of its matrices sees.

If the function that runs a batch returns numbers with gradients, they are the objective: importances are
those of :mod:`prensa.calibration.joining`, with the numbers in place of a task's outputs. If it returns
nothing, or computes without gradients, every row of a matrix is as important as the others, and an error
counts as a share of what the layer itself puts out.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from prensa.calibration.joining import at_least_as_seen, is_finite, join, join_uses
from prensa.calibration.objective import objective
from prensa.calibration.running import want_own_gradients
from prensa.calibration.watch import Sums, Watch, take_own_gradients, watch_layers
from prensa.errors import DataError, ModelError, PrensaError, SettingError, first_line
from prensa.modules.answers import Answers, outputs_of
from prensa.modules.batches import Batches, shown
from prensa.modules.contents import Held
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics
from prensa.progress import Progress
from prensa.sharing import building

Run = Callable[..., object]
"""``run(module, batch)``: sends one batch through the module and returns what counts of its answer."""

_MASK = "attention_mask"
# Dimensions of a mask of tokens: inside of encoders there are masks of pairs of tokens, too.
_OF_TOKENS = 2
# What a rare token says of a text is more than its share of the tokens: see docs/LOG.md.
_RARE = 4


@dataclass(frozen=True)
class Seen:
    """What the batches showed: statistics by the name of the tensor, and how many weights they are of."""

    matrices: Mapping[str, MatrixStatistics]
    weights: int


def see(module: nn.Module, run: Run, batches: Batches, wanted: Sequence[Held], progress: Progress) -> Seen:
    """Send all batches through, and return what ``wanted`` matrices see. The module is left as it was.

    Raises :class:`DataError` naming a batch that does not run, :class:`ModelError` for answers that are no
    numbers, and :class:`SettingError` if no batch went through the module.
    """
    device = str(wanted[0].tensor.device) if wanted else "cpu"
    watch = Watch(device, begins=True)
    with ExitStack() as stack:
        stack.enter_context(_at_rest(module))
        # Which signs are drawn, and what a module draws, changes nothing for the caller.
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(building())
        only = {id(held.tensor) for held in wanted}
        for handle in [*watch_layers(module, watch, only), *_watch_masks(module, watch)]:
            stack.callback(handle.remove)
        sender = _Sender(module, run, batches, watch)
        own = sender.begin(wanted)
        return sender.send(wanted, own, progress)


class _Sender:
    """Sends batches through a watched module."""

    def __init__(self, module: nn.Module, run: Run, batches: Batches, watch: Watch) -> None:
        self._module = module
        self._run = run
        self._batches = batches
        self._watch = watch
        self._kind = type(module).__name__

    def begin(self, wanted: Sequence[Held]) -> list[nn.Parameter]:
        """Run the first batch to see which matrices are multiplied, and find out whether there are gradients.

        Returns those of ``wanted`` that no linear layer multiplies, now with gradients.
        """
        if not self._met():
            raise SettingError(
                f"run(module, batch) sent nothing through the {self._kind} that it was given; use its first "
                "parameter, which is a copy of your module"
            )
        own = want_own_gradients([held.tensor for held in wanted], self._watch)
        self._watch.sums.clear()
        with torch.enable_grad():
            outputs = self._outputs(0)
        self._watch.sums.clear()
        self._watch.forward_only = not outputs
        return own

    def _met(self) -> bool:
        """Run the first batch without gradients, and return whether any part of the module ran."""
        ran: list[nn.Module] = []
        handles = []
        for part in self._module.modules():
            handles.append(part.register_forward_pre_hook(lambda part, _: ran.append(part)))
        try:
            with torch.no_grad():
                self._answer(0)
        finally:
            for handle in handles:
                handle.remove()
        return bool(ran)

    def send(self, wanted: Sequence[Held], own: list[nn.Parameter], progress: Progress) -> Seen:
        """Run all batches, the first one again, and join what was seen."""
        answers = Answers()
        # Which signs are drawn must not depend on what was drawn before: same input, same bytes.
        generator = torch.Generator().manual_seed(0)
        total = len(self._batches.batches)
        for number in range(total):
            if self._watch.forward_only:
                with torch.no_grad():
                    self._answer(number)
            else:
                outputs = self._send_back(number, generator)
                answers.add(outputs)
                take_own_gradients(self._watch, own)
            progress(f"reading {self._batches.source}", number + 1, total)
        if self._watch.forward_only:
            return _joined(self._watch, wanted, _by_layer)
        if not answers.variance > 0:
            raise ModelError(
                f"{self._kind}: gives nothing but zeros on every batch; use one that was trained"
            )
        return _joined(self._watch, wanted, partial(_by_answers, per_output=1 / answers.variance))

    def _send_back(self, number: int, generator: torch.Generator) -> list[Tensor]:
        """Run a batch forwards and backwards: hooks see all gradients on the way back."""
        with torch.enable_grad():
            outputs = self._outputs(number)
            try:
                asked = [objective(rows, None, generator) for rows in outputs]
                if asked:
                    torch.stack(asked).sum().backward()  # type: ignore[no-untyped-call]
            except Exception as error:
                raise self._explained(number, error) from error
        return outputs

    def _outputs(self, number: int) -> list[Tensor]:
        answer = self._answer(number)
        try:
            return outputs_of(answer, self._watch.mask)
        except ModelError as error:
            raise ModelError(
                f"batch {self._named(number)}: {error}; use a module that works, or leave them out of what "
                "run(module, batch) returns"
            ) from error

    def _answer(self, number: int) -> object:
        self._watch.mask = torch.empty(0)
        try:
            return self._run(self._module, self._batches.batches[number])
        except PrensaError:
            raise
        except Exception as error:
            raise self._explained(number, error) from error

    def _explained(self, number: int, error: Exception) -> DataError:
        return DataError(
            f"batch {self._named(number)}: {self._kind} does not run on it "
            f"({type(error).__name__}: {first_line(error)}); run(module, batch) gets a copy of the "
            "module, and a batch as it was given or a list of texts"
        )

    def _named(self, number: int) -> str:
        batches = self._batches.batches
        return f"{number + 1} of {len(batches)} ({shown(batches[number])})"


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """Have a module answer as it does outside of training, without gradients of its own weights."""
    was_training = {each: each.training for each in module.modules()}
    had_gradients = [parameter.requires_grad for parameter in module.parameters()]
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad = False
    try:
        yield
    finally:
        for each, training in was_training.items():
            each.training = training
        for parameter, had in zip(module.parameters(), had_gradients, strict=True):
            parameter.requires_grad = had
            parameter.grad = None


def _watch_masks(module: nn.Module, watch: Watch) -> list[RemovableHandle]:
    """Have the masks of padding found wherever a part of the module takes one: a batch may be mere texts."""
    handles = []
    for part in module.modules():
        try:
            names = list(inspect.signature(part.forward).parameters)
        except (TypeError, ValueError):
            # Of compiled code no parameters are known.
            continue
        if _MASK in names:
            see_mask = partial(_see_mask, watch, names.index(_MASK))
            handles.append(part.register_forward_pre_hook(see_mask, with_kwargs=True))
    return handles


def _see_mask(
    watch: Watch, place: int, _part: nn.Module, arguments: tuple[object, ...], named: dict[str, object]
) -> None:
    mask = named.get(_MASK)
    if mask is None and place < len(arguments):
        mask = arguments[place]
    if isinstance(mask, Tensor) and mask.dim() == _OF_TOKENS and not mask.is_floating_point():
        watch.mask = mask.bool()


def _joined(
    watch: Watch, wanted: Sequence[Held], joining: Callable[[Sums, Held], MatrixStatistics | None]
) -> Seen:
    matrices: dict[str, MatrixStatistics] = {}
    weights = 0
    for held in wanted:
        # Taken out: their memory is needed for what is made of them.
        sums = watch.sums.pop(id(held.tensor), None)
        statistics = None if sums is None else joining(sums, held)
        if statistics is None:
            continue
        if not is_finite(statistics):
            raise _not_finite(held)
        matrices[held.name] = statistics
        weights += held.spec.numel
    return Seen(matrices, weights)


def _by_answers(sums: Sums, held: Held, per_output: float) -> MatrixStatistics | None:
    """Join what the answers say of a matrix."""
    if sums.uses is not None:
        sums.uses = _expected(sums.uses)
    if sums.rows is not None:
        sums.rows = at_least_as_seen(sums.rows)
    return join(sums, held.tensor, per_output, one_use=0.0)


def _by_layer(sums: Sums, held: Held) -> MatrixStatistics | None:
    """Weigh a change of a matrix by what it changes of the layer's own outputs, as a share of them."""
    weight = held.tensor.detach().float()
    upright = weight.t() if held.spec.is_transposed else weight
    uses: list[tuple[Moment, Tensor]] = []
    if sums.inputs is not None and sums.input_count:
        moment = sums.inputs.scaled(1 / sums.input_count)
        whole = moment.to("cpu").whole().to(upright.device)
        energy = _checked(float(((upright @ whole) * upright).sum()), held)
        if energy > 0:
            importance = torch.full((len(upright),), 1 / energy, device=upright.device)
            uses.append((moment, importance))
    if sums.uses is not None and sums.uses.any():
        counts = sums.uses.to(upright.device)
        counts = _expected(counts)
        apart = weight - weight.mean(dim=0)
        energy = _checked(float((counts * apart.square().sum(dim=1)).sum()), held)
        if energy > 0:
            moment = Moment.of(torch.eye(weight.shape[1], device=upright.device))
            uses.append((moment, counts / energy))
    return join_uses(uses, held.tensor, is_table=sums.uses is not None)


def _checked(energy: float, held: Held) -> float:
    """Return what a layer puts out. Raises :class:`ModelError` if it is no number: no share of it is one."""
    if not math.isfinite(energy):
        raise _not_finite(held)
    return energy


def _not_finite(held: Held) -> ModelError:
    return ModelError(f"what {held.name} sees has no finite second moment; use a module that works")


def _expected(uses: Tensor) -> Tensor:
    """Return how often the next texts will use each row ``[rows]`` of a table, some of which these do not.

    Positions count as often as the others on average. Of tokens, those that were not met come as often, all
    together, as those that came once (Good 1953, Biometrika 40, section 2), and count four times as much.
    """
    if _is_of_places(uses):
        return at_least_as_seen(uses)
    unmet = int((uses == 0).sum())
    if not unmet:
        return uses
    once = int((uses == 1).sum())
    # One more than there were: no row is worth nothing.
    return torch.where(uses > 0, uses, min(1.0, _RARE * (once + 1) / unmet))


def _is_of_places(uses: Tensor) -> bool:
    """Whether a table is one of positions or types: its rows in use are neighbours, as tokens never are."""
    rows = uses.nonzero()
    if not len(rows):
        return False
    return int(rows.max() - rows.min()) + 1 == len(rows)
