"""The built-in example: a small real classifier of toxic comments, and comments to try it on.

The model is stored in float16 to keep the package small, and restored to float32 before it is used, as
a fine-tuning run would have saved it. The comments were written for this purpose; they show that a
result still works, and are far too few to measure accuracy with.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from safetensors.torch import load_file, save_file

from prensa.checkpoint.directory import replacing
from prensa.files.atomic import at_home


@dataclass(frozen=True)
class Comment:
    """A short text with its label, ``toxic`` or ``non-toxic``."""

    text: str
    label: str


def example_comments() -> list[Comment]:
    """Read the comments that come with the package."""
    text = resources.files(__name__).joinpath("comments.csv").read_text(encoding="utf-8")
    return [Comment(**row) for row in csv.DictReader(text.splitlines())]


@contextmanager
def comments_file() -> Iterator[Path]:
    """Yield the path of the comments as a CSV file with the columns ``text`` and ``label``."""
    with resources.as_file(resources.files(__name__).joinpath("comments.csv")) as path:
        yield path


def restore_example(directory: Path) -> None:
    """Write the example model to ``directory``, in float32; what is there is replaced.

    Raises :class:`~prensa.errors.OutputError` where it cannot be written.
    """
    with (
        resources.as_file(resources.files(__name__).joinpath("model")) as model,
        replacing(at_home(directory).resolve()) as new,
    ):
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(model / file, new / file)
        config = json.loads((model / "config.json").read_text(encoding="utf-8")) | {"dtype": "float32"}
        (new / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        weights = {name: weight.float() for name, weight in load_file(model / "model.safetensors").items()}
        save_file(weights, new / "model.safetensors", metadata={"format": "pt"})
