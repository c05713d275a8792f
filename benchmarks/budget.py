"""Keep a budget of one point on ``toxic-deberta``: how many evaluations, how far from a fine grid of noises.

The grid is judged on the same half of the comments as the search; its smallest file that keeps the budget is
what a search could find at best.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from transformers.utils import logging

from benchmarks.calibrated import TRAIN, comments_judge
from benchmarks.evaluation import MODEL
from benchmarks.record import save
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.budget import Budget
from prensa.evaluation.halves import halve_texts
from prensa.pressing import pipeline
from prensa.pressing.recipe import load_preset
from prensa.search.search import search
from prensa.search.trial import Trial
from prensa.texts.library import Library
from prensa.texts.source import Source

MAX_DROP = 0.01
STEP = 1.12  # between noises of the grid: files differ by 3 %
ABOVE = 3  # points of the grid above the winner; below it files are larger


def main() -> None:
    """Search, then walk the grid above what was found."""
    logging.disable_progress_bar()
    judge = comments_judge()
    half = halve_texts(judge.plan.texts).search
    calibration = plan_calibration(MODEL, Source(TRAIN), library=Library())
    budget = Budget(max_drop=MAX_DROP)
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as place:
        plan = pipeline.plan(MODEL, load_preset("small"), Path(place) / "out")
        found, _ = search(plan, calibration, budget, judge, on_trial=lambda trial, held: trials.append(trial))
        assert found.winner is not None
        print(found.to_json(), flush=True)
        statistics = collect(calibration)
        grid = []
        for exponent in range(1, ABOVE + 1):
            noise = found.winner.noise * STEP**exponent
            output = Path(place) / f"grid{exponent}"
            point = plan.with_recipe(plan.recipe.with_noise(noise), output)
            nbytes = pipeline.run(point, statistics=statistics).nbytes
            quality = judge.quality(output, half, draws=Draws(0))
            assert quality.drop is not None
            grid.append(Trial(noise, nbytes, quality.drop.value))
            print(grid[-1], flush=True)
    kept = [trial.nbytes for trial in (*grid, *trials) if budget.allows(trial.drop, trial.agreement)]
    result: dict[str, Any] = {
        "model": "toxic-deberta",
        "max_drop": MAX_DROP,
        "texts_of_each_half": len(half),
        "evaluations": len(trials) + 1,
        "winner": vars(found.winner),
        "check": None if found.check is None else vars(found.check),
        "check_interval": None if found.drop is None else found.drop.interval,
        "held": found.held,
        "smallest_on_the_grid": min(kept),
        "over_smallest": round(found.winner.nbytes / min(kept) - 1, 4),
        "grid": [vars(trial) for trial in grid],
        "trials": [vars(trial) for trial in trials],
    }
    save("budget", result)


if __name__ == "__main__":
    main()
