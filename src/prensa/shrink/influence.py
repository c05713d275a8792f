"""Which outputs of some matrices reach which inputs of another one, found by gradients.

Every matrix of a layer is cut off from what runs before it, and given random numbers instead. So the input of
one (a *reader*) depends only on the outputs of those that run directly before it (its *feeders*), through
activations, softmax, products and sums. A neuron of a feed-forward block is then one column of the reader
and one row of each feeder; an attention head is several columns, the same number of rows of value, and all
its rows of query and key. A reader whose every column depends on every row, behind a normalization or on the
residual stream, has nothing to give.

A gradient is exactly zero where there is no influence. It does not take one for each unit to learn which rows
are whose: units are numbered, and for each binary digit one gradient of the columns whose unit has it and
one of the others show this digit of every row's unit. A row that shows both belongs to two units: then
there are no units. So every row of every unit is checked, in about 2 log2(units) gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from prensa.shrink.matrices import matrices_of
from prensa.shrink.twin import Twin


@dataclass(frozen=True)
class Coupling:
    """A reader in a layer and what feeds it, by their names in the layer.

    ``columns``: int64 [units, size]; ``feeders``: int64 [units, rows of a unit] for each.
    """

    reader: str
    columns: Tensor
    feeders: Mapping[str, Tensor]

    @property
    def units(self) -> int:
        """How many units there are."""
        return self.columns.shape[0]


@dataclass
class _Trace:
    """One run: inputs and outputs [texts, tokens, width] of each matrix, one for each time it was called."""

    inputs: dict[str, list[Tensor]] = field(default_factory=dict)
    outputs: dict[str, list[Tensor]] = field(default_factory=dict)


def couplings_of(twin: Twin) -> list[Coupling]:
    """Find the readers of the twin's layer that have something to give, in the order in which they run."""
    couplings = []
    with torch.enable_grad():
        with _cut(twin.layer) as trace:
            twin.run()
        for reader, inputs in trace.inputs.items():
            # Nothing runs before it, not even a norm.
            if not any(tensor.requires_grad for tensor in inputs):
                continue
            coupling = _coupling(_Reader(reader, inputs, trace.outputs))
            if coupling is not None and not _has_idle_neighbours(coupling, twin.layer, trace):
                couplings.append(coupling)
    return couplings


def _has_idle_neighbours(coupling: Coupling, layer: nn.Module, trace: _Trace) -> bool:
    """Whether a matrix in the same module did not run: LUKE's for entities belong to its heads, too."""
    modules = set()
    for name in matrices_of(layer):
        if name not in trace.inputs:
            modules.add(name.rpartition(".")[0])
    return any(name.rpartition(".")[0] in modules for name in (coupling.reader, *coupling.feeders))


@contextmanager
def _cut(layer: nn.Module) -> Iterator[_Trace]:
    """Record a run in which each matrix is cut off from what runs before it."""
    trace = _Trace()
    generator = torch.Generator().manual_seed(0)
    hooks = []
    for name, matrix in matrices_of(layer).items():

        def before(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> tuple[Tensor, ...]:
            trace.inputs.setdefault(name, []).append(given[0])
            # Not the numbers it was given: without a norm these may leave a ReLU at zero for all tokens.
            cut_off = torch.randn(given[0].shape, dtype=given[0].dtype, generator=generator)
            return (cut_off, *given[1:])

        def after(_: nn.Module, given: object, output: Tensor, name: str = name) -> Tensor:
            trace.outputs.setdefault(name, []).append(output)
            # A copy goes on, since some code changes what it gets in place.
            return output.clone()

        hooks += [matrix.register_forward_pre_hook(before), matrix.register_forward_hook(after)]
    try:
        yield trace
    finally:
        for hook in hooks:
            hook.remove()


class _Reader:
    """One candidate, asked which rows of the other matrices its columns depend on."""

    def __init__(self, name: str, inputs: list[Tensor], outputs: Mapping[str, list[Tensor]]) -> None:
        self.name = name
        self.width = inputs[0].shape[-1]
        self._inputs = [tensor for tensor in inputs if tensor.requires_grad]
        self._names: list[str] = []
        self._tensors: list[Tensor] = []
        for feeder, tensors in outputs.items():
            for tensor in tensors:
                self._names.append(feeder)
                self._tensors.append(tensor)

    def rows_of(self, columns: Tensor) -> dict[str, Tensor]:
        """Return which rows, bool [rows] for each feeder, have an influence on any of some columns.

        ``columns``: bool [width].
        """
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros(())
        for tensor in self._inputs:
            # Random factors: what a plain sum depends on may cancel, as behind a softmax.
            factors = torch.randn(tensor.shape, generator=generator)
            total = total + (tensor * factors * columns).sum()
        gradients = torch.autograd.grad(total, self._tensors, retain_graph=True, allow_unused=True)
        rows: dict[str, Tensor] = {}
        for name, gradient in zip(self._names, gradients, strict=True):
            if gradient is None:
                continue
            influential = gradient.flatten(0, -2).ne(0).any(0)
            # A matrix that runs twice (on tokens and on a table of positions) has the rows of both.
            rows[name] = influential | rows.get(name, torch.zeros_like(influential))
        return rows


def _coupling(reader: _Reader) -> Coupling | None:
    """Find the units of a reader, None if it has not at least two."""
    numbers = torch.arange(reader.width)
    first = reader.rows_of(numbers == 0)
    last = reader.rows_of(numbers == reader.width - 1)
    shared = {}
    own = []
    for name in first:
        # What reaches both ends reaches all: it belongs to no unit, and stays.
        shared[name] = first[name] & last[name]
        if (first[name] & ~shared[name]).any():
            own.append(name)
    if not own:
        return None

    size = _unit_size(reader, shared, own)
    if size is None:
        return None
    unit_of_column = numbers // size
    feeders = {}
    for name, unit_of_row in _units_of_rows(reader, unit_of_column, shared, own).items():
        rows = _by_unit(unit_of_row, reader.width // size)
        if rows is None:
            return None
        feeders[name] = rows
    if len(feeders) != len(own):
        return None
    return Coupling(reader.name, numbers.view(-1, size), feeders)


def _unit_size(reader: _Reader, shared: Mapping[str, Tensor], own: Sequence[str]) -> int | None:
    """Return the smallest number of columns, from the first on, that share no row with the others."""
    numbers = torch.arange(reader.width)
    for size in range(1, reader.width // 2 + 1):
        if reader.width % size:
            continue
        inside = reader.rows_of(numbers < size)
        outside = reader.rows_of(numbers >= size)
        overlap = False
        for name in own:
            overlap |= bool((inside[name] & outside[name] & ~shared[name]).any())
        if not overlap:
            return size
    return None


def _units_of_rows(
    reader: _Reader,
    unit_of_column: Tensor,
    shared: Mapping[str, Tensor],
    own: Sequence[str],
) -> dict[str, Tensor]:
    """Return each row's unit, int64 [rows] for each feeder, -1 for rows of none.

    A feeder with a row of two units is left out.
    """
    units: dict[str, Tensor] = {}
    broken = set()
    digits = int(unit_of_column.max()).bit_length()
    for digit in range(digits):
        has_digit = (unit_of_column >> digit) & 1 == 1
        ones = reader.rows_of(has_digit)
        zeros = reader.rows_of(~has_digit)
        for name in own:
            one = ones[name] & ~shared[name]
            zero = zeros[name] & ~shared[name]
            if (one & zero).any():
                broken.add(name)
            unit = units.get(name, torch.zeros(len(one), dtype=torch.int64))
            unit = unit + (one.long() << digit)
            # A row that reaches no column, or a unit's columns in part of the runs, has none.
            units[name] = torch.where(one | zero, unit, -(1 << digits))
    return {name: unit for name, unit in units.items() if name not in broken}


def _by_unit(unit_of_row: Tensor, units: int) -> Tensor | None:
    """Return the rows of each unit, int64 [units, k], ascending; None if some units have more than others."""
    rows = torch.nonzero(unit_of_row >= 0).flatten()
    counts = torch.bincount(unit_of_row[rows], minlength=units)
    if len(counts) != units or counts.min() != counts.max() or not counts.min():
        return None
    order = torch.argsort(unit_of_row[rows], stable=True)
    return rows[order].view(units, -1)
