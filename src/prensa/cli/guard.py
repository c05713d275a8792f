"""How every command fails: one line on stderr, exit code 2, and nothing left behind."""

from __future__ import annotations

import io
import logging
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import typer

from prensa.cli.options import with_options
from prensa.errors import OUT_OF_MEMORY, PrensaError
from prensa.wording import printable

FAILED = 2
_OUT_OF_MEMORY = "out of memory; nothing was changed"

T = TypeVar("T")


def guarded(program: str, work: Callable[[], T]) -> T:
    """Do the work of a command; what is not a defect becomes its one line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that has no × or – must not fail at the end.
        sys.stdout.reconfigure(errors="replace")
    # Whoever imports it, bitsandbytes remarks on its kernels.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # Clean up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    except PrensaError as error:
        fail(program, with_options(str(error)))
    except typer.TyperException as error:
        fail(program, error.format_message())
    except OSError as error:
        fail(program, str(error))
    except MemoryError:
        fail(program, _OUT_OF_MEMORY)
    except RuntimeError as error:
        if not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        fail(program, _OUT_OF_MEMORY)
    except KeyboardInterrupt:
        interrupted(program)


def interrupted(program: str) -> NoReturn:
    """End a command that was interrupted before it had anything to keep."""
    fail(program, "interrupted; nothing was changed")


def fail(program: str, message: str) -> NoReturn:
    """End a command with its one line."""
    sys.stderr.write(f"{program}: error: {printable(message)}\n")
    sys.exit(FAILED)
