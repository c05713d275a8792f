"""Which files of a model directory say how texts are read and answered, and which only tell of it."""

from __future__ import annotations

from pathlib import Path

WITHOUT_EFFECT = frozenset({"manifest.json", "search.json", "results.json", "generation_config.json"})
"""Files that change no answer, although others of their kind do."""

DOCUMENTS = frozenset({".md", ".rst", ".html", ".pdf", ".png", ".jpg", ".svg"})
"""Suffixes of what people read, and no program."""

READ = frozenset({".json", ".txt", ".model", ".spm", ".codes", ".tiktoken", ".vocab", ".jinja", ".py"})
"""Suffixes of what is read beside the weights: config, vocabulary, modules, code of the model's own."""

WEIGHTS = frozenset({".safetensors", ".bin", ".pt"})
"""Suffixes of weights, as of the model itself or of Dense layers."""

GRAPHS = frozenset({".xml", ".bin", ".onnx", ".data"})
"""Suffixes of the files that runtimes read."""

_OF_MODEL = READ | WEIGHTS | GRAPHS


def files_of_model(directory: Path) -> list[Path]:
    """List the files in a model's directory that can change an answer."""
    files = []
    for path in sorted(directory.rglob("*")):
        if path.suffix in _OF_MODEL and path.name not in WITHOUT_EFFECT and path.is_file():
            files.append(path)
    return files
