"""Packages that only some uses need, looked for before anything else is done."""

from __future__ import annotations

import importlib.util

from prensa.errors import MissingPackageError

EXTRAS = {
    "bitsandbytes": {"bitsandbytes": "bitsandbytes", "accelerate": "accelerate"},
    "data": {"datasets": "datasets"},
    "distill": {"accelerate": "accelerate"},
    "evaluate": {
        "jinja2": "jinja2",
        "rouge_score": "rouge-score",
        "sacrebleu": "sacrebleu",
        "scipy": "scipy",
        "sklearn": "scikit-learn",
        "vl_convert": "vl-convert-python",
    },
    "model-server": {"openvino_tokenizers": "openvino-tokenizers"},
    "onnxruntime": {"onnxruntime": "onnxruntime", "onnx": "onnx", "onnxscript": "onnxscript"},
    "openvino": {"openvino": "openvino", "nncf": "nncf"},
    "peft": {"peft": "peft"},
    "ray": {"ray": "ray"},
    "ray-serve": {"ray": "ray", "fastapi": "fastapi"},
    "serve": {"starlette": "starlette", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"},
    "trim": {"google.protobuf": "protobuf"},
}
"""For each extra of the package, the modules it brings and the packages they come in."""


def require(extra: str, purpose: str) -> None:
    """Raise :class:`MissingPackageError` unless all modules of ``extra`` can be imported here.

    ``purpose`` begins the message: what it is that needs them.
    """
    missing = [package for module, package in EXTRAS[extra].items() if not is_installed(module)]
    if not missing:
        return
    *first, packages = missing
    if first:
        packages = f"{', '.join(first)} and {packages}"
    raise MissingPackageError(
        f"{purpose} needs {packages}, not installed here; run pip install 'prensa[{extra}]'"
    )


def is_installed(module: str) -> bool:
    """Whether a module can be imported here."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        # Of a module inside of a package, that package is imported to look for it.
        return False
