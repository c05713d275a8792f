"""Press a Hugging Face Transformer to a smaller model that still loads, and show what it cost.

Importing this makes ``from_pretrained`` understand packed models; nothing heavy is imported until it
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prensa.errors import (
    AccelerationError,
    CalibrationError,
    DataError,
    EvaluationError,
    FormatError,
    MissingPackageError,
    ModelError,
    OutputError,
    PrensaError,
    RecipeError,
    VocabularyError,
)
from prensa.integrations import register

if TYPE_CHECKING:
    from prensa.api import compress, compress_within, evaluate, export, inspect
    from prensa.checkpoint.manifest import Manifest
    from prensa.evaluation.results import Evaluation
    from prensa.evaluation.results_file import load_results
    from prensa.pressing.recipe import Recipe, load_preset, load_recipe
    from prensa.report.card import write_cards
    from prensa.report.html import write_report
    from prensa.runtime.accelerate import accelerate
    from prensa.serving.load import load
    from prensa.vocabulary.settings import TrimVocabulary

__all__ = [
    "AccelerationError",
    "CalibrationError",
    "DataError",
    "Evaluation",
    "EvaluationError",
    "FormatError",
    "Manifest",
    "MissingPackageError",
    "ModelError",
    "OutputError",
    "PrensaError",
    "Recipe",
    "RecipeError",
    "TrimVocabulary",
    "VocabularyError",
    "accelerate",
    "compress",
    "compress_within",
    "evaluate",
    "export",
    "inspect",
    "load",
    "load_preset",
    "load_recipe",
    "load_results",
    "write_cards",
    "write_report",
]

_HOMES = {
    "Evaluation": "prensa.evaluation.results",
    "Manifest": "prensa.checkpoint.manifest",
    "Recipe": "prensa.pressing.recipe",
    "TrimVocabulary": "prensa.vocabulary.settings",
    "accelerate": "prensa.runtime.accelerate",
    "compress": "prensa.api",
    "compress_within": "prensa.api",
    "evaluate": "prensa.api",
    "export": "prensa.api",
    "inspect": "prensa.api",
    "load": "prensa.serving.load",
    "load_preset": "prensa.pressing.recipe",
    "load_recipe": "prensa.pressing.recipe",
    "load_results": "prensa.evaluation.results_file",
    "write_cards": "prensa.report.card",
    "write_report": "prensa.report.html",
}

register()


def __getattr__(name: str) -> object:
    """Import what needs PyTorch when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'prensa' has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
