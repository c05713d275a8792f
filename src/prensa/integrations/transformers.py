"""Load packed models with ``from_pretrained``: the only file that knows the quantizer API.

Every packed parameter ``x`` lies in the checkpoint twice: as a tensor of no elements under its own name
and as bytes under ``x_packed`` (see ``codecs.layout``). So that ``transformers`` finds just that, the
model's parameters are swapped for such pairs before loading; afterwards the bytes are decoded and
the pairs give way to ordinary parameters. What comes out is an ordinary model that trains and saves.

A config may list modules that are narrower than it describes (see ``checkpoint.structure``). They are
reshaped before anything else, and the list stays in the config of the loaded model: ``save_pretrained``
writes it, and what it wrote is loaded the same way.

No weight conversion is registered with ``transformers``: what its patterns match has changed between
5.0 and 5.23, while modules and their parameters have not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from prensa.checkpoint.checksum import check_sha256
from prensa.checkpoint.renaming import own_names
from prensa.checkpoint.structure import STRUCTURE, Structure, check_widths, from_config, reshape, to_config
from prensa.codecs.container import unpack
from prensa.codecs.layout import FORMAT_VERSION, QUANT_METHOD, SUFFIX, packed_names, placeholder
from prensa.errors import FormatError
from prensa.ops.affine import Quantized, dequantize

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Place = tuple[nn.Module, str]
"""A module and the name of one of its attributes, a parameter or a buffer."""


@dataclass(frozen=True)
class _Slot:
    """A packed parameter's place in the model, and what it must become."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


@register_quantization_config(QUANT_METHOD)
class PrensaConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """The ``quantization_config`` of a packed model. ``sha256`` maps weight files to their digests.

    ``structure`` is the content of that key, None if the model is as wide as its config says.
    """

    def __init__(
        self,
        format_version: int = FORMAT_VERSION,
        sha256: Mapping[str, str] | None = None,
        structure: object = None,
        **_: object,
    ) -> None:
        """Remember what ``config.json`` says."""
        self.quant_method = QUANT_METHOD
        self.format_version = format_version
        self.sha256 = dict(sha256 or {})
        self.structure = structure
        # Packing is storage: what is loaded is an ordinary model.
        self.dequantize = True


@register_quantizer(QUANT_METHOD)
class PrensaQuantizer(HfQuantizer):  # type: ignore[misc]
    """Decodes packed parameters while a model is loaded."""

    # In transformers' words: it only loads what is quantized already.
    requires_calibration = True
    quantization_config: PrensaConfig
    structure: Structure | None = None

    def validate_environment(self, *_: object, **__: object) -> None:
        """Refuse what a newer Prensa has written, and a list of narrower modules that is damaged."""
        version = self.quantization_config.format_version
        if version != FORMAT_VERSION:
            raise FormatError(
                f"config.json: expected packed format version {FORMAT_VERSION}, found {version!r}; "
                "install a newer prensa"
            )
        # Before the class is built: what is damaged need not be tried.
        self.structure = from_config(self.quantization_config.structure)

    def _process_model_before_weight_loading(
        self,
        model: PreTrainedModel,
        checkpoint_files: Iterable[str] = (),
        **_: object,
    ) -> None:
        # First: everything below takes the modules as they are.
        if self.structure is not None:
            reshape(model, self.structure)
        sizes: dict[str, int] = {}
        for name in checkpoint_files or ():
            file = Path(name)
            self._check_file(file)
            sizes |= _packed_sizes(file)

        # All names first: slots put buffers into the model that names could be taken for.
        own_name = own_names(model)
        own_sizes = {own_name(name): size for name, size in sizes.items()}
        self.slots = []
        for own, size in own_sizes.items():
            # What the model has no place for is left to transformers, which reports it.
            if own is not None:
                slot = _open_slot(model, own, size)
                self.slots.append(slot)

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: object) -> PreTrainedModel:
        places = _places(model, self.slots)
        # Decoding lets go of the interpreter's lock; filling changes the model, so that is for one thread.
        with ThreadPoolExecutor() as pool:
            weights = pool.map(lambda slot: _decode(model, slot), self.slots)
            for slot, weight in zip(self.slots, weights, strict=True):
                _fill_slot(model, slot, weight, places[slot])
        if self.structure is not None:
            check_widths(model, self.structure)
            # The library has taken the whole key out, as for any model that is ordinary now. Saved without
            # this it could not be loaded again.
            model.config.quantization_config = {
                "quant_method": QUANT_METHOD,
                "format_version": FORMAT_VERSION,
                STRUCTURE: to_config(self.structure),
            }
        return model

    def _check_file(self, file: Path) -> None:
        checksums = self.quantization_config.sha256
        # save_pretrained writes a narrower model with its structure and no checksum, as any other model.
        if not checksums and self.structure is not None and not _packed_sizes(file):
            return
        expected = checksums.get(file.name)
        if expected is None:
            raise FormatError(f"{file}: config.json has no checksum of it; compress the model again")
        check_sha256(file, expected)

    def is_serializable(self, *_: object, **__: object) -> bool:
        """Say that a loaded model can be saved: it is an ordinary one."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Say that a loaded model can be trained: it is an ordinary one."""
        return True


def make_usable(model: PreTrainedModel, dtype: object) -> None:
    """Mend what ``transformers`` leaves undone when it loads a bitsandbytes checkpoint.

    It leaves weights that are not quantized in the dtype they are stored in, whatever ``dtype`` was given,
    and their biases not, which then do not fit each other.

    On saving it reverses the conversions that it loaded with. The one for bitsandbytes cannot be reversed and
    raises; its weights are in the form they are saved in already, so it need not be.
    """
    if isinstance(dtype, torch.dtype):
        for weight in model.parameters():
            if weight.dtype in {torch.float16, torch.bfloat16}:
                weight.data = weight.data.to(dtype)
    conversions = getattr(model, "_weight_conversions", None) or []
    model._weight_conversions = [each for each in conversions if not _is_of_bitsandbytes(each)]


def _is_of_bitsandbytes(conversion: object) -> bool:
    for operation in getattr(conversion, "operations", None) or ():
        if type(operation).__module__ == "transformers.integrations.bitsandbytes":
            return True
    return False


def _packed_sizes(file: Path) -> dict[str, int]:
    """Return how many bytes each packed parameter in a file takes, by the parameter's name."""
    sizes = {}
    with safe_open(file, framework="pt") as tensors:
        for name in packed_names(tensors.keys()):
            (size,) = tensors.get_slice(name + SUFFIX).get_shape()
            sizes[name] = size
    return sizes


def _open_slot(model: PreTrainedModel, name: str, size: int) -> _Slot:
    """Put a pair of an empty parameter and room for its bytes where the parameter is."""
    module, attribute = _owner(model, name)
    weight = getattr(module, attribute)
    empty = placeholder(weight.shape, weight.dtype, "meta")
    if isinstance(weight, nn.Parameter):
        empty = nn.Parameter(empty, requires_grad=False)
    setattr(module, attribute, empty)
    module.register_buffer(attribute + SUFFIX, torch.empty(size, dtype=torch.uint8, device="meta"))
    return _Slot(name, tuple(weight.shape), _wanted_dtype(model, name, weight.dtype))


def _wanted_dtype(model: PreTrainedModel, name: str, dtype: torch.dtype) -> torch.dtype:
    """Return float32 for the modules that the model class keeps in it."""
    kept = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16:
        kept |= set(getattr(model, "_keep_in_fp32_modules", None) or ())
    is_half = dtype in {torch.float16, torch.bfloat16}
    is_kept = not kept.isdisjoint(name.split("."))
    if is_half and is_kept:
        return torch.float32
    return dtype


def _places(model: PreTrainedModel, slots: Sequence[_Slot]) -> dict[_Slot, set[Place]]:
    """List where each slot's weight belongs: in its own place, and where its placeholder was tied to.

    Placeholders all look alike, so two slots may have been tied to each other; each keeps its own place.
    """
    own = {slot: _owner(model, slot.name) for slot in slots}
    # Tied places hold the very same object. Its identity is what says so: all placeholders have equal values.
    holders: dict[int, set[Place]] = {}
    for module in model.modules():
        for attribute, weight in {**module._parameters, **module._buffers}.items():
            holders.setdefault(id(weight), set()).add((module, attribute))

    of_slots = set(own.values())
    places = {}
    for slot, (module, attribute) in own.items():
        weight = getattr(module, attribute)
        tied = holders[id(weight)] - of_slots
        places[slot] = tied | {(module, attribute)}
    return places


def _decode(model: PreTrainedModel, slot: _Slot) -> Tensor:
    module, attribute = _owner(model, slot.name)
    data = getattr(module, attribute + SUFFIX)
    if data.device.type == "meta":
        raise FormatError(f"{slot.name}: a packed model cannot be loaded with weights offloaded to disk")
    # transformers 5.0 made floats of some; every byte is one that float16 can hold.
    stored = data.cpu().to(torch.uint8).numpy()
    try:
        value = unpack(stored, slot.shape)
    except FormatError as error:
        raise FormatError(f"tensor {slot.name}: {error}") from error
    if isinstance(value, Quantized):
        return dequantize(value, slot.dtype).to(data.device)
    return value.to(slot.dtype).to(data.device)


def _fill_slot(model: PreTrainedModel, slot: _Slot, weight: Tensor, places: set[Place]) -> None:
    module, attribute = _owner(model, slot.name)
    if isinstance(getattr(module, attribute), nn.Parameter):
        weight = nn.Parameter(weight)
    # One object for all places, so that they stay tied when it is trained.
    for holder, name in places:
        setattr(holder, name, weight)
    delattr(module, attribute + SUFFIX)


def _owner(model: PreTrainedModel, name: str) -> Place:
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute
