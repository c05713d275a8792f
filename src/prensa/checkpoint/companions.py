"""The files beside the weights: config, index, tokenizer, and whatever else belongs to the model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from prensa.checkpoint.reader import WEIGHT_FILES

INDEX_FILE = "model.safetensors.index.json"
STATE_DICT_FILE = "model_optimized.pt"
SEARCH_FILE = "search.json"

_REPLACED = ("model*.safetensors", "pytorch_model*.bin", *WEIGHT_FILES, STATE_DICT_FILE, SEARCH_FILE)
WEIGHT_SUFFIXES = {
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot"),
    *(".npz", ".tflite", ".mlmodel"),
}


def write_config(
    directory: Path,
    config: Mapping[str, Any],
    dtype: str | None,
    quantization: Mapping[str, Any] | None,
) -> None:
    """Write ``config.json``: the original's with the new dtype and quantization method."""
    content = dict(config)
    if dtype is not None:
        content.pop("torch_dtype", None)  # the name before transformers 5
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
    return sum(path.stat().st_size for path in companion_files(model))


def copy_companions(model: Path, directory: Path) -> None:
    """Copy tokenizer files and all else that is not weights; what is there already is left alone.

    Chat templates and the module folders of a Sentence Transformers model are copied whole.
    """
    for path in companion_files(model):
        target = directory / path.relative_to(model)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def keep_others(old: Path, directory: Path) -> None:
    """Carry over what a replaced directory holds and the new one does not, old weights excepted.

    Files are linked, not copied: it costs no space and nothing of the user's is lost.
    """
    for path in sorted(old.iterdir()):
        target = directory / path.name
        if target.exists() or any(fnmatchcase(path.name, pattern) for pattern in _REPLACED):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True, copy_function=_link)
        else:
            _link(path, target)


def companion_files(model: Path) -> Iterator[Path]:
    """List the files that :func:`copy_companions` copies."""
    for path in sorted(model.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.suffix not in WEIGHT_SUFFIXES:
            yield path
    for folder in (model / "additional_chat_templates", *_sentence_transformers_modules(model)):
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sentence_transformers_modules(model: Path) -> list[Path]:
    try:
        modules = json.loads((model / "modules.json").read_text(encoding="utf-8"))
        names = [module["path"] for module in modules if module["path"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    folders = [model / str(name) for name in names]
    return [folder for folder in folders if folder.is_dir() and folder.resolve().parent == model.resolve()]


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
