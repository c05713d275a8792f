"""The export that benchmarks of serving answer with: one that is there, or one that is made for the time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prensa
from benchmarks.evaluation import MODEL
from benchmarks.record import SHARED


@contextmanager
def exported(given: Path | None) -> Iterator[Path]:
    """Yield ``given``, or an export of ``toxic-deberta`` to OpenVINO in 8 bits, which goes afterwards."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as place:
        export = Path(place) / "export"
        train = SHARED / "data" / "toxic-comments" / "train.csv"
        prensa.export(MODEL, export, to="openvino", precision="int8", texts=train)
        yield export
