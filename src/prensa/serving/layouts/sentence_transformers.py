"""What ``SentenceTransformer(directory, backend=…)`` and ``CrossEncoder(directory, backend=…)`` open.

Both look for ``onnx/model.onnx`` or ``openvino_model.xml`` (``sentence_transformers.backend.utils``), which
an export has. That it gives another output than they read they would notice with the first text: that is
checked here.
"""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.sentence_transformers import MODULES_FILE
from prensa.serving.exported import Record
from prensa.serving.layouts.files import check_output

NAME = "sentence-transformers"
RUNTIMES: tuple[str, ...] = ("onnxruntime", "openvino")
EXTRA: str | None = None


def arrange(directory: Path, record: Record) -> None:
    """Check that an export gives vectors of tokens, or as a cross-encoder logits.

    Raises :class:`~prensa.errors.ModelError`.
    """
    # Models with modules pool the vectors of tokens themselves. Any other classifier is a cross-encoder.
    if (directory / MODULES_FILE).is_file():
        check_output(record, ("last_hidden_state",), "SentenceTransformer")
    else:
        check_output(record, ("logits", "last_hidden_state"), "CrossEncoder")
