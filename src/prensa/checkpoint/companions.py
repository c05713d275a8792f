"""The files beside the weights: config, index, tokenizer, and whatever else belongs to the model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from prensa.checkpoint.sentence_transformers import (
    MODULES_FILE,
    modules_of_result,
    read_chain,
    root_of,
)
from prensa.checkpoint.weight_files import WEIGHT_FILES
from prensa.errors import ModelError

INDEX_FILE = "model.safetensors.index.json"
STATE_DICT_FILE = "model_optimized.pt"
RECIPE_FILE = "recipe.toml"
SEARCH_FILE = "search.json"

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
"""A PEFT adapter, which ``from_pretrained`` would put on top of a model that lies beside it."""

MODULE_FILE = "prensa_module.json"
"""What ``prensa.save`` writes beside a module's weights (see :mod:`prensa.checkpoint.module_file`)."""

_REPLACED = (
    "model*.safetensors",
    "pytorch_model*.bin",
    *WEIGHT_FILES,
    STATE_DICT_FILE,
    SEARCH_FILE,
    MODULE_FILE,
    ADAPTER_CONFIG,
    *ADAPTER_WEIGHTS,
    "prensa_export.json",
    "openvino_*.xml",
    "openvino_*.bin",
    "*.onnx",
    "*.onnx_data",
)
"""Patterns of files that a result does not take over from the directory that it replaces."""

_GRAPHS = ("*.onnx", "openvino_*.xml", "model.xml")
"""Patterns of models that other programs run, in a folder of their own."""

WEIGHT_SUFFIXES = {
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".h5",
    ".msgpack",
    ".onnx",
    ".gguf",
    ".ot",
    ".npz",
    ".tflite",
    ".mlmodel",
}


def is_adapter(path: Path) -> bool:
    """Whether a directory holds a PEFT adapter, alone or beside a model."""
    return (path / ADAPTER_CONFIG).is_file()


def write_config(
    directory: Path,
    config: Mapping[str, object],
    dtype: str | None,
    quantization: Mapping[str, object] | None,
) -> None:
    """Write ``config.json``: the original's with the new dtype and quantization method."""
    content = dict(config)
    if dtype is not None:
        # The name before transformers 5, which would go before the new one there.
        content.pop("torch_dtype", None)
        content["dtype"] = dtype
    content.pop("quantization_config", None)
    if quantization is not None:
        content["quantization_config"] = dict(quantization)
    _write_json(directory / "config.json", content)


def write_index(directory: Path, weight_map: Mapping[str, str], total_size: int) -> None:
    """Write the index of a model in several files."""
    content = {
        "metadata": {"total_size": total_size},
        "weight_map": dict(sorted(weight_map.items())),
    }
    _write_json(directory / INDEX_FILE, content)


def companion_bytes(model: Path) -> int:
    """Bytes that :func:`copy_companions` copies."""
    return sum(path.stat().st_size for path in companion_files(model).values())


def copy_companions(model: Path, directory: Path) -> None:
    """Copy tokenizer files and all else that is not weights; what is there already is left alone.

    Chat templates and the module folders of a Sentence Transformers model are copied whole. If that keeps
    its Transformer in a separate folder, the result has it at the top, as the library does today.
    """
    if root_of(model) != model and not (directory / MODULES_FILE).exists():
        chain = read_chain(model)
        if chain is not None:
            (directory / MODULES_FILE).write_text(modules_of_result(chain), encoding="utf-8")
    for name, path in companion_files(model).items():
        target = directory / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def keep_others(old: Path, directory: Path, but: Collection[str] = ()) -> None:
    """Carry over what a replaced directory holds and the new one does not, old weights and graphs excepted.

    Files are linked, not copied: it costs no space and nothing of the user's is lost. ``but`` are names of
    other files that belong to what is replaced.
    """
    for path in sorted(old.iterdir()):
        target = directory / path.name
        if target.exists() or _is_replaced(path) or path.name in but:
            continue
        # A link to a directory stays a link: what it points to is not ours to copy.
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True, copy_function=_link)
        else:
            _link(path, target)


def holds_module(directory: Path) -> bool:
    """Whether a directory was written by ``prensa.save``."""
    return (directory / MODULE_FILE).is_file()


def _is_replaced(path: Path) -> bool:
    """Whether it is the old weights, in a file or in a folder (``onnx``, ``openvino``, ``1``) of graphs."""
    if path.is_dir():
        return any(_is_any(inside.name, _GRAPHS) for inside in path.iterdir())
    return _is_any(path.name, _REPLACED)


def _is_any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def companion_files(model: Path) -> dict[str, Path]:
    """Return the files beside the weights, by the names that a result gives them."""
    root = root_of(model)
    companions = {}
    for path in _files(model):
        companions[path.name] = path
    folders = [model / "additional_chat_templates", *_sentence_transformers_modules(root, model)]
    for folder in folders:
        # Where the Transformer has a separate folder, the other modules lie beside it, not in it.
        base = root
        if folder.is_relative_to(model):
            base = model
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                companions[str(path.relative_to(base))] = path

    # The Transformer's files go before those of the same name above it.
    for path in _files(root):
        companions.setdefault(path.name, path)
    return companions


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        is_weights = path.suffix in WEIGHT_SUFFIXES or path.name == ADAPTER_CONFIG
        is_hidden = path.name.startswith(".")
        if path.is_file() and not is_hidden and not is_weights:
            yield path


def _sentence_transformers_modules(root: Path, model: Path) -> list[Path]:
    """Return the folders of all modules but the Transformer."""
    try:
        chain = read_chain(root)
    except ModelError:
        # Its files are copied as they are, for whoever can read them.
        return []
    if chain is None:
        return []
    top = root.absolute()
    folders = []
    for module in chain.modules:
        folder = root / module.folder.relative_to(top)
        resolved = folder.resolve()
        # A link could lead out of the model, and then everything behind it would be copied.
        is_inside = root.resolve() in resolved.parents
        if folder.is_dir() and is_inside and resolved != model.resolve():
            folders.append(folder)
    return folders


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
