"""A small model before its original: how many texts go on, what that costs, and how many answers stay.

The threshold is chosen on one half of the comments and confirmed on the other; then the original alone (in
its own fastest runtime), the small model alone and both together answer the same comments in turns.

``python -m benchmarks.cascade [SMALL] [COMMENTS]``: by default the demo model, which has half of the
original's layers, and 4,000 comments.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import transformers

from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, save, spread
from prensa.jobs.cascading import Cascading
from prensa.serving.cascade import Cascade
from prensa.serving.served import Served
from prensa.texts.columns import read_texts
from prensa.texts.source import Source

SMALL = SHARED / "models" / "demo-toxic-deberta"
AGREEMENT = 0.99
# Comments that each answers before the next has its turn.
PART = 250


def main(small: str = str(SMALL), count: str = "4000") -> None:
    """Choose, answer in turns, compare."""
    transformers.utils.logging.disable_progress_bar()
    comments = list(read_texts(Source(COMMENTS, limit=int(count)), None).texts)
    cascade = Cascading(small, MODEL, min_agreement=AGREEMENT, texts=comments).plan().run()
    print(cascade.account, flush=True)
    result = {"min_agreement": AGREEMENT, "threshold": cascade.threshold, "account": cascade.account}
    result |= measured(cascade, comments)
    # Their names: where they lie says something of one machine alone.
    names = {"small": Path(small).name, "original": MODEL.name}
    save("cascade", {**names, "texts": len(comments), **result})


def measured(cascade: Cascade, comments: Sequence[str]) -> dict[str, object]:
    """Have the original, the small model and both answer in turns, and compare their labels."""
    models: dict[str, Served] = {
        "original": cascade.original,
        "small": cascade.small,
        "cascade": cascade,
    }
    labels: dict[str, list[str | None]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    before = cascade.passed_on
    for start in range(0, len(comments), PART):
        for name, model in models.items():
            began = time.perf_counter()
            labels[name] += [answer.label for answer in model.predict(comments[start : start + PART])]
            seconds[name].append(time.perf_counter() - began)
        print(start, {name: round(own[-1], 2) for name, own in seconds.items()}, flush=True)
    found: dict[str, object] = {
        "runtimes": [f"{model.record.runtime} {model.record.precision}" for model in models.values()][:2],
        "passed_on": round((cascade.passed_on - before) / len(comments), 4),
    }
    for name in ("small", "cascade"):
        same = [own == right for own, right in zip(labels[name], labels["original"], strict=True)]
        found[f"{name}_same_answers"] = round(sum(same) / len(same), 4)
        found[f"{name}_times_as_fast"] = round(sum(seconds["original"]) / sum(seconds[name]), 2)
    found["seconds"] = {name: spread(own) for name, own in seconds.items()}
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
