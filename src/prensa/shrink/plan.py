"""What is shrunk and on which texts: all that is known before a weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prensa.calibration.plan import CalibrationPlan, plan_calibration
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.shrunk import PartKind
from prensa.checkpoint.task import task_of
from prensa.distilling.distill import DistillPlan, plan_distillation
from prensa.errors import DataError, RecipeError
from prensa.progress import Progress, silent
from prensa.shrink.anatomy import Anatomy, anatomy_of
from prensa.shrink.settings import Shrink
from prensa.shrink.widths import even_width_key
from prensa.texts.columns import Texts, sample
from prensa.texts.encoding import Encoded
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer, longest

# Tokens of a text that is fitted on; what is behind is more of the same.
_LONGEST = 256
# Texts that are kept apart, to compare candidates on.
_APART = 128
# With fewer, least squares has less to go by than it has weights to set.
_FEWEST = 64
# Distinct texts: those that repeat each other show nothing new.
_DISTINCT = 32


@dataclass(frozen=True)
class ShrinkPlan:
    """A model that can be shrunk.

    ``calibration`` shows what the outputs depend on, ``fitted`` are the texts that the rest is fitted on and
    ``apart`` others that candidates are compared on. ``kinds`` says which parts may become narrower;
    ``even`` that all layers must keep one width, since the format holds no others. ``distillation`` is None
    where nothing is to be learnt afterwards. ``longest`` is how many tokens the model reads at most.
    """

    path: Path
    settings: Shrink
    anatomy: Anatomy
    calibration: CalibrationPlan
    fitted: Encoded
    apart: Encoded
    kinds: tuple[PartKind, ...]
    even: bool
    source: str
    longest: int | None
    distillation: DistillPlan | None = None


def plan_shrinking(
    path: Path,
    settings: Shrink,
    source: Source,
    *,
    even: bool,
    library: Library,
    device: str | None = None,
    progress: Progress = silent,
    judged: Texts | None = None,
) -> ShrinkPlan:
    """Find out what can be taken away in a model, and read the texts. Reads no weights.

    What the result is ``judged`` by is not distilled on.

    Raises :class:`~prensa.errors.ModelError` for a model that cannot be shrunk, :class:`RecipeError` where
    the recipe leaves nothing to take away, :class:`DataError` for too few texts, and whatever calibrating and
    distilling raise.
    """
    check_names(path)
    anatomy = anatomy_of(path)
    kinds = _kinds(path, settings, anatomy, even=even)
    calibration = plan_calibration(
        path, replace(source, limit=None), library=library, device=device, progress=progress
    )
    texts = library.all_texts(source, task_of(load_config(path)))
    distinct = len(set(texts.texts))
    if len(texts) < _FEWEST or distinct < _DISTINCT:
        raise DataError(
            f"{texts.name}: {len(texts):,} texts, {distinct:,} of them different, are too few to shrink a "
            f"model by; expected {_FEWEST} or more like those that it will answer"
        )
    count = min(settings.texts + _APART, len(texts))
    tokenizer = load_tokenizer(path)
    most = longest(tokenizer, load_config(path), None)
    limit = min(most or _LONGEST, _LONGEST)
    encoded = library.encode(tokenizer, sample(texts, count), "embedding", limit)
    # Of few texts most are for fitting. Every so many, since a file may be sorted by what is in it.
    stride = max(4, count // _APART)
    numbers = range(count)
    apart = numbers[::stride]
    fitted = sorted(set(numbers) - set(apart))
    distillation = None
    if settings.distill:
        distillation = plan_distillation(
            path,
            # A limit is of those that calibrate.
            replace(source, limit=None),
            seconds=settings.distill,
            library=library,
            progress=progress,
            judged=judged,
        )
    return ShrinkPlan(
        path=path,
        settings=settings,
        anatomy=anatomy,
        calibration=calibration,
        fitted=rows_of(encoded, fitted),
        apart=rows_of(encoded, apart),
        kinds=kinds,
        even=even,
        source=texts.name,
        longest=most,
        distillation=distillation,
    )


def _kinds(path: Path, settings: Shrink, anatomy: Anatomy, *, even: bool) -> tuple[PartKind, ...]:
    """Return the kinds of parts that may become narrower. Raises :class:`RecipeError` if nothing may go."""
    wanted: Mapping[PartKind, bool] = {"heads": settings.heads, "neurons": settings.neurons}
    there = {part.kind for part in anatomy.parts}
    kinds: list[PartKind] = []
    for kind, is_wanted in wanted.items():
        if is_wanted and kind in there:
            kinds.append(kind)
    if even:
        # What config.json can say is one width of all feed-forward blocks.
        kinds = [kind for kind in kinds if kind == "neurons" and _says_width(path, anatomy)]
    if not kinds and not settings.layers:
        raise RecipeError(
            "shrink: nothing is left that may be taken away in this model; allow neurons, heads or layers, "
            "or use `format=packed`, which holds uneven widths"
        )
    return tuple(kinds)


def _says_width(path: Path, anatomy: Anatomy) -> bool:
    widest = max(part.units for part in anatomy.parts)
    return even_width_key(load_config(path), anatomy, widest - 1) is not None


def rows_of(encoded: Encoded, numbers: Sequence[int]) -> Encoded:
    """Return some texts by their numbers."""
    return replace(encoded, rows=[encoded.rows[number] for number in numbers])
