"""Every error that Prensa raises on purpose, as one tree.

PrensaError
├── CheckpointError       the model directory or a weight in it cannot be used
├── RecipeError           a recipe, preset or setting is not valid
├── PlanError             recipe, model and format do not fit together
├── OutputError           the result cannot be written where it was asked for
├── FormatError           a packed file, a manifest or results are damaged or of an unknown version
├── DataError             the texts or labels to calibrate or evaluate on cannot be used
├── CalibrationError      texts or memory do not suffice to calibrate, or the model gives no numbers
├── EvaluationError       the models cannot be compared with each other
├── VocabularyError       a vocabulary cannot be trimmed, or not as asked
├── AccelerationError     the model cannot be made faster, or does not answer the same when it is
│   ├── DifferentAnswersError   a runtime gives different answers in one precision; another may be right
│   └── OnlyAnswersError  a model that was loaded for a runtime is asked for more than answers
└── MissingPackageError   an optional package is needed and not installed

A message names the file or tensor, what was expected, what was found and what to do. The command
line prints it as one line and exits with 2.
"""

OUT_OF_MEMORY = ("allocate memory", "out of memory")
"""How PyTorch says that memory does not suffice, in errors of no kind of their own."""


class PrensaError(Exception):
    """Base of every error that Prensa raises on purpose."""


class CheckpointError(PrensaError):
    """The model directory, one of its files, or a weight in it cannot be used."""


class RecipeError(PrensaError):
    """A recipe, a preset's name or a setting is not valid."""


class PlanError(PrensaError):
    """Recipe, model and format are each valid but do not fit together."""


class OutputError(PrensaError):
    """The result cannot be written where it was asked for."""


class FormatError(PrensaError):
    """A file that Prensa wrote is damaged, or was written by a version this one does not know."""


class DataError(PrensaError):
    """The texts or labels to evaluate on cannot be read, or do not fit the model."""


class CalibrationError(PrensaError):
    """A model cannot be calibrated: too few texts, too little memory, or it gives no finite numbers."""


class EvaluationError(PrensaError):
    """The models cannot be compared: another task, other labels, another tokenizer, or no such device."""


class VocabularyError(PrensaError):
    """A vocabulary cannot be trimmed: another kind of tokenizer, or more is to stay than was allowed."""


class AccelerationError(PrensaError):
    """A model cannot be folded or exported, or a runtime does not give its answers."""


class DifferentAnswersError(AccelerationError):
    """A runtime gives different answers from PyTorch in the precision that was asked for."""


class OnlyAnswersError(AccelerationError, AttributeError):
    """A model loaded for a runtime has no such attribute, but the same model in PyTorch has."""


class MissingPackageError(PrensaError):
    """An optional package is needed for what was asked and is not installed."""


def first_line(error: BaseException) -> str:
    """Return what another library's error says in its first line, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_share(option: str, value: float | None, error: type[PrensaError]) -> None:
    """Raise ``error`` where an option was given and is no share."""
    if value is not None and not 0 <= value <= 1:
        raise error(f"{option} must be a share from 0 to 1 (0.01 or 1% is a point), found {value:g}")
