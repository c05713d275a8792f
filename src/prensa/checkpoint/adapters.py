"""PEFT adapters are merged into their base model first: what is compressed or run is one whole model.

The base model is the one that ``adapter_config.json`` names, as ``from_pretrained`` has it, else the one that
lies beside the adapter. The merged model goes to a temporary directory, with the tokenizer of the adapter or
of the base model, and is there until this process ends. ``peft`` reads and merges the adapter; nothing is
imported by a name that stands in a file.
"""

from __future__ import annotations

import functools
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open

from prensa.checkpoint.companions import ADAPTER_CONFIG, ADAPTER_WEIGHTS, copy_companions
from prensa.checkpoint.reader import WEIGHT_FILES
from prensa.checkpoint.roles import load_config, model_class, quiet_transformers
from prensa.errors import ModelError, first_line
from prensa.extras import require
from prensa.temporary import directory_until_exit, temporary_directory

_PREFIX = "base_model.model."  # of the names in an adapter's file
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


@dataclass(frozen=True)
class _Adapter:
    """An adapter's directory, the settings in it, and the file with its weights."""

    path: Path
    settings: Mapping[str, Any]
    weights: Path


def is_adapter(path: Path) -> bool:
    """Whether a directory holds an adapter, alone or beside a model."""
    return (path / ADAPTER_CONFIG).is_file()


def merged(path: Path, locate: Locate) -> Path:
    """Return a directory with the base model that the adapter in ``path`` was merged into.

    ``locate`` finds a base model by its name. Asked again in the same process for files that have not changed
    it returns the same directory. Raises :class:`ModelError` for what cannot be merged, and
    :class:`~prensa.errors.MissingPackageError` without ``peft``.
    """
    require("peft", f"{path}: an adapter, which is merged into its base model first,")
    adapter = _read(path.resolve())
    state = tuple((each.name, each.stat().st_mtime_ns) for each in sorted(adapter.path.iterdir()))
    return _merged(adapter.path, state, locate)


@functools.lru_cache(maxsize=8)
def _merged(path: Path, state: tuple[tuple[str, int], ...], locate: Locate) -> Path:  # noqa: ARG001  a key
    adapter = _read(path)
    base = _base(adapter, locate)
    with temporary_directory() as place:
        # transformers would load the adapter that lies beside a model, too.
        view = _without_adapter(base, place / base.name)
        model, lacking = _load_base(adapter, view)
        whole = _merge(adapter, model)
    kept = {name: each for name, each in whole.state_dict().items() if name not in lacking}
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
    try:
        settings = json.loads((path / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path / ADAPTER_CONFIG}: not readable as JSON ({first_line(error)})") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("peft_type"), str):
        raise ModelError(f"{path / ADAPTER_CONFIG}: expected a PEFT adapter's settings, found no peft_type")
    weights = next((path / name for name in ADAPTER_WEIGHTS if (path / name).is_file()), None)
    if weights is None:
        raise ModelError(
            f"{path}: {ADAPTER_CONFIG} without weights, expected {' or '.join(ADAPTER_WEIGHTS)} beside it; "
            f"copy them there, or, where this is a whole model, remove {ADAPTER_CONFIG}"
        )
    return _Adapter(path, settings, weights)


def _base(adapter: _Adapter, locate: Locate) -> Path:
    """Find the base model: by its name, else beside the adapter."""
    name = adapter.settings.get("base_model_name_or_path")
    has_own = any((adapter.path / file).is_file() for file in WEIGHT_FILES)
    if has_own and (not name or Path(str(name)).expanduser().resolve() == adapter.path):
        return adapter.path
    if not name or Path(str(name)).expanduser().resolve() == adapter.path:
        raise ModelError(
            f"{adapter.path}: no base model; put its path or its name on the hub into {ADAPTER_CONFIG} as "
            "base_model_name_or_path"
        )
    try:
        return locate(str(name)).resolve()
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


def _load_base(adapter: _Adapter, base: Path) -> tuple[Any, set[str]]:
    """Load the base model with the head that the adapter was trained with; name what it has no weights for.

    What the adapter brings itself, as a head, is not lacking.
    """
    own = (adapter.path / "config.json").is_file()
    config = load_config(adapter.path if own else base)
    if getattr(config, "quantization_config", None):
        method = dict(config.quantization_config).get("quant_method", "an unnamed method")
        raise ModelError(
            f"{adapter.path}: its base model is quantized ({method}), and an adapter is merged into full "
            f"weights; name the model that was quantized in {ADAPTER_CONFIG} as base_model_name_or_path"
        )
    shapes = {name.removeprefix(_PREFIX): shape for name, shape in _shapes(adapter.weights).items()}
    build = _CLASSES.get(str(adapter.settings.get("task_type")), model_class(config))
    try:
        with quiet_transformers():
            rows = _fit_head(config, build, shapes)
            model, found = build.from_pretrained(base, config=config, dtype="auto", output_loading_info=True)
            if rows is not None:
                model.resize_token_embeddings(rows)
    except Exception as error:
        raise ModelError(
            f"{adapter.path}: its base model {base.name} cannot be loaded as {build.__name__} "
            f"({first_line(error)})"
        ) from error
    return model, {name for name in found["missing_keys"] if name not in shapes}


def _fit_head(config: Any, build: Any, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Give a config as many labels as the adapter's head has; return how many pieces its embedding has.

    Neither number is among an adapter's settings. None where the vocabulary is the base model's.
    """
    with torch.device("meta"):
        own = build.from_config(config) if hasattr(build, "from_config") else build(config)
    rows = None
    pieces = getattr(config.get_text_config(), "vocab_size", None)
    for name, parameter in own.named_parameters():
        shape = shapes.get(name)
        if shape is None or shape[1:] != tuple(parameter.shape[1:]) or shape[0] == len(parameter):
            continue
        if len(parameter) == config.num_labels and len(parameter) != pieces:
            config.num_labels = shape[0]
        elif len(parameter) == pieces:
            rows = shape[0]
    return rows


def _shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    try:
        if weights.suffix == ".bin":
            tensors = torch.load(weights, map_location="meta", weights_only=True)
            return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        with safe_open(weights, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise ModelError(f"{weights}: not the weights of an adapter ({first_line(error)})") from error


def _merge(adapter: _Adapter, model: Any) -> Any:
    import peft

    kind = adapter.settings["peft_type"]
    try:
        with warnings.catch_warnings():  # what is missing is found out below
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


def _check_kind(adapter: _Adapter, settings: Any) -> None:
    kind = adapter.settings["peft_type"]
    if settings.is_prompt_learning or kind == "ADAPTION_PROMPT":
        raise ModelError(
            f"{adapter.path}: {kind} puts learned vectors before each text and changes no weight, so that it "
            "cannot be merged; use an adapter of weights, such as LoRA"
        )
    if adapter.settings.get("megatron_config"):  # peft would import what the settings name
        raise ModelError(f"{adapter.path}: an adapter of Megatron, which Prensa does not merge")


def _check_names(adapter: _Adapter, whole: Any) -> None:
    """Raise :class:`ModelError` unless the file holds what the settings ask for, and nothing else."""
    import peft

    in_file = set(_shapes(adapter.weights))
    expected = set(peft.get_peft_model_state_dict(whole, save_embedding_layers=False))
    missing = sorted(expected - in_file)
    if missing:
        raise ModelError(
            f"{adapter.weights}: {len(missing):,} tensors that {ADAPTER_CONFIG} requires are missing, the "
            f"first is {missing[0]}; the adapter and its settings or its base model do not belong together"
        )
    of_base = {f"{name}".replace(".base_layer.", ".") for name in whole.state_dict()}
    unknown = sorted(in_file - expected - of_base)
    if unknown:
        raise ModelError(
            f"{adapter.weights}: tensor {unknown[0]} fits nothing in the base model; name the model that the "
            f"adapter was trained on in {ADAPTER_CONFIG} as base_model_name_or_path"
        )
