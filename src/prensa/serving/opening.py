"""Load an export to answer. Where its record says what is needed, neither PyTorch nor transformers is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prensa.arithmetic import usual_arithmetic
from prensa.extras import require
from prensa.serving.engines import ENGINES
from prensa.serving.exported import Record, check, read_record
from prensa.serving.served import Reload, Served


@usual_arithmetic()
def open_export(directory: Path) -> Served:
    """Load an export in its runtime, and check its answers on this machine.

    Raises :class:`~prensa.errors.FormatError` for one that is damaged,
    :class:`~prensa.errors.DifferentAnswersError` where it does not answer as it did where it was made, and
    :class:`~prensa.errors.MissingPackageError`.
    """
    again = partial(open_export, directory.absolute())
    return opened(directory, read_record(directory), again)


def opened(directory: Path, record: Record, again: Reload) -> Served:
    """Load an export whose record was read; ``again`` loads it once more. Raises as :func:`open_export`."""
    require(record.runtime, f"{directory}: exported for {record.runtime}, which")
    engine = ENGINES[record.runtime](directory, record.precision)
    check(record, engine, directory)
    return Served(engine, record, directory, again)
