"""On which texts a compressed model learns, and whether it can: known before a weight is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.distilling.plan import DistillPlan, check_count, plan_distillation
from prensa.errors import SettingError
from prensa.healing.settings import NAME, Heal
from prensa.progress import Progress, silent
from prensa.runtime.devices import choose_device
from prensa.texts.columns import Texts
from prensa.texts.encoding import Encoded, Row
from prensa.texts.library import Library
from prensa.texts.source import Source

# Tokens of a step: what learns is few numbers, which many small steps move further than few large ones.
_TOKENS = 1024


@dataclass(frozen=True)
class HealPlan:
    """What a result learns from, and where. Lessons are in the tokens of the result's own vocabulary."""

    settings: Heal
    lessons: DistillPlan
    device: str


def plan_healing(
    path: Path,
    source: Source,
    settings: Heal,
    *,
    library: Library,
    kept: Sequence[int] | None = None,
    device: str | None = None,
    progress: Progress = silent,
    judged: Texts | None = None,
) -> HealPlan:
    """Read texts without labels and tokenize them as the original at ``path`` reads them.

    ``kept`` are the tokens that a trimmed vocabulary keeps, by their numbers in the original: texts with
    others are left out, and so are those that the result is ``judged`` by. Raises what
    :func:`~prensa.distilling.plan.plan_distillation` raises, among it :class:`~prensa.errors.DataError` for
    fewer than 200 different texts.
    """
    chosen = choose_device(device)
    _check_first(chosen)
    lessons = plan_distillation(
        path,
        source,
        seconds=settings.seconds,
        library=library,
        steps=settings.steps,
        progress=progress,
        option=NAME,
        judged=judged,
    )
    encoded = lessons.encoded
    if kept is not None:
        encoded = _renumbered(encoded, {old: new for new, old in enumerate(kept)})
        check_count(len(encoded.rows), f"{lessons.source}, with the tokens that stay,", NAME)
    lessons = dataclasses.replace(
        lessons,
        encoded=encoded,
        learning_rate=settings.learning_rate,
        batch_tokens=min(lessons.batch_tokens, _TOKENS),
        accumulate=1,
    )
    return HealPlan(settings, lessons, chosen)


def _check_first(device: str) -> None:
    """Raise :class:`SettingError` for a GPU that is not the first: the trainer takes the first there is."""
    kind, _, number = device.partition(":")
    if kind == "cuda" and number not in {"", "0"}:
        raise SettingError(
            f"`device={device}`: healing runs on the first GPU; set CUDA_VISIBLE_DEVICES={number} and give "
            "`device=cuda`"
        )


def _renumbered(encoded: Encoded, new: Mapping[int, int]) -> Encoded:
    """Return the texts all of whose tokens stay, by their numbers in the smaller vocabulary."""
    rows: list[Row] = []
    for row in encoded.rows:
        ids = row["input_ids"]
        if all(number in new for number in ids):
            rows.append({**row, "input_ids": [new[number] for number in ids]})
    # Marks always stay. A tokenizer that has no token for a purpose has no number for it either.
    fill = dict(encoded.fill)
    fill["input_ids"] = new.get(fill["input_ids"], fill["input_ids"])
    mask_id = encoded.mask_id
    if mask_id is not None:
        mask_id = new.get(mask_id, mask_id)
    return dataclasses.replace(encoded, rows=rows, fill=fill, mask_id=mask_id)
