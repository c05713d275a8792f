"""What is known of a comparison before a weight is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config
from prensa.errors import SettingError
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.judge import Judge, check_same_task
from prensa.evaluation.reading import Reading, common_words, readable
from prensa.evaluation.results import File, Settings
from prensa.evaluation.size import list_files
from prensa.runtime.text_vector import TextVector, read_text_vector
from prensa.serving.exported import is_export, read_record
from prensa.serving.margins import check_has_margins
from prensa.texts.encoding import largest_id
from prensa.texts.tokenizers import check_ids, embedding_rows


@dataclass(frozen=True)
class Plan:
    """All that is known before a weight is read. The first of each list is the original's.

    ``left_out`` counts the texts that not all models can be compared on. ``notes`` say what a user should
    know of the checkpoints.
    """

    settings: Settings
    judge: Judge
    paths: tuple[Path, ...]
    files: tuple[tuple[File, ...], ...]
    readings: tuple[Reading, ...]
    vectors: tuple[TextVector, ...]
    left_out: int
    notes: tuple[str, ...] = ()


def plan(settings: Settings, judge: Judge, results: Sequence[Path]) -> Plan:
    """Find out whether ``results`` can be compared with the judge's original on its texts. Reads no weights.

    ``settings`` are what goes into ``results.json``. Raises the :class:`~prensa.errors.PrensaError` that says
    what does not fit.
    """
    judged = judge.plan
    if settings.cascade is not None and judged.texts.queries is not None:
        raise SettingError("`cascade` compares the answers of classifiers, and these are passages to rank")
    if settings.cascade is not None:
        check_has_margins(judged.path, judged.task.kind)
        halve_texts(judged.texts)
    notes = [f"{judged.path}: {note}" for note in judged.notes]
    for path in results:
        check_same_task(path, judged.task)
        if is_export(path):
            read_record(path)
            continue
        notes += [f"{path}: {note}" for note in check_names(path)]
    paths = (judged.path, *results)
    files = tuple(list_files(path) for path in paths)
    vectors = tuple(read_text_vector(path, judged.task.kind) for path in paths)
    # Language models are compared token by token, on texts whose tokens every vocabulary has.
    kept = readable(results, judged.encoded)
    left_out = len(judged.texts) - len(kept)
    if left_out:
        judge = Judge(judged.take(kept))
        judged = judge.plan
    readings = [Reading(judged.encoded)]
    for path in results:
        readings.append(judged.read_by(path, judged.texts, judged.encoded))
    common = common_words(readings)
    for path, reading in zip(paths, common, strict=True):
        check_ids(path, largest_id(reading.encoded), embedding_rows(load_config(path)))
    return Plan(
        settings=settings,
        judge=judge,
        paths=paths,
        files=files,
        readings=common,
        vectors=vectors,
        left_out=left_out,
        notes=tuple(notes),
    )
