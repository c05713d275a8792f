"""What each tensor is for, from the model class on the meta device: no weight is read or made.

The class is looked up among those that ``transformers`` maps to the config's model type; a name in
``config.json`` that is not one of them resolves to nothing. Attention kernels that a config asks for by
name are not fetched: the class is built with the plain ones.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.models.auto import modeling_auto
from transformers.pytorch_utils import Conv1D

from prensa.errors import CheckpointError, PlanError, first_line
from prensa.isolation import Shared, building
from prensa.spec import Role, TensorSpec


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter or buffer of the model class."""

    shape: tuple[int, ...]
    role: Role
    layer: str


@dataclasses.dataclass(frozen=True)
class ModelShape:
    """A model class without weights: its parameters, which of them are tied, and how it is named on disk.

    ``tied`` maps the name of a tied parameter to the one it takes its values from. ``own_name`` gives the
    model's name for a checkpoint's tensor, None where it has none.
    """

    parameters: Mapping[str, Parameter]
    tied: Mapping[str, str]
    own_name: Callable[[str], str | None]

    def describe(self, spec: TensorSpec) -> TensorSpec:
        """Fill in role and layer. Raises :class:`PlanError` where the config asks for another shape."""
        own = self.own_name(spec.name)
        if own is None:
            return spec
        parameter = self.parameters[own]
        if spec.shape != parameter.shape:
            raise PlanError(
                f"{spec.file}: tensor {spec.name} has the shape {list(spec.shape)}, but config.json "
                f"asks for {list(parameter.shape)}; the two do not belong together"
            )
        return dataclasses.replace(spec, role=parameter.role, layer=parameter.layer, in_model=True)


def model_class(config: Any) -> Any:
    """Return the class that ``config.architectures`` names, or the model type's base class."""
    wanted = (getattr(config, "architectures", None) or [""])[0]
    mapped = _classes_of(config.model_type)
    base = modeling_auto.MODEL_MAPPING_NAMES.get(config.model_type, "")
    for name in (wanted, *_names(base)):
        if name in mapped:
            return getattr(transformers, name)
    raise PlanError(f"transformers has no model class for the model type {config.model_type!r}")


def load_config(path: Path) -> Any:
    """Read the config as ``transformers`` understands it, without running code from it."""
    try:
        return transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
    except Exception as error:
        reason = first_line(error)
        raise CheckpointError(f"{path / 'config.json'}: transformers cannot use it ({reason})") from error


def model_shape(path: Path) -> ModelShape:
    """Build the model class of a directory on the meta device and list what it holds."""
    config = load_config(path)
    config._attn_implementation = "eager"
    try:
        with building(), torch.device("meta"), quiet_transformers():
            model = model_class(config)(config)
    except PlanError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise PlanError(f"{path / 'config.json'}: the model class cannot be built ({reason})") from error
    tied = dict(model.all_tied_weights_keys)
    parameters = _parameters(model, tied)
    for target, source in tied.items():  # it holds the other's values, whatever module it is in
        parameters[target] = parameters[source]
    return ModelShape(parameters, tied, own_names(model))


def own_names(model: Any) -> Callable[[str], str | None]:
    """Return a function from a checkpoint's tensor names to the model's, as ``from_pretrained`` would rename.

    That adds or strips the base model's prefix and follows the renamings that ``transformers`` knows for the
    model type. A tensor that is merged with others or split on loading has no name of its own in the model,
    nor has one that the model computes another from (``torch.nn.utils.parametrize``).
    """
    transforms = get_model_conversion_mapping(model)
    renamings = [each for each in transforms if isinstance(each, WeightRenaming)]
    converters = [each for each in transforms if isinstance(each, WeightConverter)]
    state = model.state_dict()
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)} | set(state)

    def own_name(name: str) -> str | None:
        renamed, merged = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        is_plain = merged is None and renamed in names and ".parametrizations." not in renamed
        return renamed if is_plain else None

    return own_name


def quiet_transformers() -> AbstractContextManager[None]:
    """Keep the library's remarks on half-built models from the terminal."""
    return _QUIET


@contextmanager
def _errors_alone() -> Iterator[None]:
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


_QUIET = Shared(_errors_alone)


def _classes_of(model_type: str) -> set[str]:
    tables = (value for key, value in vars(modeling_auto).items() if key.endswith("MAPPING_NAMES"))
    return {name for table in tables for name in _names(table.get(model_type, ""))}


def names_in(table: Mapping[str, str | Iterable[str]]) -> set[str]:
    """List the classes in one of the library's tables, whose values are one name or several."""
    return {name for entry in table.values() for name in _names(entry)}


def _names(entry: str | Iterable[str]) -> tuple[str, ...]:
    names = (entry,) if isinstance(entry, str) else entry
    return tuple(name for name in names if name)


def _parameters(model: Any, tied: Mapping[str, str]) -> dict[str, Parameter]:
    head = _head_module(model, tied)
    found = {}
    for module_name, module in model.named_modules():
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            if tensor is None:
                continue
            full = f"{module_name}.{name}" if module_name else name
            role = "head" if module_name == head and name in {"weight", "bias"} else _role(module, name)
            found[full] = Parameter(tuple(tensor.shape), role, type(module).__name__)
    return found


def _role(module: torch.nn.Module, name: str) -> Role:
    if "norm" in type(module).__name__.lower():
        return "norm"
    if name == "weight" and isinstance(module, torch.nn.Embedding):
        return "embedding"
    if name == "weight" and isinstance(module, (torch.nn.Linear, Conv1D)):
        return "linear"
    return "bias" if name == "bias" else "other"


def _head_module(model: Any, tied: Mapping[str, str]) -> str | None:
    """Find the layer that makes the outputs, by the rule of ``transformers``' own quantizers.

    That is the output embedding, else the module that owns the last parameter. A tied output layer
    is no head: its values are the embedding's.
    """
    output = model.get_output_embeddings()
    if output is None:
        last = [name for name, _ in model.named_parameters()][-1]
        name = last.rpartition(".")[0]
    else:
        name = next(name for name, module in model.named_modules() if module is output)
    return None if f"{name}.weight" in tied else name
