"""How the classic scripts read their arguments and fail: one line on stderr, exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from prensa.errors import PrensaError


class Parser(argparse.ArgumentParser):
    """A parser that fails in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments."""
        fail(self.prog, message)


def guarded(script: str, work: Callable[[], None]) -> None:
    """Do the work of a script; whatever Prensa raises on purpose becomes its one line."""
    try:
        work()
    except PrensaError as error:
        fail(script, str(error))
    except KeyboardInterrupt:
        fail(script, "interrupted; nothing was changed")


def fail(script: str, message: str) -> NoReturn:
    """End the script."""
    sys.stderr.write(f"{script}: error: {' '.join(message.split())}\n")
    sys.exit(2)
