"""Whether a checkpoint's names fit the class that will load them, and what is done where they are wrapped.

``from_pretrained`` leaves random numbers wherever a name does not fit, and goes on. So names are matched both
ways before a weight is read. What training tools add to names is taken off, weights that they store in parts
are worked out, and each of these is reported in one line. What is missing after that is an error.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.reader import Checkpoint, Origin, read_headers
from prensa.checkpoint.roles import ModelShape, model_shape
from prensa.errors import ModelError
from prensa.spec import TensorSpec, dtype_name

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What ``torch.compile``, FSDP and activation checkpointing put into names, wherever a module is wrapped."""

_SHOWN = 3  # names in a message

Origins = Mapping[str, Origin]


def check_names(path: Path) -> tuple[str, ...]:
    """Hold a directory, an original or a result, to the rule: its names and shapes fit its class.

    Returns what a user should know about it, a line each. Raises what :func:`fitted` raises, and
    :class:`~prensa.errors.RecipeError` for a shape that ``config.json`` does not ask for.
    """
    return fitted_in(path, model_shape(path)).notes


def fitted_in(path: Path, shape: ModelShape) -> Checkpoint:
    """Read the headers of a directory, and hold its names and shapes to a class. See :func:`check_names`."""
    checkpoint = fitted(read_headers(path), shape)
    if not checkpoint.is_quantized:
        for spec in checkpoint.specs:
            shape.describe(spec)
    return checkpoint


def fitted(checkpoint: Checkpoint, shape: ModelShape, *, drop_unused: bool = False) -> Checkpoint:
    """Return the checkpoint under the names that its class knows, with ``notes`` on what was done for that.

    Tensors that the class does not know are marked ``is_unused``, or left out with ``drop_unused``. Raises
    :class:`ModelError` where tensors are missing, unless only the head is and ``allowed().new_head``,
    and where one holds integers in place of numbers.
    """
    if checkpoint.is_quantized:
        return _fitted_quantized(checkpoint, shape)
    origins: dict[str, Origin] = {spec.name: Origin((spec.name,)) for spec in checkpoint.specs}
    notes = list(checkpoint.notes)
    if _missing(origins, shape):
        for step in (_without_wrappers, _without_prefix, _worked_out):
            origins, note = step(origins, shape, checkpoint)
            notes += note
    missing = _missing(origins, shape)
    if missing:
        notes.append(_new_head(checkpoint, shape, missing, origins))
    _refuse_twice(checkpoint, shape, origins)
    specs = [_spec(name, origin, checkpoint, shape) for name, origin in origins.items()]
    unused = [spec.name for spec in specs if spec.is_unused and not shape.ignores(spec.name)]
    if unused:
        done = "left out" if drop_unused else "left as in the file; --drop-unused leaves them out"
        notes.append(
            f"{shape.class_name} does not use {_count(unused)} of the checkpoint ({_some(unused)}): {done}"
        )
    if drop_unused:
        specs = [spec for spec in specs if not spec.is_unused]
    made = {name: origin for name, origin in origins.items() if origin != Origin((name,))}
    return dataclasses.replace(checkpoint, specs=tuple(specs), origins=made, notes=tuple(notes))


def check_loaded(path: Path, shape: ModelShape, missing: Iterable[str]) -> None:
    """Raise :class:`ModelError` where ``from_pretrained`` itself says that it had no values for tensors.

    It knows better than names tell what a conversion of weights came to.
    """
    required = set(shape.required)
    random = sorted(name for name in missing if name in required)
    if random and not (allowed().new_head and shape.head.issuperset(random)):
        raise ModelError(
            f"{path}: transformers found no values for {_count(random)} of {shape.class_name} "
            f"({_some(random)}), and would make them random; save the model again with save_pretrained"
        )


def _fitted_quantized(checkpoint: Checkpoint, shape: ModelShape) -> Checkpoint:
    """Check that every module of a quantized model has something in the file; shapes are the format's own."""
    modules = {shape.find(spec.name).own.rpartition(".")[0] for spec in checkpoint.specs}
    present = {shape.find(spec.name).own for spec in checkpoint.specs}
    missing = [
        name
        for name in shape.required
        if name not in present
        and not (name.endswith(".weight") and name.removesuffix(".weight") in modules)
        and not _is_tied_to_any(name, shape, present)
    ]
    if not missing:
        return checkpoint
    note = _new_head(checkpoint, shape, missing, present)
    return dataclasses.replace(checkpoint, notes=(*checkpoint.notes, note))


def _missing(origins: Iterable[str], shape: ModelShape) -> list[str]:
    """Name the required tensors that nothing gives values for."""
    found = [shape.find(name) for name in origins]
    present = {each.own for each in found if not each.is_merged}
    # A fused tensor is split into its neighbours, experts are joined into one: the module they belong to
    # counts.
    joined = tuple(f"{each.own.rsplit('.', 2)[0]}." for each in found if each.is_merged)
    return [
        name
        for name in shape.required
        if name not in present and not name.startswith(joined) and not _is_tied_to_any(name, shape, present)
    ]


def _is_tied_to_any(name: str, shape: ModelShape, present: set[str]) -> bool:
    """Whether a tensor that shares its values is there: ``from_pretrained`` then takes that one."""
    return any(source == name and target in present for target, source in shape.tied.items())


def _without_wrappers(
    origins: Origins, shape: ModelShape, checkpoint: Checkpoint
) -> tuple[dict[str, Origin], list[str]]:
    """Take off what wrappers put in the middle of names."""
    del shape
    renamed: dict[str, Origin] = {}
    taken: Counter[str] = Counter()
    for name, origin in origins.items():
        parts = name.split(".")
        taken.update(f"{part}." for part in _WRAPPERS if part in parts)
        _put(renamed, ".".join(part for part in parts if part not in _WRAPPERS), origin, checkpoint)
    notes = [f"{part!r} was taken off {count} tensor names" for part, count in taken.items()]
    return renamed, notes


def _without_prefix(
    origins: Origins, shape: ModelShape, checkpoint: Checkpoint
) -> tuple[dict[str, Origin], list[str]]:
    """Take off the prefix that lets most tensors find their place.

    That is ``module.``, ``model.``, ``base_model.model.`` … It is found and not listed, since a training
    module may call the model whatever it likes.
    """
    covered: dict[str, set[str]] = {"": set()}
    for name in origins:
        for prefix in _prefixes(name):
            own = shape.own_name(name[len(prefix) :])
            if own is not None:
                covered.setdefault(prefix, set()).add(own)
    most = max(map(len, covered.values()))
    best = [prefix for prefix, own in covered.items() if len(own) == most]
    if "" in best:
        return dict(origins), []
    # "model.bert." covers what "model." does but for the head: only prefixes beside each other are rivals.
    rivals = [prefix for prefix in best if not any(prefix != p and prefix.startswith(p) for p in best)]
    if len(rivals) > 1:
        raise ModelError(
            f"{checkpoint.path}: holds {len(rivals)} models ({', '.join(rivals)}) that all fit "
            f"{shape.class_name}; save the one that is meant alone"
        )
    (prefix,) = rivals
    renamed: dict[str, Origin] = {}
    for name, origin in origins.items():
        _put(renamed, name.removeprefix(prefix), origin, checkpoint)
    return renamed, [f"{prefix!r} was taken off {sum(n.startswith(prefix) for n in origins)} tensor names"]


def _prefixes(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) + "." * bool(count) for count in range(len(parts)))


_NORMED = "weight normalization was worked out in {} weights"
_DIVIDED = "spectral normalization was worked out in {} weights"
_INSIDE = "{1}parametrizations.{2}."  # where torch.nn.utils.parametrize puts what a weight is made of

_FORMS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("{0}_orig", "{0}_mask"), "masked", "pruning masks were multiplied into {} weights"),
    (("{0}_g", "{0}_v"), "weight_normed", _NORMED),
    ((f"{_INSIDE}original0", f"{_INSIDE}original1"), "weight_normed", _NORMED),
    (("{0}_orig", "{0}_u", "{0}_v"), "spectrally_normed", _DIVIDED),
    ((f"{_INSIDE}original", f"{_INSIDE}0._u", f"{_INSIDE}0._v"), "spectrally_normed", _DIVIDED),
)
"""Weights in parts: the names of the parts ({0} the weight's, {1} its module's, {2} its own), the function of
``ops.reparametrization`` that joins them, and what is said."""


def _worked_out(
    origins: Origins, shape: ModelShape, checkpoint: Checkpoint
) -> tuple[dict[str, Origin], list[str]]:
    """Join weights that are stored in parts, where the class wants the weight itself."""
    joined = dict(origins)
    done: Counter[str] = Counter()
    for name in _missing(origins, shape):
        for stored in _names_on_disk(name, shape):
            module, dot, own = stored.rpartition(".")
            for parts, formula, said in _FORMS:
                names = [part.format(stored, module + dot, own) for part in parts]
                if all(each in joined for each in names):
                    files = tuple(joined.pop(each).parts[0] for each in names)
                    joined[stored] = Origin(files, formula)
                    done[said] += 1
                    break
    return _in_file_order(joined, checkpoint), [said.format(count) for said, count in done.items()]


def _names_on_disk(own: str, shape: ModelShape) -> Iterable[str]:
    """Yield the names a checkpoint may store a parameter under: with and without the base prefix."""
    yield own
    rest = own.partition(".")[2]
    if rest and shape.find(rest).own == own:
        yield rest


def _in_file_order(origins: Origins, checkpoint: Checkpoint) -> dict[str, Origin]:
    places = {spec.name: at for at, spec in enumerate(checkpoint.specs)}
    return dict(sorted(origins.items(), key=lambda item: min(places[part] for part in item[1].parts)))


def _put(renamed: dict[str, Origin], name: str, origin: Origin, checkpoint: Checkpoint) -> None:
    if name in renamed:
        both = f"{renamed[name].parts[0]} and {origin.parts[0]}"
        raise ModelError(
            f"{checkpoint.path}: the tensors {both} are both {name} without what a training tool put around "
            "the name; save the one that is meant alone"
        )
    renamed[name] = origin


def _refuse_twice(checkpoint: Checkpoint, shape: ModelShape, origins: Origins) -> None:
    """Raise where two tensors would be loaded into one parameter: which one wins is chance."""
    taken: dict[str, str] = {}
    for name in origins:
        own = shape.own_name(name)
        if own is not None and own in taken:
            raise ModelError(
                f"{checkpoint.path}: the tensors {taken[own]} and {name} are both {own} of "
                f"{shape.class_name}; save the one that is meant alone"
            )
        if own is not None:
            taken[own] = name


def _spec(name: str, origin: Origin, checkpoint: Checkpoint, shape: ModelShape) -> TensorSpec:
    """Describe a tensor under its new name."""
    stored = checkpoint.stored[origin.parts[-1] if origin.formula == "weight_normed" else origin.parts[0]]
    found = shape.find(name)
    parameter = shape.parameters.get(found.own)
    is_unused = parameter is None and not found.is_merged
    if parameter is not None and parameter.is_float and not found.is_merged and not stored.is_float:
        raise ModelError(
            f"{checkpoint.path / stored.file}: tensor {name} is {dtype_name(stored.dtype)}, expected a float "
            "dtype; the model is quantized already, compress the original instead"
        )
    return dataclasses.replace(stored, name=name, is_unused=is_unused)


def _new_head(checkpoint: Checkpoint, shape: ModelShape, missing: list[str], present: Iterable[str]) -> str:
    """Return what is said of a head without weights, where it is allowed; raise for all else."""
    only_head = shape.head.issuperset(missing)
    if only_head and allowed().new_head:
        return (
            f"the head is new: {_count(missing)} ({_some(missing)}) get random values, the same ones every "
            "time; its answers mean nothing until it is trained"
        )
    needed = len(shape.required)
    raise ModelError(
        f"{checkpoint.path}: {_count(missing)} of the {needed} that {shape.class_name} needs are missing "
        f"from {_files(checkpoint)} ({_some(missing)}); {_cause(checkpoint, shape, missing, list(present))}"
    )


def _cause(checkpoint: Checkpoint, shape: ModelShape, missing: list[str], present: list[str]) -> str:
    """Say what has likely happened, and what to do."""
    unknown = [name for name in present if shape.find(name).own not in shape.parameters]
    for mark, cause in _CAUSES.items():
        if any(mark in name for name in unknown):
            return cause
    if len(missing) == len(shape.required):
        there = f" (it holds {_some(unknown)})" if unknown else ""
        return f"none of its names fits: config.json and weights are of different models{there}"
    if shape.head.issuperset(missing):
        return (
            "only the head is missing: use the trained model, name the base class in config.json's "
            "architectures, or give --allow-new-head"
        )
    if unknown:
        return f"found in their place: {_some(unknown)}; save the model with save_pretrained and try again"
    layers = {part for name in missing for part in name.split(".") if part.isdigit()}
    kept = {part for name in present for part in name.split(".") if part.isdigit()}
    if layers and not layers & kept:
        return "whole layers: config.json counts more of them than the file has; correct it or save again"
    return f"save the model again with save_pretrained, or fetch {checkpoint.path.name} again"


_QUANTIZED = "its weights are quantized, but config.json has no quantization_config; compress the original"

_CAUSES = {
    "lora_": "it holds an adapter that was not merged: merge it with model.merge_and_unload() and save again",
    "qweight": _QUANTIZED,
    ".absmax": _QUANTIZED,
    "SCB": _QUANTIZED,
    "_packed_params": "its weights are quantized by torch.ao; compress the original",
    ".parametrizations.": (
        "it holds parametrizations: call torch.nn.utils.parametrize.remove_parametrizations and save again"
    ),
    "_orig": "it holds torch.nn.utils.prune's parts: call torch.nn.utils.prune.remove and save again",
}
"""Parts of names that the class does not know, and what they tell."""


def _files(checkpoint: Checkpoint) -> str:
    first, *others = checkpoint.files
    return f"{first} and {len(others)} more files" if others else first


def _count(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
