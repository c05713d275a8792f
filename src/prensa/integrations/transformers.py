"""Load packed models with ``from_pretrained``: the only file that knows the quantizer API.

Every packed parameter ``x`` lies in the checkpoint twice: as a tensor of no elements under its own name
and as bytes under ``x_packed`` (see ``formats.packed``). So that ``transformers`` finds just that, the
model's parameters are swapped for such pairs before loading; afterwards the bytes are decoded and
the pairs give way to ordinary parameters. What comes out is an ordinary model that trains and saves.

No weight conversion is registered with ``transformers``: what its patterns match has changed between
5.0 and 5.23, while modules and their parameters have not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.renaming import own_names
from prensa.codecs.container import unpack
from prensa.errors import FormatError
from prensa.formats.packed import FORMAT_VERSION, QUANT_METHOD, SUFFIX, placeholder
from prensa.ops.affine import Quantized, dequantize


@dataclass(frozen=True)
class _Slot:
    """A packed parameter's place in the model, and what it must become."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


@register_quantization_config(QUANT_METHOD)
class PrensaConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """The ``quantization_config`` of a packed model. ``sha256`` maps weight files to their digests."""

    def __init__(
        self,
        format_version: int = FORMAT_VERSION,
        sha256: Mapping[str, str] | None = None,
        **_: object,
    ) -> None:
        """Remember what ``config.json`` says."""
        self.quant_method = QUANT_METHOD
        self.format_version = format_version
        self.sha256 = dict(sha256 or {})
        self.dequantize = True  # packing is storage: what is loaded is an ordinary model


@register_quantizer(QUANT_METHOD)
class PrensaQuantizer(HfQuantizer):  # type: ignore[misc]
    """Decodes packed parameters while a model is loaded."""

    requires_calibration = True  # in transformers' words: only loads what is quantized already
    quantization_config: PrensaConfig

    def validate_environment(self, *_: object, **__: object) -> None:
        """Refuse what a newer Prensa has written."""
        found = self.quantization_config.format_version
        if found != FORMAT_VERSION:
            raise FormatError(
                f"config.json: expected packed format version {FORMAT_VERSION}, found {found!r}; "
                "install a newer prensa"
            )

    def _process_model_before_weight_loading(
        self,
        model: Any,
        checkpoint_files: Iterable[str] = (),
        **_: object,
    ) -> None:
        sizes: dict[str, int] = {}
        for file in map(Path, checkpoint_files or ()):
            self._check_file(file)
            sizes |= _packed_sizes(file)
        own_name = own_names(model)
        found = {own_name(name): size for name, size in sizes.items()}
        self.slots = [_open_slot(model, name, size) for name, size in found.items() if name is not None]

    def _process_model_after_weight_loading(self, model: Any, **_: object) -> Any:
        places = _places(model, self.slots)
        with ThreadPoolExecutor() as pool:
            weights = pool.map(lambda slot: _decode(model, slot), self.slots)
            for slot, weight in zip(self.slots, weights, strict=True):
                _fill_slot(model, slot, weight, places[slot])
        return model

    def _check_file(self, file: Path) -> None:
        expected = self.quantization_config.sha256.get(file.name)
        if expected is None:
            raise FormatError(f"{file}: config.json has no checksum of it; compress the model again")
        found = sha256(file)
        if found != expected:
            raise FormatError(
                f"{file}: damaged, expected SHA-256 {expected[:12]}…, found {found[:12]}…; fetch it again"
            )

    def is_serializable(self, *_: object, **__: object) -> bool:
        """Say that a loaded model can be saved: it is an ordinary one."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Say that a loaded model can be trained: it is an ordinary one."""
        return True


def make_usable(model: Any, dtype: object) -> None:
    """Mend what ``transformers`` leaves undone when it loads a bitsandbytes checkpoint.

    It leaves weights that are not quantized in the dtype they are stored in, whatever ``dtype`` was asked
    for, and their biases not, which then do not fit each other.

    On saving it reverses the conversions that it loaded with. The one for bitsandbytes cannot be reversed and
    raises; its weights are in the form they are saved in already, so it need not be.
    """
    if isinstance(dtype, torch.dtype):
        for weight in model.parameters():
            if weight.dtype in {torch.float16, torch.bfloat16}:
                weight.data = weight.data.to(dtype)
    conversions = getattr(model, "_weight_conversions", None) or []
    model._weight_conversions = [each for each in conversions if not _is_of_bitsandbytes(each)]


def _is_of_bitsandbytes(conversion: Any) -> bool:
    operations = getattr(conversion, "operations", None) or ()
    return any(type(each).__module__ == "transformers.integrations.bitsandbytes" for each in operations)


def _packed_sizes(file: Path) -> dict[str, int]:
    with safe_open(file, framework="pt") as tensors:
        every = set(tensors.keys())
        names = [name for name in every if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in every]
        return {name.removesuffix(SUFFIX): tensors.get_slice(name).get_shape()[0] for name in names}


def _open_slot(model: Any, name: str, size: int) -> _Slot:
    """Put a pair of an empty parameter and room for its bytes where the parameter is."""
    module, attribute = _owner(model, name)
    weight = getattr(module, attribute)
    empty = placeholder(weight.shape, weight.dtype, "meta")
    is_parameter = isinstance(weight, nn.Parameter)
    setattr(module, attribute, nn.Parameter(empty, requires_grad=False) if is_parameter else empty)
    module.register_buffer(attribute + SUFFIX, torch.empty(size, dtype=torch.uint8, device="meta"))
    return _Slot(name, tuple(weight.shape), _wanted_dtype(model, name, weight.dtype))


def _wanted_dtype(model: Any, name: str, dtype: torch.dtype) -> torch.dtype:
    """Return float32 for the modules that the model class keeps in it."""
    kept = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16:
        kept |= set(getattr(model, "_keep_in_fp32_modules", None) or ())
    half = dtype in {torch.float16, torch.bfloat16}
    return torch.float32 if half and kept & set(name.split(".")) else dtype


def _places(model: Any, slots: Sequence[_Slot]) -> dict[_Slot, set[tuple[nn.Module, str]]]:
    """List where each slot's weight belongs: in its own place, and where its placeholder was tied to.

    Placeholders all look alike, so two slots may have been tied to each other; each keeps its own place.
    """
    own = {slot: _owner(model, slot.name) for slot in slots}
    holders: dict[int, set[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, weight in {**module._parameters, **module._buffers}.items():
            holders.setdefault(id(weight), set()).add((module, attribute))
    others = set(own.values())
    return {slot: (holders[id(getattr(*place))] - others) | {place} for slot, place in own.items()}


def _decode(model: Any, slot: _Slot) -> Tensor:
    module, attribute = _owner(model, slot.name)
    data = getattr(module, attribute + SUFFIX)
    if data.device.type == "meta":
        raise FormatError(f"{slot.name}: a packed model cannot be loaded with weights offloaded to disk")
    try:
        value = unpack(data.cpu().to(torch.uint8).numpy(), slot.shape)  # 5.0 made floats of some
    except FormatError as error:
        raise FormatError(f"tensor {slot.name}: {error}") from error
    dense = dequantize(value, slot.dtype) if isinstance(value, Quantized) else value.to(slot.dtype)
    return dense.to(data.device)


def _fill_slot(model: Any, slot: _Slot, weight: Tensor, places: set[tuple[nn.Module, str]]) -> None:
    module, attribute = _owner(model, slot.name)
    is_parameter = isinstance(getattr(module, attribute), nn.Parameter)
    value = nn.Parameter(weight) if is_parameter else weight
    for other, name in places:
        setattr(other, name, value)
    delattr(module, attribute + SUFFIX)


def _owner(model: Any, name: str) -> tuple[Any, str]:
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute
