"""Whether a checkpoint's names fit the class that will load them, and what is done if they are wrapped.

``from_pretrained`` leaves random numbers wherever a name does not fit, and goes on. So names are matched both
ways before a weight is read. What training tools add to names is taken off, weights that they store in parts
are worked out, and each of these is reported in one line. What is missing after that is an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.missing import count_of, first_of, new_head
from prensa.checkpoint.reader import Checkpoint, Origin, read_headers
from prensa.checkpoint.roles import ModelShape, model_shape
from prensa.checkpoint.wrapped import (
    Origins,
    is_tied_to_any,
    missing_names,
    without_prefix,
    without_wrappers,
    worked_out,
)
from prensa.errors import ModelError
from prensa.ops.spec import TensorSpec, dtype_name


def check_names(path: Path) -> tuple[str, ...]:
    """Hold a directory, an original or a result, to the rule: its names and shapes fit its class.

    Returns what a user should know about it, a line each. Raises what :func:`fitted` raises, and
    :class:`ModelError` for a shape that ``config.json`` does not require.
    """
    return fitted_in(path, model_shape(path)).notes


def fitted_in(path: Path, shape: ModelShape) -> Checkpoint:
    """Read the headers of a directory, and hold its names and shapes to a class. See :func:`check_names`."""
    checkpoint = fitted(read_headers(path), shape)
    # Quantized tensors have shapes of the format's, which the class knows nothing of.
    if not checkpoint.is_quantized:
        for spec in checkpoint.specs:
            shape.describe(spec)
    return checkpoint


def fitted(checkpoint: Checkpoint, shape: ModelShape, *, drop_unused: bool = False) -> Checkpoint:
    """Return the checkpoint under the names that its class knows, with ``notes`` on what was done for that.

    Tensors that the class does not know are marked ``is_unused``, or left out with ``drop_unused``. Raises
    :class:`ModelError` if tensors are missing, unless only the head is and ``allowed().new_head``, and if
    one holds integers in place of numbers.
    """
    if checkpoint.is_quantized:
        return _fitted_quantized(checkpoint, shape)

    # Names that fit are left alone, even if they look wrapped: a class may have a module of such a name.
    origins: Origins = {spec.name: Origin((spec.name,)) for spec in checkpoint.specs}
    notes = list(checkpoint.notes)
    if missing_names(origins, shape):
        origins, wrappers = without_wrappers(origins, checkpoint)
        origins, prefixes = without_prefix(origins, shape, checkpoint)
        origins, forms = worked_out(origins, shape, checkpoint)
        notes += wrappers + prefixes + forms
    missing = missing_names(origins, shape)
    if missing:
        notes.append(new_head(checkpoint, shape, missing, origins))
    _refuse_twice(checkpoint, shape, origins)

    # What is left over: the class has no place for it.
    specs = [_spec(name, origin, checkpoint, shape) for name, origin in origins.items()]
    notes += _unused_note(specs, shape, drop_unused=drop_unused)
    if drop_unused:
        specs = [spec for spec in specs if not spec.is_unused]
    made = {name: origin for name, origin in origins.items() if origin != Origin((name,))}
    return dataclasses.replace(checkpoint, specs=tuple(specs), origins=made, notes=tuple(notes))


def _unused_note(specs: Iterable[TensorSpec], shape: ModelShape, *, drop_unused: bool) -> list[str]:
    unused = [spec.name for spec in specs if spec.is_unused and not shape.ignores(spec.name)]
    if not unused:
        return []
    done = "left as in the file; `drop_unused` leaves them out"
    if drop_unused:
        done = "left out"
    tensors = f"{count_of(unused)} of the checkpoint ({first_of(unused)})"
    return [f"{shape.class_name} does not use {tensors}: {done}"]


def check_loaded(path: Path, shape: ModelShape, missing: Iterable[str]) -> None:
    """Raise :class:`ModelError` if ``from_pretrained`` itself reports that it had no values for tensors.

    What a conversion of weights came to, it knows better than names can show.
    """
    required = set(shape.required)
    random = sorted(name for name in missing if name in required)
    if not random:
        return
    is_new_head = shape.head.issuperset(random)
    if is_new_head and allowed().new_head:
        return
    raise ModelError(
        f"{path}: transformers found no values for {count_of(random)} of {shape.class_name} "
        f"({first_of(random)}), and would make them random; save the model again with save_pretrained"
    )


def _fitted_quantized(checkpoint: Checkpoint, shape: ModelShape) -> Checkpoint:
    """Check that every module of a quantized model has something in the file; shapes are the format's own."""
    present = set()
    modules = set()
    for spec in checkpoint.specs:
        own = shape.find(spec.name).own
        present.add(own)
        modules.add(own.rpartition(".")[0])

    missing = []
    for name in shape.required:
        # A format may store ``weight`` under several other names, but always in the same module.
        module, _, attribute = name.rpartition(".")
        has_weight = attribute == "weight" and module in modules
        if name in present or has_weight or is_tied_to_any(name, shape, present):
            continue
        missing.append(name)
    if not missing:
        return checkpoint
    note = new_head(checkpoint, shape, missing, present)
    return dataclasses.replace(checkpoint, notes=(*checkpoint.notes, note))


def _refuse_twice(checkpoint: Checkpoint, shape: ModelShape, origins: Origins) -> None:
    """Raise if two tensors would be loaded into one parameter: which one wins is chance."""
    taken: dict[str, str] = {}
    for name in origins:
        own = shape.own_name(name)
        if own is None:
            continue
        if own in taken:
            raise ModelError(
                f"{checkpoint.path}: the tensors {taken[own]} and {name} are both {own} of "
                f"{shape.class_name}; save the one that is meant alone"
            )
        taken[own] = name


def _spec(name: str, origin: Origin, checkpoint: Checkpoint, shape: ModelShape) -> TensorSpec:
    """Describe a tensor under its new name."""
    # The part that has the weight's shape: of weight normalization the second one, after the lengths.
    part = origin.parts[0]
    if origin.formula == "weight_normed":
        part = origin.parts[-1]
    stored = checkpoint.stored[part]

    target = shape.find(name)
    if target.is_merged:
        return dataclasses.replace(stored, name=name, is_unused=False)
    parameter = shape.parameters.get(target.own)
    if parameter is not None and parameter.is_float and not stored.is_float:
        raise ModelError(
            f"{checkpoint.path / stored.file}: tensor {name} is {dtype_name(stored.dtype)}, expected a float "
            "dtype; the model is quantized already, compress the original instead"
        )
    return dataclasses.replace(stored, name=name, is_unused=parameter is None)
