"""An evaluation as tables of words: the same ones in the terminal, on the page, and in the model card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prensa.checkpoint.task import LANGUAGE
from prensa.evaluation.original import SAME_TO_ALL
from prensa.evaluation.results import Evaluation, Figure, Machine, Memory, Metric, Model, Retokenized, Timing
from prensa.evaluation.speed import percentile, ratio, throughput
from prensa.evaluation.verdict import drop_in_words, guessing_in_words
from prensa.wording import megabytes, milliseconds, number, percent, score, signed

NONE = "–"

_EVERYWHERE = {"avx", "fma", "f16c", "avx512bw", "amx_tile", "asimd"}
"""Instruction sets that say nothing beside the others: they come with them."""

Named = TypeVar("Named", Metric, Figure)


@dataclass(frozen=True)
class Table:
    """Rows of words under column names; the first column says what the row is. ``note`` explains."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(evaluation: Evaluation) -> list[Table]:
    """Make all tables that have anything in them."""
    made = [_size(evaluation), _speed(evaluation), _memory(evaluation), _quality(evaluation)]
    return [table for table in (*made, _answers(evaluation)) if table.rows]


def _size(evaluation: Evaluation) -> Table:
    models = (evaluation.original, *evaluation.results)
    before = evaluation.original.weight_bytes
    rows = [
        ("weight files", *(megabytes(model.weight_bytes) for model in models)),
        ("of the original's", *(percent(model.weight_bytes, before) for model in models)),
        ("of float32", *(percent(model.weight_bytes, evaluation.nbytes_float32) for model in models)),
        ("all files", *(megabytes(model.total_bytes) for model in models)),
    ]
    return Table("Size on disk", ("", *_names(evaluation)), tuple(rows))


def _speed(evaluation: Evaluation) -> Table:
    rows = []
    for index, before in enumerate(evaluation.original.timings):
        rows.append(
            (
                _load(before),
                _time(before),
                *(
                    cell
                    for folded in evaluation.folded[index : index + 1]
                    for cell in _against(before, [folded])
                ),
                *(
                    cell
                    for result in evaluation.results
                    for cell in _against(before, result.timings[index : index + 1])
                ),
            )
        )
    columns = ["", "original", *(("original, folded", "times as fast") if evaluation.folded else ())]
    for result in evaluation.results:
        columns += [result.name, "times as fast"]
    return Table(
        "Speed",
        tuple(columns),
        tuple(rows),
        ("Folded is how prensa.load(…, runtime='torch') runs it. " if evaluation.folded else "")
        + "One text: median and 95th percentile. Batches: texts a second. Models were timed in turns; in "
        "brackets stands the middle half of the ratios of single rounds.",
    )


def _load(timing: Timing) -> str:
    texts = "1 text" if timing.batch_size == 1 else f"{timing.batch_size} texts"
    return f"{texts} of {timing.tokens} tokens"


def _time(timing: Timing) -> str:
    if timing.batch_size == 1:
        return f"{milliseconds(percentile(timing, 50))}, {milliseconds(percentile(timing, 95))}"
    return f"{throughput(timing):,.1f} a second"


def _against(before: Timing, after: Sequence[Timing]) -> tuple[str, str]:
    if not after:
        return NONE, NONE
    found = ratio(before, after[0])
    return _time(after[0]), f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"


def _memory(evaluation: Evaluation) -> Table:
    models = (evaluation.original, *evaluation.results)
    if not any(model.memory for model in models):
        return Table("Loading and memory", (), ())
    rows = [
        ("time to load", *(_maybe(m.load_seconds, milliseconds) for m in models)),
        ("peak memory", *(_bytes(m.memory, "peak_bytes") for m in models)),
        ("of it before loading", *(_bytes(m.memory, "before_bytes") for m in models)),
    ]
    if any(model.memory and model.memory.accelerator_bytes for model in models):
        rows.append(
            ("peak memory of the accelerator", *(_bytes(m.memory, "accelerator_bytes") for m in models))
        )
    return Table(
        "Loading and memory",
        ("", *_names(evaluation)),
        tuple(rows),
        f"Each in a process of its own that answers one batch of {evaluation.batch_size} texts of "
        f"{evaluation.data.quartiles[-1]} tokens.",
    )


def _quality(evaluation: Evaluation) -> Table:
    metrics = _named(result.quality.metrics if result.quality else () for result in evaluation.results)
    columns = ["", "original"]
    for result in evaluation.results:
        columns += [result.name, "difference (95 % interval)"]
    rows = []
    for name, own in metrics.items():
        first = next(metric for metric in own if metric)
        cells = [name, _score(first, first.original)]
        for metric in own:
            cells += [_score(metric, metric.result), _difference(metric)] if metric else [NONE, NONE]
        rows.append(tuple(cells))
    notes = [
        f"{each.name}: {each.note}." for own in metrics.values() for each in own[:1] if each and each.note
    ]
    for result in evaluation.results:
        test = result.quality.mcnemar if result.quality else None
        if test:
            notes.append(
                f"{result.name}: {test.only_original:,} answers that only the original has right, "
                f"{test.only_result:,} that only the result has right "
                f"(McNemar's exact test: p = {test.p_value:.3g})."
            )
    return Table("Quality", tuple(columns), tuple(rows), " ".join(notes))


def _answers(evaluation: Evaluation) -> Table:
    figures = _named(result.quality.figures if result.quality else () for result in evaluation.results)
    rows = [
        (name, *(figure_in_words(each) if each else NONE for each in own)) for name, own in figures.items()
    ]
    return Table(
        "Beside the original's answers", ("", *(result.name for result in evaluation.results)), tuple(rows)
    )


def figure_in_words(figure: Figure) -> str:
    """``98.90 % (98.46 to 99.25)``, the 95 % interval in brackets where there is one."""
    text = score(figure.value, is_share=figure.is_share)
    if figure.interval is None:
        return text
    low, high = (number(100 * end) if figure.is_share else number(end) for end in figure.interval)
    return f"{text} ({low} to {high})"


def _named(several: Iterable[Sequence[Named]]) -> dict[str, list[Named | None]]:
    """Put what has one name in a row: a number for each of several results, None where one has none."""
    by_name = [{each.name: each for each in own} for own in several]
    return {
        name: [own.get(name) for own in by_name] for name in dict.fromkeys(n for own in by_name for n in own)
    }


def _names(evaluation: Evaluation) -> list[str]:
    return ["original", *(result.name for result in evaluation.results)]


def _maybe(value: float | None, word: Callable[[float], str]) -> str:
    return NONE if value is None else word(value)


def _bytes(memory: Memory | None, name: str) -> str:
    return NONE if memory is None else _maybe(getattr(memory, name), megabytes)


def _score(metric: Metric, value: float | None) -> str:
    return NONE if value is None else score(value, is_share=metric.is_share)


def _difference(metric: Metric) -> str:
    if metric.difference is None or metric.interval is None:
        return NONE
    low, high = (signed(end, is_share=metric.is_share) for end in metric.interval)
    return f"{signed(metric.difference, is_share=metric.is_share)} ({low} to {high})"


def remarks(evaluation: Evaluation) -> list[str]:
    """List what a reader must know to read the numbers right."""
    data, found = evaluation.data, []
    if data.is_smoke_test:
        found.append(
            "These are built-in texts, a smoke test: they show whether the result still answers like the "
            "original, not how well. Give your own texts with --data."
        )
    elif not data.labelled and evaluation.task.kind in {"classes", "multi-label", "regression", "tokens"}:
        found.append("The texts have no labels: this compares answers, and does not know which are right.")
    found += _of_the_original(evaluation)
    if data.truncated:
        found.append(
            f"{data.truncated:,} of {data.texts:,} texts were longer than {data.max_length} tokens and were "
            "cut."
        )
    if data.measured < data.texts:
        found.append(f"Interrupted: {data.measured:,} of {data.texts:,} texts were answered.")
    found += [
        _cut_otherwise(evaluation, result.name, result.retokenized)
        for result in evaluation.results
        if result.retokenized is not None
    ]
    if evaluation.missing:
        found.append(f"Interrupted: {', '.join(evaluation.missing)} not measured, or not to the end.")
    found += evaluation.notes
    return found + [f"Not measured: {problem}" for problem in evaluation.problems]


def _of_the_original(evaluation: Evaluation) -> list[str]:
    """Say where the original's own answers are a poor measure; every result was compared with the same."""
    quality = next((result.quality for result in evaluation.results if result.quality), None)
    if quality is None:
        return []
    found = []
    if quality.alike == "constant":
        found.append(f"{SAME_TO_ALL[0].upper()}{SAME_TO_ALL[1:]}.")
    elif quality.alike == "one-sided":
        found.append(
            "The original gives the same label to all of these, so that agreement with it proves little: "
            "give texts of every label."
        )
    if quality.guessing is not None:
        words = guessing_in_words(quality.guessing)
        found.append(f"{words[0].upper()}{words[1:]}: a score that stays proves little.")
    return found


def _cut_otherwise(evaluation: Evaluation, name: str, changed: Retokenized) -> str:
    of = evaluation.data.measured
    if evaluation.task.kind in LANGUAGE:
        return (
            f"{name}: the vocabulary was trimmed; {changed.texts:,} texts with pieces that are gone were "
            "left out, and probabilities are compared over the pieces that stayed."
        )
    share = f"{changed.texts:,} of {of:,} texts ({percent(changed.texts, of)})"
    lost = "" if changed.drop is None else f"; on these alone {drop_in_words(changed.drop)}"
    return f"{name}: the trimmed vocabulary cuts {share} into other pieces than the original's{lost}."


def computed_in(evaluation: Evaluation) -> str:
    """Say where and in which dtype the models ran."""
    models: Sequence[Model] = (evaluation.original, *evaluation.results)
    dtypes = list(dict.fromkeys(model.dtype for model in models))
    return f"{_where(evaluation.machine)}, {' and '.join(dtypes)}"


def _where(machine: Machine) -> str:
    """Name what computed; of a processor also the instructions that times and 8-bit answers depend on."""
    if machine.accelerator:
        return machine.accelerator
    sets = " ".join(name for name in machine.instruction_sets if name not in _EVERYWHERE)
    return f"{machine.processor} with {sets}" if sets else machine.processor
