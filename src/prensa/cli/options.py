"""Values that several commands read alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from prensa.vocabulary.settings import TEXTS

NOT_HELD = 1
"""The exit code that says that all was done and the budget not held."""

RUNTIME_NAMES = {"onnx": "onnxruntime"}
"""What runtimes are called beside their own names."""

Labels = Annotated[
    str | None,
    typer.Option(help="The model's names for the labels in the data: NAME=LABEL,… An empty LABEL skips."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of the files of texts, as cp1252. [default: UTF-8]")
]

_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1.0}


TRIM = "--trim-vocabulary"


def with_usual_values(arguments: Sequence[str]) -> list[str]:
    """Give ``--trim-vocabulary`` its usual value where none follows: an option of typer always takes one."""
    found: list[str] = []
    for at, word in enumerate(arguments):
        found.append(word)
        if word == TRIM and (at + 1 == len(arguments) or arguments[at + 1].startswith("-")):
            found.append(TEXTS)
    return found


def share(word: str) -> float:
    """``"0.01"`` and ``"1%"`` are the same."""
    try:
        return float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"expected a share such as 0.01 or 1%, found {word!r}") from None


def size_in_bytes(word: str, of: int) -> int:
    """``"12%"`` of ``of`` bytes, ``"20MB"``, or a number of bytes."""
    unit = next((unit for unit in _UNITS if word.upper().endswith(unit)), "")
    try:
        if word.endswith("%"):
            return int(share(word) * of)
        return int(float(word[: len(word) - len(unit)]) * _UNITS.get(unit, 1.0))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"--max-size: expected 12%, 20MB or bytes, found {word!r}") from None
