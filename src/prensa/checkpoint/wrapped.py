"""What training tools put around a checkpoint's names: wrappers, prefixes, and weights stored in parts.

Each step takes what a tensor's name is made of and gives it back under the names that the class knows, with a
line on what was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from prensa.checkpoint.reader import Checkpoint, Origin
from prensa.checkpoint.roles import ModelShape
from prensa.errors import ModelError

Origins = Mapping[str, Origin]
Unwrapped = tuple[dict[str, Origin], list[str]]

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What ``torch.compile``, FSDP and activation checkpointing put into names, wherever a module is wrapped."""

_NORMED = "weight normalization was worked out in {} weights"
_DIVIDED = "spectral normalization was worked out in {} weights"
# Where torch.nn.utils.parametrize puts what a weight is made of.
_INSIDE = "{1}parametrizations.{2}."

_FORMS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("{0}_orig", "{0}_mask"), "masked", "pruning masks were multiplied into {} weights"),
    (("{0}_g", "{0}_v"), "weight_normed", _NORMED),
    ((f"{_INSIDE}original0", f"{_INSIDE}original1"), "weight_normed", _NORMED),
    (("{0}_orig", "{0}_u", "{0}_v"), "spectrally_normed", _DIVIDED),
    ((f"{_INSIDE}original", f"{_INSIDE}0._u", f"{_INSIDE}0._v"), "spectrally_normed", _DIVIDED),
)
"""Weights in parts: the names of the parts ({0} the weight's, {1} its module's, {2} its own), the function of
``ops.reparametrization`` that joins them, and what is reported."""


def missing_names(names: Iterable[str], shape: ModelShape) -> list[str]:
    """List the required tensors that nothing gives values for."""
    present = set()
    joined = []
    for name in names:
        target = shape.find(name)
        if target.is_merged:
            # A fused tensor is split into its neighbours, experts are joined into one: the module that they
            # belong to counts.
            module = target.own.rsplit(".", 2)[0]
            joined.append(f"{module}.")
        else:
            present.add(target.own)

    missing = []
    modules = tuple(joined)
    for name in shape.required:
        if name in present or name.startswith(modules):
            continue
        if not is_tied_to_any(name, shape, present):
            missing.append(name)
    return missing


def is_tied_to_any(name: str, shape: ModelShape, present: set[str]) -> bool:
    """Whether a tensor that shares its values is there: ``from_pretrained`` then takes that one."""
    return any(source == name and target in present for target, source in shape.tied.items())


def without_wrappers(origins: Origins, checkpoint: Checkpoint) -> Unwrapped:
    """Take off what wrappers put in the middle of names."""
    renamed: dict[str, Origin] = {}
    counts: Counter[str] = Counter()
    for name, origin in origins.items():
        parts = name.split(".")
        for wrapper in _WRAPPERS:
            if wrapper in parts:
                counts[f"{wrapper}."] += 1
        plain = ".".join(part for part in parts if part not in _WRAPPERS)
        _put(renamed, plain, origin, checkpoint)
    notes = [f"{part!r} was taken off {count} tensor names" for part, count in counts.items()]
    return renamed, notes


def without_prefix(origins: Origins, shape: ModelShape, checkpoint: Checkpoint) -> Unwrapped:
    """Take off the prefix that lets most tensors find their place.

    That is ``module.``, ``model.``, ``base_model.model.`` … It is found and not listed, since a training
    module may call the model whatever it likes.
    """
    # For each prefix, the parameters that are found once it is taken off.
    covered: dict[str, set[str]] = {"": set()}
    for name in origins:
        for prefix in _prefixes(name):
            own = shape.own_name(name.removeprefix(prefix))
            if own is not None:
                covered.setdefault(prefix, set()).add(own)
    most = max(len(parameters) for parameters in covered.values())
    best = [prefix for prefix, parameters in covered.items() if len(parameters) == most]
    if "" in best:
        return dict(origins), []

    rivals = _outermost(best)
    if len(rivals) > 1:
        raise ModelError(
            f"{checkpoint.path}: holds {len(rivals)} models ({', '.join(rivals)}) that all fit "
            f"{shape.class_name}; save the one that is meant alone"
        )
    prefix = rivals[0]
    renamed: dict[str, Origin] = {}
    count = 0
    for name, origin in origins.items():
        count += name.startswith(prefix)
        _put(renamed, name.removeprefix(prefix), origin, checkpoint)
    return renamed, [f"{prefix!r} was taken off {count} tensor names"]


def _prefixes(name: str) -> list[str]:
    """``a.b.c`` → ``""``, ``a.``, ``a.b.``."""
    prefixes = [""]
    for part in name.split(".")[:-1]:
        prefixes.append(f"{prefixes[-1]}{part}.")
    return prefixes


def _outermost(prefixes: list[str]) -> list[str]:
    """Leave out those that begin with another one.

    ``model.bert.`` covers what ``model.`` does but for the head: only prefixes beside each other are rivals.
    """
    outermost = []
    for prefix in prefixes:
        shorter = [other for other in prefixes if other != prefix]
        if not prefix.startswith(tuple(shorter)):
            outermost.append(prefix)
    return outermost


def worked_out(origins: Origins, shape: ModelShape, checkpoint: Checkpoint) -> Unwrapped:
    """Join weights that are stored in parts, if the class wants the weight itself."""
    joined = dict(origins)
    counts: Counter[str] = Counter()
    for name in missing_names(origins, shape):
        for stored in _names_on_disk(name, shape):
            _join(stored, joined, counts)
    notes = [report.format(count) for report, count in counts.items()]
    return _in_file_order(joined, checkpoint), notes


def _join(stored: str, joined: dict[str, Origin], counts: Counter[str]) -> None:
    """Put a weight in the place of its parts, if all of them are there in one of the known forms."""
    module, dot, own = stored.rpartition(".")
    for parts, formula, report in _FORMS:
        names = [part.format(stored, module + dot, own) for part in parts]
        if not joined.keys() >= set(names):
            continue
        files = [joined.pop(name).parts[0] for name in names]
        joined[stored] = Origin(tuple(files), formula)
        counts[report] += 1
        return


def _names_on_disk(own: str, shape: ModelShape) -> list[str]:
    """Return the names a checkpoint may store a parameter under: with and without the base prefix."""
    names = [own]
    rest = own.partition(".")[2]
    if rest and shape.find(rest).own == own:
        names.append(rest)
    return names


def _in_file_order(origins: Origins, checkpoint: Checkpoint) -> dict[str, Origin]:
    # Results are written in the order of the file, whatever a weight's parts are called.
    places = {spec.name: at for at, spec in enumerate(checkpoint.specs)}

    def place(item: tuple[str, Origin]) -> int:
        return min(places[part] for part in item[1].parts)

    return dict(sorted(origins.items(), key=place))


def _put(renamed: dict[str, Origin], name: str, origin: Origin, checkpoint: Checkpoint) -> None:
    if name in renamed:
        both = f"{renamed[name].parts[0]} and {origin.parts[0]}"
        raise ModelError(
            f"{checkpoint.path}: the tensors {both} are both {name} without what a training tool put around "
            "the name; save the one that is meant alone"
        )
    renamed[name] = origin
