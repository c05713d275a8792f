"""What each tensor is for, from the model class on the meta device: no weight is read or made.

The class is looked up among those that ``transformers`` has for the config's model type. A name in
``config.json`` that is not one of them, and code of the model's own, is refused: another class would load the
same file and give other answers. Attention kernels that a config asks for by name are not fetched: the class
is built with the plain ones.
"""

from __future__ import annotations

import dataclasses
import logging
import re
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

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.sentence_transformers import as_loaded
from prensa.errors import ModelError, RecipeError, first_line
from prensa.isolation import Shared, building
from prensa.spec import Role, TensorSpec


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter or buffer of the model class. A buffer may hold infinite values: masks do."""

    shape: tuple[int, ...]
    role: Role
    layer: str
    is_float: bool = True
    is_buffer: bool = False


@dataclasses.dataclass(frozen=True)
class Name:
    """The model's own name for a checkpoint's tensor.

    ``is_merged`` says that ``transformers`` joins it with others, or splits it, while loading; ``own`` is
    then where the first part goes.
    """

    own: str
    is_merged: bool = False


@dataclasses.dataclass(frozen=True)
class ModelShape:
    """A model class without weights: its parameters, which of them are tied, and how it is named on disk.

    ``tied`` maps the name of a tied parameter to the one it takes its values from. ``required`` are the
    names that a checkpoint must give values for, in the model's order, and ``head`` those of them outside of
    the base model. ``find`` gives the model's name for a checkpoint's tensor, ``own_name`` the same where it
    is one of its parameters and stored as it is, else None. ``ignores`` says that ``transformers`` expects
    to meet a name that the class has no place for.
    """

    parameters: Mapping[str, Parameter]
    tied: Mapping[str, str]
    own_name: Callable[[str], str | None]
    class_name: str = ""
    required: tuple[str, ...] = ()
    head: frozenset[str] = frozenset()
    find: Callable[[str], Name] = Name
    ignores: Callable[[str], bool] = lambda name: False

    def describe(self, spec: TensorSpec) -> TensorSpec:
        """Fill in role and layer. Raises :class:`RecipeError` where the config asks for another shape."""
        own = self.own_name(spec.name)
        if own is None:
            return spec
        parameter = self.parameters[own]
        if spec.shape != parameter.shape:
            raise RecipeError(
                f"{spec.file}: tensor {spec.name} has the shape {list(spec.shape)}, but config.json "
                f"asks for {list(parameter.shape)}; the two do not belong together"
            )
        return dataclasses.replace(spec, role=parameter.role, layer=parameter.layer, in_model=True)


def model_class(config: Any) -> Any:
    """Return the class that ``config.architectures`` names; the model type's base class where it names none.

    Raises :class:`ModelError` where that class is the model's own code, unless ``allowed().remote_code``, and
    where ``transformers`` has no such class for the model type.
    """
    wanted = (getattr(config, "architectures", None) or [""])[0]
    _, code = own_code_of(config)
    if code and allowed().remote_code:
        return _from_own_code(config, code)
    if code:
        raise RecipeError(
            f"{_where(config)}: the class {wanted or code.rpartition('.')[2]} is the model's own code "
            f"({code}), which is not run; give --trust-remote-code if you trust it, or compress --unchecked "
            "without texts (or, if transformers' class of that name is meant, remove auto_map)"
        )
    base = _names(modeling_auto.MODEL_MAPPING_NAMES.get(config.model_type, ""))
    known = _classes_of(config.model_type)
    for name in (wanted,) if wanted else base:
        if name in known or _is_class_for(name, config):
            return getattr(transformers, name)
    if wanted:
        raise RecipeError(
            f"{_where(config)}: architectures names the class {wanted}, which transformers "
            f"{transformers.__version__} does not have for the model type {config.model_type!r}; if it is "
            "your own, add its code with auto_map and give --trust-remote-code, or compress --unchecked "
            "without texts"
        )
    raise RecipeError(f"transformers has no model class for the model type {config.model_type!r}")


def _where(config: Any) -> str:
    return str(Path(config.name_or_path) / "config.json") if config.name_or_path else "config.json"


def own_code_of(config: Any) -> tuple[str, str]:
    """Return which auto class a model's own code stands for, and its reference (``modeling_x.XModel``).

    Both are empty for a model without own code. Of several classes the one that ``architectures`` names
    counts.
    """
    mapped = getattr(config, "auto_map", None)
    if not isinstance(mapped, Mapping):
        return "", ""
    wanted = (getattr(config, "architectures", None) or [""])[0]
    models = [
        (str(key), str(each)) for key, each in mapped.items() if str(key).startswith("AutoModel") and each
    ]
    named = [(key, each) for key, each in models if each.rpartition(".")[2] == wanted]
    return (named or models or [("", "")])[0]


def _from_own_code(config: Any, reference: str) -> Any:
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    try:
        return get_class_from_dynamic_module(reference, config.name_or_path)
    except Exception as error:
        reason = first_line(error)
        raise RecipeError(
            f"{_where(config)}: its own code {reference} cannot be imported ({reason})"
        ) from error


def _is_class_for(name: str, config: Any) -> bool:
    """Whether ``name`` is a model class of ``transformers`` made for this kind of config, listed or not."""
    found = getattr(transformers, name, None) if name.isidentifier() else None
    is_model = isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)
    return is_model and getattr(found, "config_class", None) is type(config)


def load_config(path: Path) -> Any:
    """Read the config as ``transformers`` understands it; its code is run only where that is allowed.

    Of a Sentence Transformers model it names the class that this library loads.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=allowed().remote_code)
    except Exception as error:
        reason = first_line(error)
        if "trust_remote_code" in str(error):
            reason = "it is the model's own code, which is not run; give --trust-remote-code if you trust it"
        raise ModelError(f"{path / 'config.json'}: transformers cannot use it ({reason})") from error
    return as_loaded(path, config)


def meta_model(path: Path) -> Any:
    """Build the model class of a directory on the meta device: names, shapes and modules, no values."""
    config = load_config(path)
    config._attn_implementation = "eager"
    try:
        with building(), torch.device("meta"), quiet_transformers():
            return model_class(config)(config)
    except RecipeError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise RecipeError(f"{path / 'config.json'}: the model class cannot be built ({reason})") from error


def model_shape(path: Path) -> ModelShape:
    """Build the model class of a directory on the meta device and list what it holds."""
    model = meta_model(path)
    tied = dict(model.all_tied_weights_keys)
    parameters = _parameters(model, tied)
    for target, source in tied.items():  # it holds the other's values, whatever module it is in
        parameters[target] = parameters[source]
    required = _required(model, parameters, tied)
    return ModelShape(
        parameters,
        tied,
        own_names(model),
        class_name=type(model).__name__,
        required=required,
        head=frozenset(name for name in required if _is_of_head(model, name)),
        find=_names_found(model),
        ignores=_ignored(model),
    )


def _required(model: Any, parameters: Mapping[str, Parameter], tied: Mapping[str, str]) -> tuple[str, ...]:
    """Name what a checkpoint must hold.

    That is every parameter and every stored buffer of numbers, but for tied ones, whose values come from
    another, and those that the class itself declares to do without. Buffers of integers (positions) are
    computed.
    """
    patterns = "|".join(f"({each})" for each in model._keys_to_ignore_on_load_missing or ())
    stored = [name for name in model.state_dict() if name not in tied and name in parameters]
    needed = [name for name in stored if parameters[name].is_float or not parameters[name].is_buffer]
    return tuple(name for name in needed if not (patterns and re.search(patterns, name)))


def _is_of_head(model: Any, name: str) -> bool:
    """Whether a parameter lies outside of the base model, or in the pooler that heads read from."""
    prefix = f"{model.base_model_prefix}."
    base = model.base_model is not model
    inside = name.removeprefix(prefix)
    return inside.startswith("pooler.") or (base and not name.startswith(prefix))


def _ignored(model: Any) -> Callable[[str], bool]:
    """Return a function: does the class, or transformers, expect a name that it has no place for."""
    patterns = [*(model._keys_to_ignore_on_load_unexpected or ())]
    patterns += [r"rotary_emb\.inv_freq", r"(^|\.)position_ids$"]  # buffers of earlier versions
    pattern = re.compile("|".join(f"({each})" for each in patterns))
    return lambda name: pattern.search(name) is not None


def own_names(model: Any) -> Callable[[str], str | None]:
    """Return a function from a checkpoint's tensor names to the model's, as ``from_pretrained`` would rename.

    That adds or strips the base model's prefix and follows the renamings that ``transformers`` knows for the
    model type. A tensor that is merged with others or split on loading has no name of its own in the model,
    nor has one that the model computes another from (``torch.nn.utils.parametrize``).
    """
    find = _names_found(model)
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)} | set(model.state_dict())

    def own_name(name: str) -> str | None:
        found = find(name)
        is_plain = not found.is_merged and found.own in names and ".parametrizations." not in found.own
        return found.own if is_plain else None

    return own_name


def _names_found(model: Any) -> Callable[[str], Name]:
    transforms = get_model_conversion_mapping(model)
    renamings = [each for each in transforms if isinstance(each, WeightRenaming)]
    converters = [each for each in transforms if isinstance(each, WeightConverter)]
    state = model.state_dict()

    def find(name: str) -> Name:
        renamed, merged = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        return Name(renamed, merged is not None)

    return find


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
            found[full] = Parameter(
                tuple(tensor.shape),
                role,
                type(module).__name__,
                is_float=tensor.is_floating_point(),
                is_buffer=name in module._buffers,
            )
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
