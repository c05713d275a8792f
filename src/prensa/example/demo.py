"""The main job on the built-in example: press it with every preset and compare predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from prensa.api import compress
from prensa.checkpoint.manifest import Manifest
from prensa.errors import OutputError
from prensa.example import Comment, example_comments, restore_example
from prensa.pressing.recipe import preset_names
from prensa.runtime.torch import load

_BATCH = 32
_MARK = ".prensa-demo"  # says that everything in the directory is ours to replace


@dataclass(frozen=True)
class DemoResult:
    """Sizes and predictions of the original and of each preset.

    ``original`` and the values of ``pressed`` are probabilities ``[comments, labels]``.
    """

    comments: list[Comment]
    labels: list[str]
    original: Tensor
    manifests: dict[str, Manifest]
    pressed: dict[str, Tensor]

    def accuracy(self, probabilities: Tensor) -> float:
        """Share of comments whose likeliest label is the right one."""
        truth = torch.tensor([self.labels.index(comment.label) for comment in self.comments])
        return float((probabilities.argmax(dim=1) == truth).float().mean())


def run_demo(directory: Path, step: Callable[[str], None] = lambda title: None) -> DemoResult:
    """Restore the example under ``directory``, press it with each preset beside it, and predict.

    ``step`` is told what is being done. Raises :class:`~prensa.errors.OutputError` where ``directory`` holds
    anything that an earlier demonstration did not leave.
    """
    original = directory / "original"
    _take(directory)
    step("restoring the example to float32")
    restore_example(original)
    comments = example_comments()
    texts = [comment.text for comment in comments]
    step("predicting with the original")
    labels, before = predict(original, texts)
    manifests, pressed = {}, {}
    for preset in preset_names():
        step(f"pressing with preset {preset}")
        manifests[preset] = compress(original, directory / preset, recipe=preset, force=True)
        step(f"predicting with preset {preset}")
        _, pressed[preset] = predict(directory / preset, texts)
    return DemoResult(comments, labels, before, manifests, pressed)


def _take(directory: Path) -> None:
    """Make the directory ours, unless it holds anything that no demonstration made."""
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"{directory}: expected a directory, found a file; choose another place")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / _MARK).is_file():
        raise OutputError(f"{directory}: holds other files; choose another place")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _MARK).touch()
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written ({error.strerror})") from error


def predict(path: Path, texts: Sequence[str]) -> tuple[list[str], Tensor]:
    """Return the labels of a classifier and its probabilities ``[texts, labels]``, computed in float32."""
    model: Any = load(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = []
    for start in range(0, len(texts), _BATCH):
        batch = tokenizer(
            list(texts[start : start + _BATCH]), padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            rows.append(model(**batch).logits.softmax(dim=-1))
    return [model.config.id2label[index] for index in range(model.config.num_labels)], torch.cat(rows)
