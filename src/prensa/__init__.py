"""Press a Hugging Face Transformer to a smaller model that still loads, and show what it cost.

Importing this makes ``from_pretrained`` understand packed models; nothing heavy is imported until it
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prensa.errors import (
    DataError,
    DeviceError,
    DifferentAnswersError,
    FormatError,
    MissingPackageError,
    ModelError,
    OnlyAnswersError,
    OutputError,
    PrensaError,
    RecipeError,
    SettingError,
    TokenizerError,
)
from prensa.integrations import register

if TYPE_CHECKING:
    from prensa.api import compress, compress_module, evaluate, export, frontier, predict
    from prensa.checkpoint.manifest import Manifest
    from prensa.evaluation.budget import Budget
    from prensa.evaluation.frontier import Frontier, Point
    from prensa.evaluation.results import Evaluation
    from prensa.evaluation.results_file import load_results
    from prensa.healing.settings import Heal
    from prensa.jobs.comparison import Comparison
    from prensa.jobs.compression import Compression, Result
    from prensa.jobs.conversion import Conversion
    from prensa.jobs.exploration import Exploration
    from prensa.jobs.inspection import inspect
    from prensa.jobs.load import load
    from prensa.jobs.permissions import Permissions
    from prensa.jobs.prediction import Prediction
    from prensa.jobs.runtimes import Exported
    from prensa.jobs.scale import Scale
    from prensa.modules.load_into import load_into
    from prensa.modules.save import save
    from prensa.predicting.run import Predicted
    from prensa.pressing.recipe import Changes, Recipe, load_preset, load_recipe
    from prensa.report.card import write_cards
    from prensa.report.html import write_report
    from prensa.runtime.accelerate import accelerate
    from prensa.search.outcome import Outcome
    from prensa.search.trial import Trial
    from prensa.serving.exported import Record
    from prensa.serving.served import Served
    from prensa.shrink.settings import Shrink
    from prensa.texts.source import Source
    from prensa.vocabulary.settings import TrimVocabulary

__all__ = [
    "Budget",
    "Changes",
    "Comparison",
    "Compression",
    "Conversion",
    "DataError",
    "DeviceError",
    "DifferentAnswersError",
    "Evaluation",
    "Exploration",
    "Exported",
    "FormatError",
    "Frontier",
    "Heal",
    "Manifest",
    "MissingPackageError",
    "ModelError",
    "OnlyAnswersError",
    "Outcome",
    "OutputError",
    "Permissions",
    "Point",
    "Predicted",
    "Prediction",
    "PrensaError",
    "Recipe",
    "RecipeError",
    "Record",
    "Result",
    "Scale",
    "Served",
    "SettingError",
    "Shrink",
    "Source",
    "TokenizerError",
    "Trial",
    "TrimVocabulary",
    "accelerate",
    "compress",
    "compress_module",
    "evaluate",
    "export",
    "frontier",
    "inspect",
    "load",
    "load_into",
    "load_preset",
    "load_recipe",
    "load_results",
    "predict",
    "save",
    "write_cards",
    "write_report",
]

_HOMES = {
    "Budget": "prensa.evaluation.budget",
    "Changes": "prensa.pressing.recipe",
    "Comparison": "prensa.jobs.comparison",
    "Compression": "prensa.jobs.compression",
    "Conversion": "prensa.jobs.conversion",
    "Evaluation": "prensa.evaluation.results",
    "Exploration": "prensa.jobs.exploration",
    "Exported": "prensa.jobs.runtimes",
    "Frontier": "prensa.evaluation.frontier",
    "Heal": "prensa.healing.settings",
    "Manifest": "prensa.checkpoint.manifest",
    "Outcome": "prensa.search.outcome",
    "Permissions": "prensa.jobs.permissions",
    "Point": "prensa.evaluation.frontier",
    "Predicted": "prensa.predicting.run",
    "Prediction": "prensa.jobs.prediction",
    "Recipe": "prensa.pressing.recipe",
    "Record": "prensa.serving.exported",
    "Result": "prensa.jobs.compression",
    "Scale": "prensa.jobs.scale",
    "Served": "prensa.serving.served",
    "Source": "prensa.texts.source",
    "Shrink": "prensa.shrink.settings",
    "Trial": "prensa.search.trial",
    "TrimVocabulary": "prensa.vocabulary.settings",
    "accelerate": "prensa.runtime.accelerate",
    "compress": "prensa.api",
    "compress_module": "prensa.api",
    "evaluate": "prensa.api",
    "export": "prensa.api",
    "frontier": "prensa.api",
    "inspect": "prensa.jobs.inspection",
    "load": "prensa.jobs.load",
    "load_into": "prensa.modules.load_into",
    "load_preset": "prensa.pressing.recipe",
    "load_recipe": "prensa.pressing.recipe",
    "load_results": "prensa.evaluation.results_file",
    "predict": "prensa.api",
    "save": "prensa.modules.save",
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
