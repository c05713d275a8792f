"""Load a model in PyTorch, through the class that its config names."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.checkpoint.locate import locate
from prensa.checkpoint.names import check_loaded, fitted_in
from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import load_config, model_class, model_shape
from prensa.checkpoint.structure import is_shrunk_source
from prensa.extras import require
from prensa.integrations.transformers import make_usable
from prensa.sharing import building

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_log = logging.getLogger(__name__)


def load(path: str | Path, **settings: object) -> PreTrainedModel:
    """Load a pressed or an original model with the head it was saved with, as ``from_pretrained`` does.

    ``settings`` go there (``dtype``, ``device_map`` …). Raises :class:`~prensa.errors.ModelError` where there
    is no model or its names do not fit its class, :class:`~prensa.errors.FormatError` where a packed file is
    damaged, and :class:`~prensa.errors.MissingPackageError` where a bitsandbytes model cannot be loaded here.
    """
    directory = locate(path)
    config = load_config(directory)
    if is_eight_bit(config):
        require("bitsandbytes", f"{directory}: an 8-bit model")
    shape = model_shape(directory)
    checkpoint = None
    # A quantized file is checked whole when it is read, its names after that.
    is_dense = not getattr(config, "quantization_config", None) or is_shrunk_source(directory, config)
    if is_dense:
        checkpoint = fitted_in(directory, shape)
        for note in checkpoint.notes:
            _log.info("%s: %s", directory, note)
    with building(), torch.random.fork_rng(devices=[]):
        # A new head, where that is allowed, is the same every time.
        torch.manual_seed(0)
        model, missing = _from_pretrained(directory, config, checkpoint, settings)
    check_loaded(directory, shape, missing)
    if is_eight_bit(config):
        make_usable(model, settings.get("dtype"))
    return model


def load_on(path: Path, dtype: torch.dtype | str, device: str, pad_id: int) -> PreTrainedModel:
    """Load a model onto a device, ready to predict.

    ``pad_id`` is what rows are filled up with: GPT-2 and its like look for it in their config.
    """
    where: dict[str, object] = {}
    if is_eight_bit(load_config(path)):
        # It remarks on every layer of every batch.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        # 8-bit models are loaded where they run: they cannot be moved.
        if device != "cpu":
            where = {"device_map": {"": device}}
    model = load(path, dtype=dtype, **where).eval()
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = pad_id
    if model.device.type == torch.device(device).type:
        return model
    return model.to(device)


def _from_pretrained(
    directory: Path,
    config: PretrainedConfig,
    checkpoint: Checkpoint | None,
    settings: dict[str, object],
) -> tuple[PreTrainedModel, Collection[str]]:
    """Return a model and the names of the weights that its files do not have.

    It is loaded from the files or, where their names are not the model's, from the tensors that they make.
    """
    kind = model_class(config)
    if checkpoint is None or not checkpoint.is_wrapped:
        model, report = kind.from_pretrained(directory, output_loading_info=True, **settings)
        return model, report["missing_keys"]
    state = {spec.name: checkpoint.read(spec) for spec in checkpoint.specs}
    model, report = kind.from_pretrained(
        None,
        config=config,
        state_dict=state,
        output_loading_info=True,
        **settings,
    )
    # What it would be from files, and what pipelines and error messages show.
    model.name_or_path = str(directory)
    model.config.name_or_path = str(directory)
    return model, report["missing_keys"]


def is_eight_bit(config: PretrainedConfig) -> bool:
    """Whether a config is that of a bitsandbytes model."""
    quantization = getattr(config, "quantization_config", None)
    if not isinstance(quantization, dict):
        return False
    return quantization.get("quant_method") == "bitsandbytes"
