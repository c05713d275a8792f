"""Whether what was found can really be taken away: tried on the twin.

Some units are taken away and the answers compared with those of the whole twin whose reader does not look at
these units. They are equal only if everything that belongs to a unit is known. A table with a
column for each head, or a norm over all heads, makes them different, or the twin does not run at all.

The attributes that count units (``num_attention_heads``) are found in the same way: those are set with
which the twin gives the right answers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prensa.shrink.influence import Coupling
from prensa.shrink.matrices import keep_columns, keep_rows, sizes, zero_columns
from prensa.shrink.twin import Twin

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TOLERANCE = 1e-5
"""Difference allowed, relative to the largest answer: products are summed in another order."""

_MOST_ATTRIBUTES = 8
"""All sets of them are tried if need be."""

_ONE_HEAD = ("head_dim", "head_size")
"""How names of one head's width end. ``all_head_size`` ends so, too, and is the width of all."""


def counts_of(twin: Twin, coupling: Coupling) -> dict[str, int] | None:
    """Return which attributes count the units, and what one unit adds to each; None if no unit can go.

    Names are dotted, within the layer.
    """
    # Every second one goes: had rows been given to the wrong units, neighbours would be mixed up.
    kept = torch.arange(0, coupling.units, 2)
    gone = torch.arange(1, coupling.units, 2)
    expected = _answers_without(twin, coupling, gone)
    if expected is None:
        return None
    attributes = _attributes(twin, coupling)
    with _replaced(twin.layer, [coupling.reader, *coupling.feeders]):
        take_away(twin.layer, coupling.reader, coupling.columns, coupling.feeders, kept)
        for names in _sets_to_try(attributes):
            counts = {name: attributes[name] // coupling.units for name in names}
            with _attributes_set(twin.layer, {name: count * len(kept) for name, count in counts.items()}):
                answers = _answers(twin)
            if answers is not None and _is_equal(answers, expected):
                return counts
    return None


def take_away(
    module: nn.Module,
    reader: str,
    columns: Tensor,
    feeders: Mapping[str, Tensor],
    kept: Tensor,
) -> None:
    """Keep some units in the matrices of a module, in place, by names in this module.

    ``columns`` and ``feeders``: int64 [units, k]; ``kept``: int64 [units that stay].
    """
    keep_columns(module.get_submodule(reader), columns[kept].flatten())
    for name, rows in feeders.items():
        # In the order of the matrix: rows of a fused one lie query first, then key, then value.
        keep_rows(module.get_submodule(name), rows[kept].flatten().sort().values)


def _answers_without(twin: Twin, coupling: Coupling, gone: Tensor) -> Tensor | None:
    with _replaced(twin.layer, [coupling.reader]):
        zero_columns(twin.layer.get_submodule(coupling.reader), coupling.columns[gone].flatten())
        return _answers(twin)


def _answers(twin: Twin) -> Tensor | None:
    """Run the twin; None if it cannot run as it is now."""
    try:
        with torch.no_grad():
            return twin.run()
    # What PyTorch raises of shapes that do not fit, and what classes raise that check them.
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, ZeroDivisionError):
        return None


def _is_equal(answers: Tensor, expected: Tensor) -> bool:
    if answers.shape != expected.shape:
        return False
    difference = (answers - expected).abs().max()
    return bool(difference <= TOLERANCE * expected.abs().max())


@contextmanager
def _replaced(layer: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Have copies of some matrices in their places while the context lasts."""
    originals = {name: layer.get_submodule(name) for name in names}
    try:
        for name, matrix in originals.items():
            _put(layer, name, copy.deepcopy(matrix))
        yield
    finally:
        for name, matrix in originals.items():
            _put(layer, name, matrix)


def _put(layer: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own_name = name.rpartition(".")
    setattr(layer.get_submodule(parent), own_name, module)


@contextmanager
def _attributes_set(layer: nn.Module, values: Mapping[str, int]) -> Iterator[None]:
    before = {}
    for name in values:
        module, _, attribute = name.rpartition(".")
        before[name] = getattr(layer.get_submodule(module), attribute)
    try:
        set_attributes(layer, values)
        yield
    finally:
        set_attributes(layer, before)


def set_attributes(module: nn.Module, values: Mapping[str, int]) -> None:
    """Set attributes of the modules in a module, by their dotted names in it."""
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(owner), attribute, value)


def _attributes(twin: Twin, coupling: Coupling) -> dict[str, int]:
    """List the attributes that may count units, those that are named after heads first.

    They lie in the matrices' own block: the modules that the reader or a feeder is in.
    """
    values = _values_of_counts(twin, coupling)
    by_head: dict[str, int] = {}
    others: dict[str, int] = {}
    for owner in _owners([coupling.reader, *coupling.feeders]):
        for name, value in vars(twin.layer.get_submodule(owner)).items():
            if type(value) is not int or value not in values or _is_of_one_head(name):
                continue
            found = by_head if _is_of_heads(name) else others
            found[f"{owner}.{name}".removeprefix(".")] = value
    attributes = {**by_head, **others}
    if len(attributes) > _MOST_ATTRIBUTES:
        return by_head
    return attributes


def _values_of_counts(twin: Twin, coupling: Coupling) -> set[int]:
    """Return which values an attribute that counts units can have."""
    config: PretrainedConfig = twin.model.config
    values = {coupling.units, coupling.columns.numel()}
    for name in coupling.feeders:
        values.add(sizes(twin.layer.get_submodule(name))[0])
    # A unit may be several heads, those of one key.
    for name in ("num_attention_heads", "num_key_value_heads"):
        values.add(getattr(config, name, None) or 0)
    return {value for value in values if value and value % coupling.units == 0}


def _owners(names: Iterable[str]) -> list[str]:
    """List the modules that matrices of these names are in, up to the layer itself, whose name is empty."""
    owners = set()
    for name in names:
        owner = name
        while owner:
            owner = owner.rpartition(".")[0]
            owners.add(owner)
    return sorted(owners)


def _is_of_heads(attribute: str) -> bool:
    return attribute.rpartition(".")[2].find("head") >= 0


def _is_of_one_head(attribute: str) -> bool:
    return attribute.endswith(_ONE_HEAD) and not attribute.startswith("all")


def _sets_to_try(attributes: Iterable[str]) -> list[tuple[str, ...]]:
    """List all sets of attributes: first those with all that are named after heads and few others.

    Which of several right sets is taken shows only in attributes that the model does not use: a count of
    heads should be right all the same, and another width of the same value (``embed_dim``) stays.
    """
    names = tuple(attributes)
    sets: list[tuple[str, ...]] = []
    for length in range(len(names) + 1):
        sets += combinations(names, length)
    heads = sum(map(_is_of_heads, names))

    def order(chosen: tuple[str, ...]) -> tuple[int, int]:
        of_heads = sum(map(_is_of_heads, chosen))
        return heads - of_heads, len(chosen) - of_heads

    return sorted(sets, key=order)
