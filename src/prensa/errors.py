"""Every error that Prensa raises on purpose, as one tree. Each is named after what is wrong.

PrensaError
├── ModelError              the model directory, its class, a weight in it or its answers cannot be used
├── TokenizerError          the tokenizer is missing, does not fit the model, or cannot be trimmed
├── DataError               texts or labels cannot be read, do not fit the model, or are too few
├── RecipeError             a recipe or preset is not valid, or does not fit the model or the format
├── SettingError            a parameter has no such value, or does not go together with another
├── DeviceError             there is no such device, or too little memory on it
├── OutputError             the result cannot be written to the place that was given
├── FormatError             a file that Prensa wrote is damaged or of an unknown version
├── DifferentAnswersError   a runtime gives different answers in one precision; another may be right
├── OnlyAnswersError        a model that was loaded for a runtime gives answers, and nothing else
└── MissingPackageError     an optional package is needed and not installed

A message names the file or tensor, what was expected, what was found and what to do. It names parameters in
backquotes, as in `max_drop` or `preset=int8`; the command line shows the option in their place, prints one
line and exits with 2.
"""

OUT_OF_MEMORY = ("allocate memory", "out of memory")
"""How PyTorch reports that memory does not suffice, in errors of no separate class."""


class PrensaError(Exception):
    """Base of every error that Prensa raises on purpose."""


class ModelError(PrensaError):
    """The model directory, its class, a weight in it, or the answers it gives cannot be used."""


class TokenizerError(PrensaError):
    """A tokenizer is missing, does not fit the model or another tokenizer, or cannot be trimmed."""


class DataError(PrensaError):
    """Texts or labels cannot be read, do not fit the model, or are too few."""


class RecipeError(PrensaError):
    """A recipe or a preset's name is not valid, or does not fit the model or the format."""


class SettingError(PrensaError):
    """A parameter has no such value, or does not go together with another parameter."""


class DeviceError(PrensaError):
    """There is no such device, or too little memory on it."""


class OutputError(PrensaError):
    """The result cannot be written to the place that was given."""


class FormatError(PrensaError):
    """A file that Prensa wrote is damaged, or was written by a version this one does not know."""


class DifferentAnswersError(PrensaError):
    """A runtime gives different answers from PyTorch in the precision that was given."""


class OnlyAnswersError(PrensaError, AttributeError):
    """A model loaded for a runtime has no such attribute, but the same model in PyTorch has."""


class MissingPackageError(PrensaError):
    """An optional package is needed and not installed."""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, or its class if it has no message."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return lines[0]
