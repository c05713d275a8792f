"""The main job on the built-in example: compress it with every preset, and compare the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prensa.errors import OutputError
from prensa.evaluation.figures import ACCURACY, Quality
from prensa.evaluation.results import Evaluation, Model
from prensa.evaluation.speed import ratio, typical
from prensa.example import comments_file, example_comments, restore_example
from prensa.extras import require
from prensa.jobs.comparison import Comparison
from prensa.jobs.compression import Compression
from prensa.pressing.recipe import preset_names
from prensa.progress import Progress, silent
from prensa.report.html import REPORT_FILE, write_report
from prensa.serving.load import load
from prensa.texts.source import Source
from prensa.wording import megabytes, number, percent

# Says that everything in the directory is ours to replace.
_MARK = ".prensa-demo"
# Comments whose answers are printed.
_SHOWN = 6


@dataclass(frozen=True)
class Shown:
    """A comment and what two models answer, as ``toxic 93.1 %``."""

    text: str
    original: str
    compressed: str


@dataclass(frozen=True)
class Demonstration:
    """The comparison of every preset with the original, and a few answers of the ``smallest``."""

    evaluation: Evaluation
    smallest: str
    comments: tuple[Shown, ...]
    report: Path

    def rows(self) -> list[tuple[str, ...]]:
        """List for each model: name, bytes, share of the bytes, right answers, same answers, speed."""
        original = self.evaluation.original
        before = original.weight_bytes
        rows: list[tuple[str, ...]] = []
        first = self.evaluation.results[0].quality
        rows.append(("(original)", megabytes(before), percent(before, before), _right(first, of=0), "", ""))
        for result in self.evaluation.results:
            after = result.weight_bytes
            size = (megabytes(after), percent(after, before))
            rows.append(
                (result.name, *size, _right(result.quality, of=1), _same(result), self._speed(result))
            )
        return rows

    def _speed(self, result: Model) -> str:
        """Return how many times as fast a result answers one text of the middle length."""
        middle = self.evaluation.data.quartiles[2]
        before = typical(self.evaluation.original.timings, middle)
        after = typical(result.timings, middle)
        if before is None or after is None:
            return ""
        return f"{ratio(before, after).median:.2f}×"


def run_demo(directory: Path, progress: Progress = silent) -> Demonstration:
    """Restore the example under ``directory``, compress it with each preset beside it, and compare.

    Raises :class:`~prensa.errors.OutputError` where ``directory`` holds anything that an earlier
    demonstration did not leave.
    """
    require("evaluate", "the demonstration")
    original = directory / "original"
    _take(directory)
    restore_example(original)
    presets = preset_names()
    nbytes: dict[str, int] = {}
    for number_of_preset, preset in enumerate(presets):
        progress("compressing", number_of_preset, len(presets))
        job = Compression(original, directory / preset, preset=preset, force=True)
        result = job.plan().run()
        if result.manifest is not None:
            nbytes[preset] = result.manifest.nbytes
    progress("compressing", len(presets), len(presets))
    evaluation = _compare(original, [directory / preset for preset in presets], progress)
    report = directory / REPORT_FILE
    write_report(evaluation, report)
    smallest = min(nbytes, key=nbytes.__getitem__)
    return Demonstration(evaluation, smallest, _answers(original, directory / smallest), report)


def _compare(original: Path, results: list[Path], progress: Progress) -> Evaluation:
    with comments_file() as comments:
        job = Comparison(original, tuple(results), data=Source(comments), device="cpu")
        return job.plan(progress).run(progress)


def _answers(original: Path, compressed: Path) -> tuple[Shown, ...]:
    """Let the original and a result answer a few comments."""
    texts = [comment.text for comment in example_comments()[:_SHOWN]]
    answers: list[list[str]] = []
    for path in (original, compressed):
        own: list[str] = []
        for answer in load(path, runtime="torch").predict(texts):
            likeliest, probability = next(iter(answer.scores.items()))
            own.append(f"{likeliest} {100 * probability:.1f} %")
        answers.append(own)
    shown: list[Shown] = []
    for text, before, after in zip(texts, *answers, strict=True):
        shown.append(Shown(text, before, after))
    return tuple(shown)


def _right(quality: Quality | None, *, of: int) -> str:
    """Return the share of right answers of the original (0) or of the result (1)."""
    if quality is None:
        return ""
    for metric in quality.metrics:
        if metric.name == ACCURACY:
            values = (metric.original, metric.result)
            value = values[of]
            return "" if value is None else percent(value)
    return ""


def _same(result: Model) -> str:
    if result.quality is None or result.quality.agreement is None:
        return ""
    return f"{number(100 * result.quality.agreement.value, 1)} %"


def _take(directory: Path) -> None:
    """Make the directory ours, unless it holds anything that no demonstration made."""
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"{directory}: expected a directory, found a file; choose another place")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / _MARK).is_file():
        raise OutputError(f"{directory}: holds other files; choose another place")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / _MARK).touch()
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written ({error.strerror})") from error
