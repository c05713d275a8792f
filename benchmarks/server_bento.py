"""The service that ``benchmarks.server_peers`` has BentoML run: batches as BentoML collects them."""

from __future__ import annotations

import os
from typing import Any

import bentoml

from benchmarks.server_peers import MOST, scores_of


@bentoml.service(workers=1, traffic={"timeout": 300, "max_concurrency": 4096})
class Model:
    """The export, called once for each batch."""

    def __init__(self) -> None:
        """Load the export that the environment names."""
        self.scores = scores_of(os.environ["PRENSA_EXPORT"])

    @bentoml.api(batchable=True, max_batch_size=MOST, max_latency_ms=60_000)  # type: ignore[untyped-decorator]
    def predict(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """Return the labels of each text and their scores."""
        return self.scores(texts)
