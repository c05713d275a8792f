"""What a model class reads: texts, or pictures, sound and the like, which nothing here can feed it.

Compression without texts asks no class what it reads; calibration, exports and comparisons do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.roles import model_class
from prensa.checkpoint.task import pipeline_tag
from prensa.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_OTHERS = {
    "pixel_values": "pictures",
    "flattened_patches": "pictures",
    "pixel_values_videos": "videos",
    "input_values": "sound",
    "input_features": "sound",
    "spectrogram": "sound",
    "audio_mel": "sound",
    "past_values": "time series",
}
"""For the name of a class's first input, what that is. Whatever is not here is taken for texts."""

_BESIDE = {"vision_config": "pictures beside texts", "audio_config": "sound beside texts"}
# Tasks whose models read both or nothing.
_OF_BOTH = {"feature-extraction", "zero-shot-image-classification"}


def reads_instead(config: PretrainedConfig) -> str:
    """Return what the class that a config names reads instead of texts, empty if it reads texts."""
    name = getattr(model_class(config), "main_input_name", "input_ids")
    # Classes that read two things name them both.
    if isinstance(name, (list, tuple)):
        name = name[0]
    if name in _OTHERS:
        return _OTHERS[name]
    if pipeline_tag(config) not in _OF_BOTH:
        return ""
    # Such a class may have an encoder of texts beside another one: its config then has a part for each.
    for part, what in _BESIDE.items():
        if hasattr(config, part):
            return what
    return ""


def check_reads_texts(path: Path, config: PretrainedConfig) -> None:
    """Raise :class:`ModelError` if the model in ``path`` reads no texts, or not alone."""
    what = reads_instead(config)
    if what:
        name = model_class(config).__name__
        raise ModelError(
            f"{path}: {name} reads {what}, and is not calibrated, exported or compared on texts alone; "
            "compress it without texts (`preset=int8` or `preset=half`)"
        )
