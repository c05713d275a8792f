"""Each task in its own metric: what is lost where a model is small, or runs in 8 bits.

``python -m benchmarks.tasks`` measures all parts, ``python -m benchmarks.tasks embedder queries`` some of
them; ``--limit`` takes fewer texts, to try it. The result of a part takes its place in
``results/tasks.json``, and those of other parts stay. A new part is a function of the limit that returns its
numbers, and a line here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from transformers.utils import logging

from benchmarks import tasks_gliner, tasks_retrieval, tasks_words
from benchmarks.record import known, save

Part = Callable[[int | None], dict[str, Any]]
"""Takes how many texts or queries to judge by, None for all."""

PARTS: dict[str, Part] = {
    "embedder": tasks_retrieval.neighbours,
    "queries": tasks_retrieval.queries_by_rule,
    "words": tasks_words.words,
    "spans": tasks_gliner.spans,
}
NAME = "tasks"


def main(parts: Sequence[str], limit: int | None, name: str = NAME) -> None:
    """Measure some parts, and write down each as it comes."""
    logging.disable_progress_bar()
    for part in parts:
        measured = PARTS[part](limit)
        save(name, {"parts": known(name, "parts") | {part: measured}})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--limit", type=int, help="texts or queries to judge by")
    parser.add_argument("--name", default=NAME, help="of the file in results/")
    given = parser.parse_args()
    main(given.parts or list(PARTS), given.limit, given.name)
