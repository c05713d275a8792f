"""PEFT adapters are merged into their base model first: what is compressed or run is one whole model.

The base model is the one that ``adapter_config.json`` names, as ``from_pretrained`` has it, else the one that
lies beside the adapter. The merged model goes to a temporary directory, with the tokenizer of the adapter or
of the base model, and is there until this process ends. ``peft`` reads and merges the adapter; nothing is
imported by a name that stands in a file.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from prensa.checkpoint.companions import ADAPTER_CONFIG, ADAPTER_WEIGHTS, copy_companions
from prensa.checkpoint.config import CONFIG_FILE, read_model_json
from prensa.checkpoint.headers import read_shapes
from prensa.checkpoint.roles import load_config, model_class, quiet_transformers
from prensa.checkpoint.weight_files import WEIGHT_FILES
from prensa.errors import ModelError, first_line
from prensa.extras import require
from prensa.files.temporary import directory_until_exit, temporary_directory

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PretrainedConfig, PreTrainedModel

# What stands before the base model's names in an adapter's file.
_PREFIX = "base_model.model."
_CLASSES = {
    "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    "TOKEN_CLS": transformers.AutoModelForTokenClassification,
    "CAUSAL_LM": transformers.AutoModelForCausalLM,
    "SEQ_2_SEQ_LM": transformers.AutoModelForSeq2SeqLM,
    "QUESTION_ANS": transformers.AutoModelForQuestionAnswering,
    "FEATURE_EXTRACTION": transformers.AutoModel,
}

_log = logging.getLogger(__name__)

Locate = Callable[[str], Path]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Adapter:
    """An adapter's directory, the settings in it, and the file with its weights."""

    path: Path
    settings: Mapping[str, object]
    weights: Path


def merged(path: Path, locate: Locate) -> Path:
    """Return a directory with the base model that the adapter in ``path`` was merged into.

    ``locate`` finds a base model by its name. Called again in the same process for files that have not
    changed it returns the same directory. Raises :class:`ModelError` for what cannot be merged, and
    :class:`~prensa.errors.MissingPackageError` without ``peft``.
    """
    require("peft", f"{path}: an adapter, which is merged into its base model first,")
    adapter = _read(path.resolve())
    state = []
    for file in sorted(adapter.path.iterdir()):
        written = file.stat().st_mtime_ns
        state.append((file.name, written))
    return _merged(adapter.path, tuple(state), locate)


# ``state`` is not read: it makes the cache forget a directory whose files were written again.
@functools.lru_cache(maxsize=8)
def _merged(path: Path, state: tuple[tuple[str, int], ...], locate: Locate) -> Path:
    adapter = _read(path)
    base = _base(adapter, locate)
    with temporary_directory() as place:
        # transformers would load the adapter that lies beside a model, too.
        view = _without_adapter(base, place / base.name)
        model, lacking = _load_base(adapter, view)
        whole = _merge(adapter, model)

    # What neither base nor adapter has values for was made random on loading. Left out of the file, it is
    # missing there as well, and refused like any other head without weights.
    kept = {name: tensor for name, tensor in whole.state_dict().items() if name not in lacking}
    with directory_until_exit() as place:
        target = place / path.name
        target.mkdir()
        whole.save_pretrained(target, state_dict=kept)
        for source in (path, base):
            copy_companions(source, target)
    kind = adapter.settings["peft_type"]
    _log.warning("%s: a PEFT adapter (%s), merged into its base model %s first", path, kind, base)
    return target


def _read(path: Path) -> _Adapter:
    file = path / ADAPTER_CONFIG
    settings = read_model_json(file)
    if not isinstance(settings, dict) or not isinstance(settings.get("peft_type"), str):
        raise ModelError(f"{file}: expected a PEFT adapter's settings, found no peft_type")
    for name in ADAPTER_WEIGHTS:
        if (path / name).is_file():
            return _Adapter(path, settings, path / name)
    raise ModelError(
        f"{path}: {ADAPTER_CONFIG} without weights, expected {' or '.join(ADAPTER_WEIGHTS)} beside it; "
        f"copy them there, or, if this is a whole model, remove {ADAPTER_CONFIG}"
    )


def _base(adapter: _Adapter, locate: Locate) -> Path:
    """Find the base model: by its name, else beside the adapter."""
    has_own = any((adapter.path / file).is_file() for file in WEIGHT_FILES)
    name = str(adapter.settings.get("base_model_name_or_path") or "")
    # An adapter saved from a local model may name the directory that it lies in now.
    names_itself = bool(name) and Path(name).expanduser().resolve() == adapter.path
    if not name or names_itself:
        if has_own:
            return adapter.path
        raise ModelError(
            f"{adapter.path}: no base model; put its path or its name on the hub into {ADAPTER_CONFIG} as "
            "base_model_name_or_path"
        )
    try:
        return locate(name).resolve()
    except ModelError as error:
        if has_own:
            return adapter.path
        raise ModelError(
            f"{adapter.path}: the base model of the adapter was not found ({error}); put its path or its "
            f"name on the hub into {ADAPTER_CONFIG} as base_model_name_or_path"
        ) from error


def _without_adapter(base: Path, view: Path) -> Path:
    view.mkdir()
    for file in base.iterdir():
        if file.name != ADAPTER_CONFIG and file.name not in ADAPTER_WEIGHTS:
            (view / file.name).symlink_to(file.resolve())
    return view


def _load_base(adapter: _Adapter, base: Path) -> tuple[PreTrainedModel, set[str]]:
    """Load the base model with the head that the adapter was trained with; name what it has no weights for.

    A head that the adapter itself brings is not lacking.
    """
    # The adapter's own config goes first: it may have other labels than the base model's.
    source = base
    if (adapter.path / CONFIG_FILE).is_file():
        source = adapter.path
    config = load_config(source)
    if getattr(config, "quantization_config", None):
        method = dict(config.quantization_config).get("quant_method", "an unnamed method")
        raise ModelError(
            f"{adapter.path}: its base model is quantized ({method}), and an adapter is merged into full "
            f"weights; name the model that was quantized in {ADAPTER_CONFIG} as base_model_name_or_path"
        )

    shapes = {}
    for name, shape in _shapes(adapter.weights).items():
        shapes[name.removeprefix(_PREFIX)] = shape
    build = _CLASSES.get(str(adapter.settings.get("task_type")), model_class(config))
    try:
        with quiet_transformers():
            rows = _fit_head(config, build, shapes)
            model, loading = build.from_pretrained(
                base, config=config, dtype="auto", output_loading_info=True
            )
            if rows is not None:
                model.resize_token_embeddings(rows)
    except Exception as error:
        raise ModelError(
            f"{adapter.path}: its base model {base.name} cannot be loaded as {build.__name__} "
            f"({first_line(error)})"
        ) from error
    lacking = {name for name in loading["missing_keys"] if name not in shapes}
    return model, lacking


def _fit_head(
    config: PretrainedConfig,
    build: type[PreTrainedModel],
    shapes: Mapping[str, Shape],
) -> int | None:
    """Give a config as many labels as the adapter's head has; return how many tokens its embedding has.

    Neither number is among an adapter's settings. None if the vocabulary is the base model's.
    """
    with torch.device("meta"):
        # The auto classes of ``_CLASSES`` cannot be called, and have a method that builds from a config.
        make = getattr(build, "from_config", build)
        model = make(config)
    rows = None
    tokens = getattr(config.get_text_config(), "vocab_size", None)
    for name, parameter in model.named_parameters():
        shape = shapes.get(name)
        if shape is None or shape[1:] != tuple(parameter.shape[1:]):
            continue
        before, after = len(parameter), shape[0]
        if before == after:
            continue
        # The same count of labels and tokens would leave open which it is; then it is the vocabulary.
        if before == config.num_labels and before != tokens:
            config.num_labels = after
        elif before == tokens:
            rows = after
    return rows


def _shapes(weights: Path) -> dict[str, Shape]:
    try:
        if weights.suffix != ".bin":
            return read_shapes(weights)
        # On the meta device nothing but names and shapes is read.
        tensors = torch.load(weights, map_location="meta", weights_only=True)
        return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    except Exception as error:
        raise ModelError(f"{weights}: not the weights of an adapter ({first_line(error)})") from error


def _merge(adapter: _Adapter, model: PreTrainedModel) -> PreTrainedModel:
    import peft

    kind = adapter.settings["peft_type"]
    try:
        # peft only warns of what is missing; _check_names raises.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = peft.PeftConfig.from_pretrained(str(adapter.path))
            _check_kind(adapter, settings)
            whole = peft.PeftModel.from_pretrained(model, str(adapter.path), config=settings)
            _check_names(adapter, whole)
            return whole.merge_and_unload(safe_merge=True)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{adapter.path}: peft cannot merge this adapter ({kind}: {first_line(error)})"
        ) from error


def _check_kind(adapter: _Adapter, settings: PeftConfig) -> None:
    kind = adapter.settings["peft_type"]
    if settings.is_prompt_learning or kind == "ADAPTION_PROMPT":
        raise ModelError(
            f"{adapter.path}: {kind} puts learned vectors before each text and changes no weight, so that it "
            "cannot be merged; use an adapter of weights, such as LoRA"
        )
    # peft would import what the settings name.
    if adapter.settings.get("megatron_config"):
        raise ModelError(f"{adapter.path}: an adapter of Megatron, which Prensa does not merge")


def _check_names(adapter: _Adapter, whole: PeftModel) -> None:
    """Raise :class:`ModelError` unless the file holds what the settings require, and nothing else."""
    import peft

    in_file = set(_shapes(adapter.weights))
    expected = set(peft.get_peft_model_state_dict(whole, save_embedding_layers=False))
    missing = sorted(expected - in_file)
    if missing:
        raise ModelError(
            f"{adapter.weights}: {len(missing):,} tensors that {ADAPTER_CONFIG} requires are missing, the "
            f"first is {missing[0]}; the adapter and its settings or its base model do not belong together"
        )

    # peft puts the layers that an adapter changes under ``base_layer``; the file may hold them all the same.
    of_base = {name.replace(".base_layer.", ".") for name in whole.state_dict()}
    unknown = sorted(in_file - expected - of_base)
    if unknown:
        raise ModelError(
            f"{adapter.weights}: tensor {unknown[0]} fits nothing in the base model; name the model that the "
            f"adapter was trained on in {ADAPTER_CONFIG} as base_model_name_or_path"
        )
