"""An evaluation as tables of words: the same ones in the terminal, on the page, and in the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from prensa.checkpoint.kinds import LANGUAGE
from prensa.evaluation.figures import Figure, McNemar, Metric, Quality
from prensa.evaluation.generation import TIMED_TOKENS
from prensa.evaluation.original import SAME_TO_ALL
from prensa.evaluation.results import Evaluation, Machine, Model, Retokenized, Timing
from prensa.evaluation.speed import percentile, ratio, throughput
from prensa.evaluation.verdict import drop_in_words, guessing_in_words, range_in_words
from prensa.report.cascades import cascade_table
from prensa.report.table import NONE, Table
from prensa.wording import megabytes, milliseconds, number, percent, score, signed

_EVERYWHERE = {"avx", "fma", "f16c", "avx512bw", "amx_tile", "asimd"}
"""Instruction sets that say nothing beside the others: they come with them."""

_WITH_LABELS = {"classes", "multi-label", "regression", "tokens", "questions", "writing"}
"""Kinds of tasks whose texts may have right answers beside them."""

Named = TypeVar("Named", Metric, Figure)
Value = TypeVar("Value")


def tables(evaluation: Evaluation) -> list[Table]:
    """Make all tables that have anything in them."""
    made = [
        _size(evaluation),
        _speed(evaluation),
        _memory(evaluation),
        _quality(evaluation),
        _answers(evaluation),
        _thresholds(evaluation),
        cascade_table(evaluation),
    ]
    return [table for table in made if table.rows]


def _size(evaluation: Evaluation) -> Table:
    original = evaluation.original.weight_bytes
    weights = ["weight files"]
    of_original = ["of the original's"]
    of_float32 = ["of float32"]
    everything = ["all files"]
    for model in _models(evaluation):
        weights.append(megabytes(model.weight_bytes))
        of_original.append(percent(model.weight_bytes, original))
        of_float32.append(percent(model.weight_bytes, evaluation.nbytes_float32))
        everything.append(megabytes(model.total_bytes))
    rows = (tuple(weights), tuple(of_original), tuple(of_float32), tuple(everything))
    return Table("Size on disk", ("", *_names(evaluation)), rows)


def _speed(evaluation: Evaluation) -> Table:
    columns = ["", "original"]
    note = (
        "One text: median and 95th percentile. Batches: texts a second. Models were timed in turns; in "
        "brackets stands the middle half of the ratios of single rounds."
    )
    if evaluation.folded:
        columns += ["original, folded", "times as fast"]
        note = f"Folded is how prensa.load(…, runtime='torch') runs it. {note}"
    if evaluation.task.kind == "writing":
        note += f" For each text {TIMED_TOKENS} tokens are written."
    for result in evaluation.results:
        columns += [result.name, "times as fast"]

    # The same place in each model's timings is the same length and batch size; an interruption leaves fewer.
    rows = []
    for index, before in enumerate(evaluation.original.timings):
        cells = [_load(before), _time(before)]
        if index < len(evaluation.folded):
            cells += _against(before, evaluation.folded[index])
        for result in evaluation.results:
            if index < len(result.timings):
                cells += _against(before, result.timings[index])
            else:
                cells += [NONE, NONE]
        rows.append(tuple(cells))
    return Table("Speed", tuple(columns), tuple(rows), note)


def _load(timing: Timing) -> str:
    texts = f"{timing.batch_size} texts"
    if timing.batch_size == 1:
        texts = "1 text"
    return f"{texts} of {timing.tokens} tokens"


def _time(timing: Timing) -> str:
    if timing.batch_size == 1:
        middle = milliseconds(percentile(timing, 50))
        slow = milliseconds(percentile(timing, 95))
        return f"{middle}, {slow}"
    return f"{throughput(timing):,.1f} a second"


def _against(before: Timing, after: Timing) -> list[str]:
    speed = ratio(before, after)
    return [_time(after), f"{speed.median:.2f} ({speed.low:.2f} to {speed.high:.2f})"]


def _memory(evaluation: Evaluation) -> Table:
    models = _models(evaluation)
    if not any(model.memory for model in models):
        return Table("Loading and memory", (), ())
    load = ["time to load"]
    peak = ["peak memory"]
    before = ["of it before loading"]
    accelerator = ["peak memory of the accelerator"]
    for model in models:
        memory = model.memory
        if memory is None:
            for row in (load, peak, before, accelerator):
                row.append(NONE)
            continue
        load.append(_or_none(model.load_seconds, milliseconds))
        peak.append(megabytes(memory.peak_bytes))
        before.append(megabytes(memory.before_bytes))
        accelerator.append(_or_none(memory.accelerator_bytes, megabytes))

    rows = [tuple(load), tuple(peak), tuple(before)]
    if any(model.memory and model.memory.accelerator_bytes for model in models):
        rows.append(tuple(accelerator))
    longest = evaluation.data.quartiles[-1]
    note = (
        f"Each in a separate process that answers one batch of {evaluation.batch_size} texts of {longest} "
        "tokens."
    )
    return Table("Loading and memory", ("", *_names(evaluation)), tuple(rows), note)


def _quality(evaluation: Evaluation) -> Table:
    columns = ["", "original"]
    for result in evaluation.results:
        columns += [result.name, "difference (95 % interval)"]
    of_results = [_quality_of(result).metrics for result in evaluation.results]

    rows = []
    notes = []
    for name, metrics in _by_name(of_results).items():
        rows.append(_metric_row(name, metrics))
        # One note for all: what a metric needs of the texts, it needs of them for every result that has any.
        first = next(metric for metric in metrics if metric is not None)
        if first.note:
            notes.append(f"{name}: {first.note}.")
    for result in evaluation.results:
        quality = result.quality
        if quality is not None and quality.mcnemar is not None:
            note = _test_in_words(result.name, quality.mcnemar)
            notes.append(note)
    return Table("Quality", tuple(columns), tuple(rows), " ".join(notes))


def _metric_row(name: str, metrics: Sequence[Metric | None]) -> tuple[str, ...]:
    """Make a row of one metric: the original's value, and each result's with its difference."""
    # The first one's: for a result whose vocabulary was trimmed, the original's score is that of fewer texts.
    first = next(metric for metric in metrics if metric is not None)
    original = _score(first, first.original)
    cells = []
    for metric in metrics:
        if metric is None:
            cells += [NONE, NONE]
            continue
        cells += [_score(metric, metric.result), _difference(metric)]
    return (name, original, *cells)


def _test_in_words(name: str, test: McNemar) -> str:
    return (
        f"{name}: {test.only_original:,} answers that only the original has right, "
        f"{test.only_result:,} that only the result has right "
        f"(McNemar's exact test: p = {test.p_value:.3g})."
    )


def _answers(evaluation: Evaluation) -> Table:
    of_results = [_quality_of(result).figures for result in evaluation.results]
    rows = []
    for name, figures in _by_name(of_results).items():
        cells = [_or_none(figure, figure_in_words) for figure in figures]
        rows.append((name, *cells))
    results = [result.name for result in evaluation.results]
    return Table("Beside the original's answers", ("", *results), tuple(rows))


def _thresholds(evaluation: Evaluation) -> Table:
    """List the thresholds that were chosen for each model."""
    rows: dict[str, list[str]] = {}
    qualities = [_quality_of(result) for result in evaluation.results]
    for place, quality in enumerate(qualities):
        for chosen in quality.thresholds:
            original = f"{chosen.original:.6g}"
            row = rows.setdefault(chosen.label, [original, *(NONE for _ in qualities)])
            row[place + 1] = f"{chosen.result:.6g}"
    note = (
        "The probability from which on a label is given: chosen for each model by the label's best F1 on "
        "one half of the texts. Everything else on quality is of the other half."
    )
    cells = [(label, *numbers) for label, numbers in rows.items()]
    return Table("Thresholds", ("", *_names(evaluation)), tuple(cells), note)


def figure_in_words(figure: Figure) -> str:
    """``98.90 % (98.46 to 99.25)``, the 95 % interval in brackets if it is known."""
    text = score(figure.value, is_share=figure.is_share)
    if figure.interval is None:
        return text
    if figure.is_share:
        return f"{text} ({range_in_words(figure.interval)})"
    low, high = figure.interval
    return f"{text} ({number(low)} to {number(high)})"


def _by_name(of_results: Sequence[Sequence[Named]]) -> dict[str, list[Named | None]]:
    """Put what has one name in a row: a number for each of several results, None if one has none."""
    rows: dict[str, list[Named | None]] = {}
    for index, numbers in enumerate(of_results):
        for each in numbers:
            row = rows.setdefault(each.name, [None] * len(of_results))
            row[index] = each
    return rows


def _quality_of(result: Model) -> Quality:
    """Return what was compared, nothing at all if it was not."""
    return result.quality or Quality()


def _models(evaluation: Evaluation) -> tuple[Model, ...]:
    return (evaluation.original, *evaluation.results)


def _names(evaluation: Evaluation) -> list[str]:
    return ["original", *(result.name for result in evaluation.results)]


def _or_none(value: Value | None, word: Callable[[Value], str]) -> str:
    if value is None:
        return NONE
    return word(value)


def _score(metric: Metric, value: float | None) -> str:
    if value is None:
        return NONE
    return score(value, is_share=metric.is_share)


def _difference(metric: Metric) -> str:
    if metric.difference is None or metric.interval is None:
        return NONE
    low, high = metric.interval
    difference = signed(metric.difference, is_share=metric.is_share)
    low_end = signed(low, is_share=metric.is_share)
    high_end = signed(high, is_share=metric.is_share)
    return f"{difference} ({low_end} to {high_end})"


def remarks(evaluation: Evaluation) -> list[str]:
    """List what a reader must know to read the numbers right."""
    data = evaluation.data
    lines = []
    # What the texts are good for.
    if data.is_smoke_test:
        lines.append(
            "These are built-in texts, a smoke test: they show whether the result still answers like the "
            "original, not how well. Give your own texts to measure that."
        )
    elif not data.labelled and evaluation.task.kind in _WITH_LABELS:
        lines.append("The texts have no labels: this compares answers, and does not know which are right.")
    lines += _of_the_original(evaluation)

    # What was read of them.
    if data.truncated:
        lines.append(
            f"{data.truncated:,} of {data.texts:,} texts were longer than {data.max_length} tokens and were "
            "truncated."
        )
    if data.measured < data.texts:
        lines.append(f"Interrupted: {data.measured:,} of {data.texts:,} texts were answered.")
    for result in evaluation.results:
        if result.retokenized is not None:
            lines.append(_retokenized_in_words(evaluation, result.name, result.retokenized))

    # What is missing.
    if evaluation.missing:
        lines.append(f"Interrupted: {', '.join(evaluation.missing)} not measured, or not to the end.")
    lines += evaluation.notes
    lines += [f"Not measured: {problem}" for problem in evaluation.problems]
    return lines


def _of_the_original(evaluation: Evaluation) -> list[str]:
    """Report where the original's own answers are a poor measure."""
    # Every result was compared with the same original, so the first one knows; of one that gives no numbers
    # little was compared.
    qualities = [result.quality for result in evaluation.results if result.quality]
    if not qualities:
        return []
    quality = min(qualities, key=lambda each: bool(each.broken))
    lines = []
    if quality.alike == "constant":
        lines.append(f"{_capitalized(SAME_TO_ALL)}.")
    elif quality.alike == "one-sided":
        lines.append(
            "The original gives the same label to all of these, so that agreement with it proves little: "
            "give texts of every label."
        )
    if quality.guessing is not None:
        words = guessing_in_words(quality.guessing)
        lines.append(f"{_capitalized(words)}: a score that stays proves little.")
    return lines


def _capitalized(words: str) -> str:
    # Not capitalize(), which makes all other letters small.
    return words[0].upper() + words[1:]


def _retokenized_in_words(evaluation: Evaluation, name: str, retokenized: Retokenized) -> str:
    if evaluation.task.kind in LANGUAGE:
        return (
            f"{name}: the vocabulary was trimmed; {retokenized.texts:,} texts with tokens that are gone were "
            "left out, and probabilities are compared over the tokens that stayed."
        )
    texts = evaluation.data.measured
    share = f"{retokenized.texts:,} of {texts:,} texts ({percent(retokenized.texts, texts)})"
    line = f"{name}: the trimmed vocabulary tokenizes {share} differently from the original's"
    if retokenized.drop is not None:
        line += f"; on these alone {drop_in_words(retokenized.drop)}"
    return f"{line}."


def computed_in(evaluation: Evaluation) -> str:
    """Name where and in which dtype the models ran."""
    dtypes = dict.fromkeys(model.dtype for model in _models(evaluation))
    return f"{_where(evaluation.machine)}, {' and '.join(dtypes)}"


def _where(machine: Machine) -> str:
    """Name what computed; of a processor also the instructions that times and 8-bit answers depend on."""
    if machine.accelerator:
        return machine.accelerator
    sets = [name for name in machine.instruction_sets if name not in _EVERYWHERE]
    if not sets:
        return machine.processor
    return f"{machine.processor} with {' '.join(sets)}"
