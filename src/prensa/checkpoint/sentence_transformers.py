"""What a Sentence Transformers model is made of: ``modules.json`` and the settings beside it.

Sentence Transformers keeps a whole chain in a directory: a Transformer, then what turns its tokens' vectors
into one (pooling, dense layers, normalization). This file reads which modules there are and what the
Transformer does with a text; ``prensa.runtime.text_vector`` computes the rest of the chain. No class is
looked up by a name from a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from transformers.models.auto import modeling_auto

from prensa.errors import ModelError

MODULES_FILE = "modules.json"
_SETTINGS_FILE = "config_sentence_transformers.json"
_INPUT_FILES = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_LIBRARY = "sentence_transformers."
_TRANSFORMER = "Transformer"
_PLACEHOLDERS = {"query": "", "document": ""}  # prompts that every model of the library has

# The library loads the encoder alone of these, whatever class their config names.
_ENCODERS = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "t5gemma": "T5GemmaEncoderModel",
}
_HEADS = (
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
)

# Settings of the Transformer that change no vector, or that are followed.
_HARMLESS = {
    "max_seq_length",
    "do_lower_case",
    "unpad_inputs",
    "query_length",  # these four belong to encode_query() and encode_document()
    "document_length",
    "query_expansion",
    "track_media_counts",
}
_LOADING = {
    *("add_pooling_layer", "attn_implementation", "torch_dtype", "dtype", "low_cpu_mem_usage"),
    *("use_safetensors", "use_cache", "model_max_length", "padding_side", "use_fast", "max_length"),
    *("truncation", "padding"),
}
_LOADING_KEYS = {
    *("model_args", "tokenizer_args", "config_args", "model_kwargs", "processor_kwargs", "config_kwargs"),
    "processing_kwargs",
}


@dataclass(frozen=True)
class Module:
    """One step of the chain: its class's name, with the package in front if that is not the library's own."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class Chain:
    """The modules of a Sentence Transformers model, in order.

    ``root`` holds ``modules.json``. ``settings`` are those of the whole model (prompts, dimensions),
    ``inputs`` those of the Transformer (lengths, case).
    """

    root: Path
    modules: tuple[Module, ...]
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]

    @property
    def transformer(self) -> Path | None:
        """The directory of the Transformer, None where the chain starts with another module."""
        first = self.modules[0]
        return first.folder if first.kind == _TRANSFORMER else None

    @property
    def is_dense(self) -> bool:
        """Whether it turns texts into vectors, and is not a cross-encoder or a sparse encoder."""
        return (
            self.transformer is not None
            and self.settings.get("model_type", "SentenceTransformer") == "SentenceTransformer"
            and self.inputs.get("transformer_task", "feature-extraction") == "feature-extraction"
        )

    @property
    def is_cross_encoder(self) -> bool:
        """Whether it scores pairs of texts."""
        return self.settings.get("model_type") == "CrossEncoder"

    @property
    def max_length(self) -> int | None:
        """The most tokens that the Transformer reads, None where its tokenizer says it."""
        kwargs = _first_of(self.inputs, "tokenizer_args", "processor_kwargs")
        text = _first_of(_first_of(self.inputs, "processing_kwargs"), "text")
        length = text.get("max_length", kwargs.get("model_max_length", self.inputs.get("max_seq_length")))
        if length is not None and (not isinstance(length, int) or length < 1):
            raise ModelError(f"{self.root}: max_seq_length must be a number of tokens, found {length!r}")
        return length

    @property
    def lowers_case(self) -> bool:
        """Whether texts are lowercased before they are tokenized."""
        return bool(self.inputs.get("do_lower_case"))

    @property
    def prompts(self) -> dict[str, str]:
        """What may stand before a text, by name."""
        found = self.settings.get("prompts") or {}
        if not isinstance(found, dict):
            raise ModelError(f"{self.root / _SETTINGS_FILE}: prompts: expected names and texts")
        return {**_PLACEHOLDERS, **{str(name): str(text or "") for name, text in found.items()}}

    @property
    def default_prompt(self) -> str:
        """What stands before every text. Raises :class:`ModelError` for a name without a prompt."""
        name = self.settings.get("default_prompt_name")
        if name is None:
            return ""
        if name not in self.prompts:
            raise ModelError(
                f"{self.root / _SETTINGS_FILE}: default_prompt_name {name!r} is none of the prompts "
                f"({', '.join(self.prompts)})"
            )
        return self.prompts[name]

    def check_inputs(self) -> None:
        """Raise :class:`ModelError` for a setting of the Transformer that is not followed here."""
        expected: dict[str, Any] = {
            "transformer_task": "feature-extraction",
            "module_output_name": "token_embeddings",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        }
        for key, value in self.inputs.items():
            if key in _LOADING_KEYS:
                unknown = sorted(_innermost_keys(value) - _LOADING)
                if unknown:
                    raise self.refused(f"the setting {key}.{unknown[0]} of its Transformer")
            elif key in expected:
                if value != expected[key]:
                    raise self.refused(f"the setting {key}: {json.dumps(value)} of its Transformer")
            elif key not in _HARMLESS and value is not None:
                raise self.refused(f"the setting {key} of its Transformer")

    def refused(self, what: str) -> ModelError:
        """Return the error that names what Prensa does not compute."""
        return ModelError(
            f"{self.root}: Prensa does not compute {what}, so its vectors are unknown here; compress it "
            "without --texts and use the result in Sentence Transformers"
        )


def read_chain(path: Path) -> Chain | None:
    """Read the chain of a model, or of its Transformer's folder; None where there is no ``modules.json``.

    Raises :class:`ModelError` for a file that cannot be understood.
    """
    root = root_of(path)
    modules = _read_modules(root)
    if not modules:
        return None
    settings = _read_object(root / _SETTINGS_FILE)
    folder = modules[0].folder
    inputs: Mapping[str, Any] = {}
    for name in _INPUT_FILES:
        inputs = inputs or _read_object(folder / name)
    return Chain(root, modules, settings, inputs)


def root_of(path: Path) -> Path:
    """Return the directory with the ``modules.json`` that tells of a Transformer's folder, or ``path``."""
    parent = path.absolute().parent
    if (path / MODULES_FILE).is_file() or not (parent / MODULES_FILE).is_file():
        return path
    try:
        modules = _read_modules(parent)
    except ModelError:  # whatever lies above is not about this model
        return path
    is_its_own = [each.kind == _TRANSFORMER and each.folder == path.absolute() for each in modules[:1]]
    return parent if any(is_its_own) else path


def transformer_directory(path: Path) -> Path:
    """Return where config and weights are: ``0_Transformer`` in the library's old layout, else ``path``.

    Raises :class:`ModelError` where the model has no Transformer, but word vectors or the like.
    """
    modules = _read_modules(path)
    if not modules:
        return path
    first = modules[0]
    if first.kind == _TRANSFORMER and (first.folder / "config.json").is_file():
        return first.folder if first.folder != path.absolute() else path
    if first.kind != _TRANSFORMER and not (path / "config.json").is_file():
        raise ModelError(
            f"{path}: its first module is {first.kind}, and Prensa compresses Transformers alone; "
            "use it in Sentence Transformers as it is"
        )
    return path


def modules_of_result(chain: Chain) -> str:
    """Return ``modules.json`` of a result, in which the Transformer lies at the top, as it has since 2020."""
    content = json.loads((chain.root / MODULES_FILE).read_text(encoding="utf-8"))
    content[0]["path"] = ""
    return json.dumps(content, indent=2) + "\n"


def as_loaded(path: Path, config: Any) -> Any:
    """Have a config name the class that Sentence Transformers loads: the model without a language head.

    Many of its models name the one they were trained from (``MPNetForMaskedLM``), whose head they do not
    have. A classifier keeps its class, whatever lies beside it.
    """
    chain = read_chain(path)
    wanted = (getattr(config, "architectures", None) or [""])[0]
    if chain is None or not chain.is_dense or wanted.endswith(_HEADS):
        return config
    names = modeling_auto.MODEL_MAPPING_NAMES.get(config.model_type, "")
    default = names if isinstance(names, str) else names[0]
    own = _ENCODERS.get(config.model_type, default)
    if own:
        config.architectures = [own]
    return config


def _read_modules(root: Path) -> tuple[Module, ...]:
    """Read the modules, none where the file is not there or, not being a list, is another tool's."""
    path = root / MODULES_FILE
    content = _read_json(path) if path.is_file() else None
    return tuple(_module(path, entry) for entry in content) if isinstance(content, list) else ()


def _module(path: Path, entry: Any) -> Module:
    try:
        folder, kind = PurePosixPath(entry["path"]), str(entry["type"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path}: expected a path and a type for each module ({error!r})") from error
    if folder.is_absolute() or ".." in folder.parts:
        raise ModelError(f"{path}: the module's path {str(folder)!r} lies outside the model")
    short = kind.rpartition(".")[2]
    return Module(short if kind.startswith(_LIBRARY) else kind, path.parent.absolute() / folder)


def read_settings(folder: Path) -> dict[str, Any]:
    """Read a module's ``config.json``, empty where there is none."""
    return _read_object(folder / "config.json")


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = _read_json(path)
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error})") from error


def _first_of(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the first of some entries that is a mapping, else an empty one."""
    for key in keys:
        if isinstance(mapping.get(key), dict):
            return dict(mapping[key])
    return {}


def _innermost_keys(value: Any) -> set[str]:
    if not isinstance(value, dict):
        return set()
    keys: set[str] = set()
    for key, inner in value.items():
        keys |= (
            _innermost_keys(inner)
            if isinstance(inner, dict) and inner
            else {key}
            if inner is not None
            else set()
        )
    return keys
