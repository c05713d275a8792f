"""Prensa in other libraries.

``transformers`` looks quantization methods up in a table, and importing the module that holds it
imports PyTorch with it, which takes seconds. So :func:`register` waits until someone else imports that
module, and adds Prensa to the table right then.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_TABLE = "transformers.quantizers.auto"


def register() -> None:
    """Make ``from_pretrained`` understand packed models: now, or as soon as transformers is imported."""
    if _TABLE in sys.modules:
        _register_now()
    elif not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())


def _register_now() -> None:
    # Importing it registers it: its decorators put Prensa into the table.
    importlib.import_module("prensa.integrations.transformers")


class _WhenImported(importlib.abc.MetaPathFinder):
    """Find the table's module as usual, and register once it has been executed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != _TABLE:
            return None
        # Out of the way first: find_spec() below would find this finder again.
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register_now()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
