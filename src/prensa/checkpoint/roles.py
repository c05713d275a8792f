"""What each tensor is for, from the model class on the meta device: no weight is read or made.

The class is looked up among those that ``transformers`` has for the config's model type. A name in
``config.json`` that is not one of them, and code of the model's own, is refused: another class would load the
same file and give other answers. Attention kernels that a config names are not fetched: the class
is built with the plain ones.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.pytorch_utils import Conv1D

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.config import CONFIG_FILE
from prensa.checkpoint.renaming import Name, ignored_names, names_found, own_names
from prensa.checkpoint.sentence_transformers import as_loaded
from prensa.checkpoint.structure import reshape, structure_of
from prensa.errors import ModelError, first_line
from prensa.ops.spec import Role, TensorSpec
from prensa.sharing import Shared, building

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter or buffer of the model class. A buffer may hold infinite values: masks do."""

    shape: tuple[int, ...]
    role: Role
    layer: str
    is_float: bool = True
    is_buffer: bool = False


@dataclasses.dataclass(frozen=True)
class ModelShape:
    """A model class without weights: its parameters, which of them are tied, and how it is named on disk.

    ``tied`` maps the name of a tied parameter to the one it takes its values from. ``required`` are the
    names that a checkpoint must give values for, in the model's order, and ``head`` those of them outside of
    the base model. ``find`` gives the model's name for a checkpoint's tensor, ``own_name`` the same if it
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
        """Fill in role and layer. Raises :class:`ModelError` if the config requires another shape."""
        own = self.own_name(spec.name)
        if own is None:
            return spec
        parameter = self.parameters[own]
        if spec.shape != parameter.shape:
            raise ModelError(
                f"{spec.file}: tensor {spec.name} has the shape {list(spec.shape)}, but config.json "
                f"requires {list(parameter.shape)}; the two do not belong together"
            )
        return dataclasses.replace(spec, role=parameter.role, layer=parameter.layer, in_model=True)


def model_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """Return the class that ``config.architectures`` names, or else the model type's base class.

    Raises :class:`ModelError` if that class is the model's own code, unless ``allowed().remote_code``, and
    if ``transformers`` has no such class for the model type.
    """
    wanted = _wanted_class(config)
    _, code = own_code_of(config)
    if code and allowed().remote_code:
        return _from_own_code(config, code)
    if code:
        raise ModelError(
            f"{_where(config)}: the class {wanted or code.rpartition('.')[2]} is the model's own code "
            f"({code}), which is not run; give `trust_remote_code` if you trust it, or compress it "
            "`unchecked` without texts (or, if transformers' class of that name is meant, remove auto_map)"
        )

    candidates = _names(modeling_auto.MODEL_MAPPING_NAMES.get(config.model_type, ""))
    if wanted:
        candidates = (wanted,)
    known = _classes_of(config.model_type)
    for name in candidates:
        if name in known or _is_class_for(name, config):
            known_class: type[PreTrainedModel] = getattr(transformers, name)
            return known_class
    if wanted:
        raise ModelError(
            f"{_where(config)}: architectures names the class {wanted}, which transformers "
            f"{transformers.__version__} does not have for the model type {config.model_type!r}; if it is "
            "your own, add its code with auto_map and give `trust_remote_code`, or compress it `unchecked` "
            "without texts"
        )
    raise ModelError(f"transformers has no model class for the model type {config.model_type!r}")


def _wanted_class(config: PretrainedConfig) -> str:
    """Return the first class that ``config.json`` names, empty if it names none."""
    architectures = getattr(config, "architectures", None)
    if not architectures:
        return ""
    return str(architectures[0])


def _where(config: PretrainedConfig) -> str:
    if not config.name_or_path:
        return CONFIG_FILE
    return str(Path(config.name_or_path) / CONFIG_FILE)


def own_code_of(config: PretrainedConfig) -> tuple[str, str]:
    """Return which auto class a model's own code stands for, and its reference (``modeling_x.XModel``).

    Both are empty for a model without own code. Of several classes the one that ``architectures`` names
    counts.
    """
    auto_map = getattr(config, "auto_map", None)
    if not isinstance(auto_map, Mapping):
        return "", ""
    wanted = _wanted_class(config)
    models = []
    for auto_class, reference in auto_map.items():
        # Others stand for a config or a tokenizer of the same code.
        if str(auto_class).startswith("AutoModel") and reference:
            models.append((str(auto_class), str(reference)))
    for auto_class, reference in models:
        if reference.rpartition(".")[2] == wanted:
            return auto_class, reference
    if not models:
        return "", ""
    return models[0]


def _from_own_code(config: PretrainedConfig, reference: str) -> type[PreTrainedModel]:
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    try:
        own_class: type[PreTrainedModel] = get_class_from_dynamic_module(reference, config.name_or_path)
    except Exception as error:
        reason = first_line(error)
        raise ModelError(
            f"{_where(config)}: its own code {reference} cannot be imported ({reason})"
        ) from error
    return own_class


def _is_class_for(name: str, config: PretrainedConfig) -> bool:
    """Whether ``name`` is a model class of ``transformers`` made for this kind of config, listed or not."""
    # The name stands in a file: only an attribute may be looked up by it, never a path.
    if not name.isidentifier():
        return False
    candidate = getattr(transformers, name, None)
    if not isinstance(candidate, type) or not issubclass(candidate, transformers.PreTrainedModel):
        return False
    return getattr(candidate, "config_class", None) is type(config)


def load_config(path: Path) -> PretrainedConfig:
    """Read the config as ``transformers`` understands it; its code is run only if that is allowed.

    Of a Sentence Transformers model it names the class that this library loads. Raises :class:`ModelError`.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=allowed().remote_code)
    except Exception as error:
        reason = first_line(error)
        if "trust_remote_code" in str(error):
            reason = "it is the model's own code, which is not run; give `trust_remote_code` if you trust it"
        raise ModelError(f"{path / CONFIG_FILE}: transformers cannot use it ({reason})") from error
    return as_loaded(path, config)


def meta_model(path: Path) -> PreTrainedModel:
    """Build the model class of a directory on the meta device: names, shapes and modules, no values.

    Modules that the config lists as narrower are. Raises :class:`ModelError`, and
    :class:`~prensa.errors.FormatError` if that list is damaged.
    """
    config = load_config(path)
    structure = structure_of(config)
    # Kernels that a config names are fetched from the hub when the class is built with them.
    config._attn_implementation = "eager"
    try:
        with building(), torch.device("meta"), quiet_transformers():
            model = model_class(config)(config)
    except ModelError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise ModelError(f"{path / CONFIG_FILE}: the model class cannot be built ({reason})") from error
    if structure is not None:
        reshape(model, structure)
    return model


def model_shape(path: Path) -> ModelShape:
    """Build the model class of a directory on the meta device and list what it holds."""
    model = meta_model(path)
    tied = dict(model.all_tied_weights_keys)
    parameters = _parameters(model, tied)
    # A tied parameter holds the other's values, whatever module it is in, and is stored as that one is.
    for target, source in tied.items():
        parameters[target] = parameters[source]

    required = _required(model, parameters, tied)
    head = frozenset(name for name in required if _is_of_head(model, name))
    return ModelShape(
        parameters,
        tied,
        own_names(model),
        class_name=type(model).__name__,
        required=required,
        head=head,
        find=names_found(model),
        ignores=ignored_names(model),
    )


def _required(
    model: PreTrainedModel,
    parameters: Mapping[str, Parameter],
    tied: Mapping[str, str],
) -> tuple[str, ...]:
    """Name what a checkpoint must hold.

    That is every parameter and every stored buffer of numbers, but for tied ones, whose values come from
    another, and those that the class itself declares to do without.
    """
    may_be_missing = "|".join(f"({each})" for each in model._keys_to_ignore_on_load_missing or ())
    required = []
    for name in model.state_dict():
        if name in tied or name not in parameters:
            continue
        # Buffers of integers (positions) are computed.
        parameter = parameters[name]
        if parameter.is_buffer and not parameter.is_float:
            continue
        # No pattern at all would fit every name.
        if may_be_missing and re.search(may_be_missing, name):
            continue
        required.append(name)
    return tuple(required)


def _is_of_head(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter lies outside of the base model, or in the pooler that heads read from."""
    prefix = f"{model.base_model_prefix}."
    # A pooler is in the base model, but was not trained with it: BERT's for masked words has none.
    if name.removeprefix(prefix).startswith("pooler."):
        return True
    has_head = model.base_model is not model
    return has_head and not name.startswith(prefix)


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
    """List the classes that any of the library's auto classes has for a model type."""
    classes: set[str] = set()
    for table_name, table in vars(modeling_auto).items():
        if table_name.endswith("MAPPING_NAMES"):
            classes.update(_names(table.get(model_type, "")))
    return classes


def names_in(table: Mapping[str, str | Iterable[str]]) -> set[str]:
    """List the classes in one of the library's tables, whose values are one name or several."""
    classes: set[str] = set()
    for entry in table.values():
        classes.update(_names(entry))
    return classes


def _names(entry: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(entry, str):
        entry = (entry,)
    return tuple(name for name in entry if name)


def _parameters(model: PreTrainedModel, tied: Mapping[str, str]) -> dict[str, Parameter]:
    head = _head_module(model, tied)
    parameters = {}
    for module_name, module in model.named_modules():
        # Not named_parameters(): that leaves out all but one of those that share a tensor.
        own = {**module._parameters, **module._buffers}
        for name, tensor in own.items():
            if tensor is None:
                continue
            role = role_of(module, name)
            if module_name == head and name in {"weight", "bias"}:
                role = "head"
            full = f"{module_name}.{name}".removeprefix(".")
            parameters[full] = Parameter(
                tuple(tensor.shape),
                role,
                type(module).__name__,
                is_float=tensor.is_floating_point(),
                is_buffer=name in module._buffers,
            )
    return parameters


def role_of(module: torch.nn.Module, name: str) -> Role:
    """Return what a module's own parameter or buffer is for, whatever the model around it is."""
    # By its class's name: every model has its own normalization.
    if "norm" in type(module).__name__.lower():
        return "norm"
    if name == "bias":
        return "bias"
    if name != "weight":
        return "other"
    if isinstance(module, torch.nn.Embedding):
        return "embedding"
    if isinstance(module, (torch.nn.Linear, Conv1D)):
        return "linear"
    return "other"


def _head_module(model: PreTrainedModel, tied: Mapping[str, str]) -> str | None:
    """Find the layer that makes the outputs, by the rule of ``transformers``' own quantizers.

    That is the output embedding, else the module that owns the last parameter. A tied output layer
    is no head: its values are the embedding's.
    """
    output = model.get_output_embeddings()
    head = ""
    if output is None:
        *_, (last, _) = model.named_parameters()
        head = last.rpartition(".")[0]
    else:
        for name, module in model.named_modules():
            if module is output:
                head = name
                break
    if f"{head}.weight" in tied:
        return None
    return head
