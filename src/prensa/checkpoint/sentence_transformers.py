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
from typing import TYPE_CHECKING

from prensa.checkpoint.config import CONFIG_FILE, read_model_json, read_object
from prensa.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

MODULES_FILE = "modules.json"
_SETTINGS_FILE = "config_sentence_transformers.json"
_INPUT_FILES = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_LIBRARY = "sentence_transformers."
_TRANSFORMER = "Transformer"
# Prompts that every model of the library has.
_PLACEHOLDERS = {"query": "", "document": ""}

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
    # These four belong to encode_query() and encode_document().
    "query_length",
    "document_length",
    "query_expansion",
    "track_media_counts",
}
_LOADING = {
    "add_pooling_layer",
    "attn_implementation",
    "torch_dtype",
    "dtype",
    "low_cpu_mem_usage",
    "use_safetensors",
    "use_cache",
    "model_max_length",
    "padding_side",
    "use_fast",
    "max_length",
    "truncation",
    "padding",
}
_LOADING_KEYS = {
    "model_args",
    "tokenizer_args",
    "config_args",
    "model_kwargs",
    "processor_kwargs",
    "config_kwargs",
    "processing_kwargs",
}
# Settings that are followed with these values, and with no others.
_EXPECTED: Mapping[str, object] = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
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
    settings: Mapping[str, object]
    inputs: Mapping[str, object]

    @property
    def transformer(self) -> Path | None:
        """The directory of the Transformer, None if the chain starts with another module."""
        first = self.modules[0]
        if first.kind != _TRANSFORMER:
            return None
        return first.folder

    @property
    def is_dense(self) -> bool:
        """Whether it turns texts into vectors, and is not a cross-encoder or a sparse encoder."""
        return (
            self.transformer is not None
            and self.settings.get("model_type", "SentenceTransformer") == "SentenceTransformer"
            and self.inputs.get("transformer_task", "feature-extraction") == "feature-extraction"
        )

    @property
    def max_length(self) -> int | None:
        """The most tokens that the Transformer reads, None if its tokenizer decides."""
        # Three versions of the library keep it in three places; the newest one counts.
        length = self.inputs.get("max_seq_length")
        of_tokenizer = _first_of(self.inputs, "tokenizer_args", "processor_kwargs")
        length = of_tokenizer.get("model_max_length", length)
        of_text = _first_of(_first_of(self.inputs, "processing_kwargs"), "text")
        length = of_text.get("max_length", length)
        if length is None:
            return None
        if not isinstance(length, int) or length < 1:
            raise ModelError(f"{self.root}: max_seq_length must be a number of tokens, found {length!r}")
        return length

    @property
    def lowers_case(self) -> bool:
        """Whether texts are lowercased before they are tokenized."""
        return bool(self.inputs.get("do_lower_case"))

    @property
    def prompts(self) -> dict[str, str]:
        """What may stand before a text, by name."""
        settings = self.settings.get("prompts") or {}
        if not isinstance(settings, dict):
            raise ModelError(f"{self.root / _SETTINGS_FILE}: prompts: expected names and texts")
        prompts = dict(_PLACEHOLDERS)
        for name, text in settings.items():
            prompts[str(name)] = str(text or "")
        return prompts

    @property
    def default_prompt(self) -> str:
        """What stands before every text. Raises :class:`ModelError` for a name without a prompt."""
        name = self.settings.get("default_prompt_name")
        if name is None:
            return ""
        prompts = self.prompts
        if not isinstance(name, str) or name not in prompts:
            raise ModelError(
                f"{self.root / _SETTINGS_FILE}: default_prompt_name {name!r} is none of the prompts "
                f"({', '.join(prompts)})"
            )
        return prompts[name]

    def check_inputs(self) -> None:
        """Raise :class:`ModelError` for a setting of the Transformer that is not followed here."""
        for key, value in self.inputs.items():
            if key in _LOADING_KEYS:
                unknown = sorted(_innermost_keys(value) - _LOADING)
                if unknown:
                    raise self.refused(f"the setting {key}.{unknown[0]} of its Transformer")
            elif key in _EXPECTED:
                if value != _EXPECTED[key]:
                    raise self.refused(f"the setting {key}: {json.dumps(value)} of its Transformer")
            elif key not in _HARMLESS and value is not None:
                raise self.refused(f"the setting {key} of its Transformer")

    def refused(self, what: str) -> ModelError:
        """Return the error that names what Prensa does not compute."""
        return ModelError(
            f"{self.root}: Prensa does not compute {what}, so its vectors are unknown here; compress it "
            "without `texts` and use the result in Sentence Transformers"
        )


def read_chain(path: Path) -> Chain | None:
    """Read the chain of a model, or of its Transformer's folder; None if there is no ``modules.json``.

    Raises :class:`ModelError` for a file that cannot be understood.
    """
    root = root_of(path)
    modules = _read_modules(root)
    if not modules:
        return None
    settings = _read_object(root / _SETTINGS_FILE)
    folder = modules[0].folder
    # Each family of Transformers has a file of another name; the library, too, takes the first that it finds.
    for name in _INPUT_FILES:
        inputs = _read_object(folder / name)
        if inputs:
            return Chain(root, modules, settings, inputs)
    return Chain(root, modules, settings, inputs={})


def root_of(path: Path) -> Path:
    """Return the directory with the ``modules.json`` that lists a Transformer's folder, or ``path``."""
    parent = path.absolute().parent
    if (path / MODULES_FILE).is_file() or not (parent / MODULES_FILE).is_file():
        return path
    try:
        modules = _read_modules(parent)
    except ModelError:
        # Whatever lies above is not about this model.
        return path
    if modules and modules[0] == Module(_TRANSFORMER, path.absolute()):
        return parent
    return path


def transformer_directory(path: Path) -> Path:
    """Return where config and weights are: ``0_Transformer`` in the library's old layout, else ``path``.

    Raises :class:`ModelError` if the model has no Transformer, but word vectors or the like.
    """
    modules = _read_modules(path)
    if not modules:
        return path
    first = modules[0]
    if first.kind == _TRANSFORMER and (first.folder / CONFIG_FILE).is_file():
        # A relative path stays one: messages show it as the user wrote it.
        if first.folder == path.absolute():
            return path
        return first.folder
    if first.kind != _TRANSFORMER and not (path / CONFIG_FILE).is_file():
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


def as_loaded(path: Path, config: PretrainedConfig) -> PretrainedConfig:
    """Have a config name the class that Sentence Transformers loads: the model without a language head.

    Many of its models name the one they were trained from (``MPNetForMaskedLM``), whose head they do not
    have. A classifier keeps its class, whatever lies beside it.
    """
    chain = read_chain(path)
    if chain is None or not chain.is_dense:
        return config
    architectures = getattr(config, "architectures", None) or [""]
    if architectures[0].endswith(_HEADS):
        return config
    from transformers.models.auto import modeling_auto

    default = modeling_auto.MODEL_MAPPING_NAMES.get(config.model_type, "")
    if not isinstance(default, str):
        default = default[0]
    own = _ENCODERS.get(config.model_type, default)
    if own:
        config.architectures = [own]
    return config


def _read_modules(root: Path) -> tuple[Module, ...]:
    """Read the modules, none if the file is missing or, not being a list, is another tool's."""
    path = root / MODULES_FILE
    if not path.is_file():
        return ()
    content = read_model_json(path)
    if not isinstance(content, list):
        return ()
    return tuple(_module(path, entry) for entry in content)


def _module(path: Path, entry: object) -> Module:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or "type" not in entry:
        raise ModelError(f"{path}: expected a path and a type for each module, found {json.dumps(entry)}")
    folder = PurePosixPath(entry["path"])
    kind = str(entry["type"])
    # The path stands in a file that anybody may have written.
    if folder.is_absolute() or ".." in folder.parts:
        raise ModelError(f"{path}: the module's path {str(folder)!r} lies outside the model")
    if kind.startswith(_LIBRARY):
        kind = kind.rpartition(".")[2]
    return Module(kind, path.parent.absolute() / folder)


def read_settings(folder: Path) -> dict[str, object]:
    """Read a module's ``config.json``, empty if it has none."""
    return _read_object(folder / CONFIG_FILE)


def _read_object(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    return read_object(path)


def _first_of(mapping: Mapping[str, object], *keys: str) -> dict[str, object]:
    """Return the first of some entries that is a mapping, else an empty one."""
    for key in keys:
        value = mapping.get(key)
        if isinstance(value, dict):
            return value
    return {}


def _innermost_keys(value: object) -> set[str]:
    """Return the keys of a nested dict that lead to values, but for those that are null."""
    if not isinstance(value, dict):
        return set()
    keys: set[str] = set()
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            keys |= _innermost_keys(inner)
        elif inner is not None:
            keys.add(key)
    return keys
