"""What several layouts look at in an export: its tokenizer, its config, its file for ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path

from prensa.errors import ModelError, TokenizerError
from prensa.serving.exported import Record
from prensa.serving.onnxruntime import model_file

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"


def check_tokenizer(directory: Path, program: str) -> None:
    """Raise :class:`TokenizerError` without the file that programs outside of Python read tokenizers from."""
    if not (directory / TOKENIZER_FILE).is_file():
        raise TokenizerError(
            f"{program} reads {TOKENIZER_FILE}, which the model does not have; save its fast tokenizer "
            "beside it with AutoTokenizer.from_pretrained(model).save_pretrained(model)"
        )


def check_one_file(directory: Path, program: str) -> Path:
    """Return the file for ONNX Runtime. Raises :class:`ModelError` where weights lie beside it."""
    file = model_file(directory)
    others = [path.name for path in sorted(file.parent.iterdir()) if path != file]
    if others:
        names = ", ".join(others)
        raise ModelError(
            f"{program} takes a model in one file, and this one has {names} as well; "
            "export it with `precision=int8`, or shrink it first"
        )
    return file


def check_output(record: Record, outputs: tuple[str, ...], program: str) -> None:
    """Raise :class:`ModelError` for an export whose output the program does not read."""
    if record.output not in outputs:
        expected = " or ".join(outputs)
        raise ModelError(
            f"{program} reads {expected}, and this model gives {record.output}; leave out `layout`"
        )


def read_config(directory: Path) -> dict[str, object]:
    """Return what ``config.json`` says."""
    content = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
    assert isinstance(content, dict)  # noqa: S101  the export wrote it
    return content


def write_config(directory: Path, content: dict[str, object]) -> None:
    """Write ``config.json``."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
