"""Packages that only some uses need, asked for before anything else is done."""

from __future__ import annotations

import importlib.util

from prensa.errors import MissingPackageError

EXTRAS = {
    "bitsandbytes": {"bitsandbytes": "bitsandbytes", "accelerate": "accelerate"},
    "data": {"datasets": "datasets"},
    "evaluate": {
        "jinja2": "jinja2",
        "scipy": "scipy",
        "sklearn": "scikit-learn",
        "vl_convert": "vl-convert-python",
    },
    "onnxruntime": {"onnxruntime": "onnxruntime", "onnx": "onnx", "onnxscript": "onnxscript"},
    "openvino": {"openvino": "openvino", "nncf": "nncf"},
    "peft": {"peft": "peft"},
    "trim": {"google.protobuf": "protobuf"},
}
"""For each extra of the package, the modules it brings and the packages they come in."""


def require(extra: str, purpose: str) -> None:
    """Raise :class:`MissingPackageError` unless all modules of ``extra`` can be imported here.

    ``purpose`` begins the message: what it is that needs them.
    """
    missing = [package for module, package in EXTRAS[extra].items() if not is_installed(module)]
    if missing:
        raise MissingPackageError(
            f"{purpose} needs {' and '.join(filter(None, [', '.join(missing[:-1]), missing[-1]]))}, "
            f"not installed here; run pip install 'prensa[{extra}]'"
        )


def is_installed(module: str) -> bool:
    """Whether a module can be imported here."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is part of
        return False
