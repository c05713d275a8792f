"""Load an export to answer. Where its record says what is needed, neither PyTorch nor transformers is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prensa.arithmetic import usual_arithmetic
from prensa.extras import require
from prensa.serving.engines import ENGINES
from prensa.serving.exported import Record, check, is_export, read_record
from prensa.serving.facts import Facts, facts_of, still_known
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


def facts_in(directory: Path) -> Facts:
    """Return what the config in a directory says, of an export from its record if that still holds.

    Raises :class:`~prensa.errors.FormatError` for a damaged record, and :class:`~prensa.errors.ModelError`.
    """
    if is_export(directory):
        known = still_known(read_record(directory).known, directory)
        if known is not None:
            return known.facts
    from prensa.checkpoint.roles import load_config

    return facts_of(load_config(directory))
