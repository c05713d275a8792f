"""What a directory holds in place of a model, and what to do with it: half of an error message."""

from __future__ import annotations

from pathlib import Path

_SHOWN = 3

_OTHERS = {
    "model_optimized.pt": "{} is only a copy; the model.safetensors beside it is missing, make it again",
    "*.h5": "{} is TensorFlow's: convert it with transformers 4 (from_pretrained(…, from_tf=True)) and "
    "save_pretrained",
    "*.msgpack": "{} is Flax's: convert it with transformers 4 (from_pretrained(…, from_flax=True)) and "
    "save_pretrained",
    "*.index": "{} is a TensorFlow checkpoint: convert it with transformers 4 and save_pretrained",
    "*.onnx": "{} is an exported graph, which cannot be compressed; use the model it was made from",
    "onnx/*.onnx": "{} is an exported graph, which cannot be compressed; use the model it was made from",
    "openvino_model.xml": "{} is an exported graph, which cannot be compressed; use the model "
    "it was made from",
    "*.gguf": "{} is llama.cpp's and quantized already; use the model it was made from",
    "*.ot": "{} is rust-bert's; use the model it was made from",
    "model.*.safetensors": "found {}, a variant: rename it to model.safetensors",
    "pytorch_model.*.bin": "found {}, a variant: rename it to pytorch_model.bin",
    "*.distcp": "{} is a part of a distributed checkpoint: join it with "
    "torch.distributed.checkpoint and save_pretrained",
    "consolidated*": "{} is in the layout of the model's makers: use its repository for transformers",
    "*.safetensors": "found {}: rename it to model.safetensors if these are the model's weights",
    "*.bin": "found {}: rename it to pytorch_model.bin if these are the model's weights",
    "*.ckpt": "found {}: rename it to pytorch_model.bin if it is a checkpoint of PyTorch",
    "*.pt": "found {}: rename it to pytorch_model.bin if it is a state dict",
    "*.pth": "found {}: rename it to pytorch_model.bin if it is a state dict",
    "*.pkl": "{} is a pickle, which is not run; save the model with save_pretrained",
}
"""Files that hold weights for another program, and what to do with one; the first pattern that fits wins."""


def no_weights_here(path: Path) -> str:
    """Report what lies beside the config in place of the usual weight files."""
    for pattern, words in _OTHERS.items():
        for file in sorted(path.glob(pattern)):
            if file.is_file() and not _is_aside(file):
                return words.format(file.relative_to(path))
    return f"save the model there with save_pretrained{_inner(path)}"


def no_model_here(path: Path) -> str:
    """Report what a directory without ``config.json`` holds."""
    inner = _inner(path)
    if inner:
        return inner.removeprefix("; ")
    if any(path.glob("*.safetensors")) or any(path.glob("*.bin")):
        return "weights alone are not enough: copy the config.json of the model there"
    return "it is not a Hugging Face model directory"


def _is_aside(path: Path) -> bool:
    """Whether a file goes along with training and holds no weights of the model."""
    return path.name in {"training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth"}


def _inner(path: Path) -> str:
    """Name the directories inside that are models, as a Trainer leaves them."""
    models = [folder for folder in path.iterdir() if (folder / "config.json").is_file()]
    models.sort(key=_number)
    if not models:
        return ""
    shown = ", ".join(folder.name for folder in models[:_SHOWN])
    if len(models) > _SHOWN:
        shown += f" and {len(models) - _SHOWN} more"
    advice = "give one of these directories"
    if len(models) == 1:
        advice = "give that directory"
    return f"; it holds {shown}: {advice}"


def _number(path: Path) -> tuple[int, str]:
    """Sort ``checkpoint-1000`` behind ``checkpoint-500``."""
    last = path.name.rpartition("-")[2]
    number = 0
    if last.isdigit():
        number = int(last)
    return number, path.name
