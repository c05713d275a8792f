"""What is decided about an export before a weight is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.destination import check_destination, check_space
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config, model_shape
from prensa.checkpoint.task import task_of
from prensa.errors import SettingError
from prensa.extras import require
from prensa.files.atomic import at_home
from prensa.serving.layouts.table import Layout
from prensa.serving.refusals import check_exported
from prensa.serving.runtimes import Runtime, runtime_named
from prensa.texts.columns import sample
from prensa.texts.encoding import Encoded, largest_id, padded_as
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import check_ids, embedding_rows, load_tokenizer, longest

# Texts that ranges are measured and answers compared on.
_SAMPLES = 128
# Tokens of each of them; what is behind is more of the same.
_LONGEST = 256

_TIMES_THE_MODEL = 3
"""Disk space that an export takes at most, as a multiple of the model in float32, with what is in between."""


@dataclass(frozen=True)
class ExportPlan:
    """How a model is exported.

    ``samples`` are the texts, as token ids, that ranges are measured and answers compared on, and ``texts``
    is their name. ``notes`` say what of the model's files is left out, ``accounts`` what texts were read.
    ``layout`` is the program that is to open it, None for none in particular.
    """

    model: Path
    output: Path
    runtime: Runtime
    precision: str
    texts: str
    samples: Encoded
    longest: int | None
    notes: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    force: bool = False
    layout: Layout | None = None


def plan_export(
    model: Path,
    output: Path,
    *,
    to: str,
    precision: str = "int8",
    texts: Source = Source(),
    library: Library | None = None,
    force: bool = False,
) -> ExportPlan:
    """Decide how a model is exported ``to`` openvino or onnxruntime (``onnx`` is the same).

    ``library`` has what the job has read and tokenized already. Raises :class:`SettingError` for a runtime or
    a precision that does not exist, and whatever checking the model, the output and the texts raises.
    """
    runtime = runtime_named(to)
    require(runtime.NAME, f"exporting to {runtime.NAME}")
    if precision not in runtime.PRECISIONS:
        expected = ", ".join(runtime.PRECISIONS)
        raise SettingError(f"`precision={precision}`: {runtime.NAME} has {expected} on processors")

    # Everything that names, shapes and sizes can reveal, before a text is read.
    model = model.resolve()
    output = at_home(output).resolve()
    config = load_config(model)
    check_exported(model, config)
    notes = check_names(model)
    check_destination(model, output, force=force)
    check_space(output, _TIMES_THE_MODEL * _bytes_in_float32(model))

    # Texts as the model reads them, but no longer than it takes to measure ranges.
    tokenizer = load_tokenizer(model)
    limit = longest(tokenizer, config, None)
    sample_limit = min(limit or _LONGEST, _LONGEST)
    if library is None:
        library = Library()
    task = task_of(config)
    all_texts = library.all_texts(texts, task)
    chosen_texts = sample(all_texts, texts.limit or _SAMPLES)
    samples = library.encode(tokenizer, chosen_texts, padded_as(task), sample_limit)
    check_ids(model, largest_id(samples), embedding_rows(config))
    return ExportPlan(
        model=model,
        output=output,
        runtime=runtime,
        precision=precision,
        texts=all_texts.name,
        samples=samples,
        longest=limit,
        notes=notes,
        accounts=(all_texts.account,),
        force=force,
    )


def _bytes_in_float32(model: Path) -> int:
    """Return the bytes of the weights as a graph is written; the files of a packed model say little."""
    nbytes = 0
    for parameter in model_shape(model).parameters.values():
        nbytes += 4 * math.prod(parameter.shape)
    return nbytes
