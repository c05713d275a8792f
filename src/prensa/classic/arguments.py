"""How the classic scripts read their arguments."""

from __future__ import annotations

import argparse
from typing import NoReturn

from prensa.cli.guard import fail


class Parser(argparse.ArgumentParser):
    """A parser that fails in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments."""
        fail(self.prog, message)
