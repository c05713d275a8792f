"""One vector for a text from the vectors of its tokens, by the modules of a Sentence Transformers model.

Each module is a plain function of tensors here, with the library's arithmetic (``SentenceTransformer.encode``
gives the same numbers). What is not one of them is refused by its name: another module's vectors are not
nearly right, they are others. A model without ``modules.json`` gets the mean, as in that library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from prensa.checkpoint.kinds import Kind
from prensa.checkpoint.sentence_transformers import Chain, Module, read_chain, read_settings
from prensa.errors import ModelError, first_line
from prensa.runtime.pooling import POOLED, SENTENCE, TOKENS, Features, Pool
from prensa.texts.tokenizers import load_tokenizer

Step = Callable[[Features, Tensor], Features]
"""A module: takes features and the attention mask ``[texts, tokens]``."""

# Under these names and no others, so that a name in a file never decides what code runs.
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "CELU": nn.CELU,
    "ELU": nn.ELU,
    "GELU": nn.GELU,
    "Hardshrink": nn.Hardshrink,
    "Hardsigmoid": nn.Hardsigmoid,
    "Hardswish": nn.Hardswish,
    "Hardtanh": nn.Hardtanh,
    "Identity": nn.Identity,
    "LeakyReLU": nn.LeakyReLU,
    "LogSigmoid": nn.LogSigmoid,
    "Mish": nn.Mish,
    "ReLU": nn.ReLU,
    "ReLU6": nn.ReLU6,
    "SELU": nn.SELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
    "Softplus": nn.Softplus,
    "Softshrink": nn.Softshrink,
    "Softsign": nn.Softsign,
    "Tanh": nn.Tanh,
    "Tanhshrink": nn.Tanhshrink,
}

# The older keys, in the order in which the library puts the vectors of several modes behind one another.
_OLD_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class _Dense:
    """A linear layer and an activation, and what went in on top of it where it says so."""

    weight: Tensor
    bias: Tensor | None
    activation: nn.Module
    is_residual: bool
    projection: Tensor | None
    source: str
    target: str

    def __call__(self, features: Features, _mask: Tensor) -> Features:
        given = features[self.source]
        bias = self.bias
        if bias is not None:
            bias = bias.to(given)
        linear = functional.linear(given, self.weight.to(given), bias)
        out: Tensor = self.activation(linear)
        # On top of it comes what went in, projected where it has another size.
        if self.projection is not None:
            out = out + functional.linear(given, self.projection.to(given))
        elif self.is_residual:
            out = out + given
        return {**features, self.target: out}


@dataclass(frozen=True)
class _Normalize:
    """Vectors of length 1."""

    source: str
    target: str

    def __call__(self, features: Features, _mask: Tensor) -> Features:
        # As the library has it.
        if self.source not in features:
            return features
        unit = functional.normalize(features[self.source], dim=-1)
        return {**features, self.target: unit}


@dataclass(frozen=True)
class _LayerNorm:
    """Layer normalization of the texts' vectors."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Features, _mask: Tensor) -> Features:
        given = features[SENTENCE]
        weight = self.weight.to(given)
        bias = self.bias.to(given)
        normal = functional.layer_norm(given, given.shape[-1:], weight, bias)
        return {**features, SENTENCE: normal}


@dataclass(frozen=True)
class TextVector:
    """All modules behind the Transformer. ``size`` is how many numbers are kept, None for all."""

    steps: Sequence[Step] = (Pool(),)
    size: int | None = None

    def __call__(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Turn ``[texts, tokens, size]`` into ``[texts, size]``; tokens where ``mask`` is 0 do not count.

        Without a mask, which some tokenizers do not give, all tokens count.
        """
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.int64, device=hidden.device)
        features = {TOKENS: hidden}
        for step in self.steps:
            features = step(features, mask)
        return features[SENTENCE][..., : self.size]


def read_text_vector(path: Path, kind: Kind | None = "embedding", prompt: str | None = None) -> TextVector:
    """Read how a model makes a text's vector. ``prompt`` stands before its texts, by default the model's own.

    Of a ``kind`` that has no vectors nothing is read. Raises :class:`ModelError` for a module or a
    setting that is not computed here.
    """
    if kind != "embedding":
        return TextVector()
    chain = read_chain(path)
    if chain is None:
        return TextVector()
    if not chain.is_dense:
        first = chain.settings.get("model_type") or chain.modules[0].kind
        raise chain.refused(f"a model that starts with {first}")
    chain.check_inputs()
    steps: list[Step] = []
    is_pooled = False
    for module in _modules_behind(chain):
        read = _READERS[module.kind]
        step = read(module, chain, path, prompt)
        steps.append(step)
        is_pooled = is_pooled or isinstance(step, Pool)
    if not is_pooled:
        raise chain.refused("vectors without a module Pooling")

    # Matryoshka models keep the first numbers of each vector.
    size = chain.settings.get("truncate_dim")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ModelError(f"{chain.root}: truncate_dim must be a number of dimensions, found {size!r}")
    return TextVector(tuple(steps), size)


def _modules_behind(chain: Chain) -> list[Module]:
    """Return the modules behind the Transformer. Raises :class:`ModelError` for one that is not known."""
    behind = []
    for module in chain.modules[1:]:
        # Outside of training it does nothing.
        if module.kind == "Dropout":
            continue
        if module.kind not in _READERS:
            raise chain.refused(f"the module {module.kind}")
        behind.append(module)
    return behind


def _read_pool(module: Module, chain: Chain, path: Path, prompt: str | None) -> Pool:
    settings = _settings(module, chain, {"embedding_dimension", "word_embedding_dimension", *_POOLING})
    if not settings:
        raise ModelError(f"{module.folder / 'config.json'}: missing; fetch the model again")
    modes = _pooling_modes(settings)
    for mode in modes:
        if mode not in POOLED:
            raise chain.refused(f"the pooling mode {mode!r}")
    if settings.get("include_prompt", True):
        return Pool(modes)
    if prompt is None:
        prompt = chain.default_prompt
    return Pool(modes, _prompt_tokens(path, prompt))


def _pooling_modes(settings: dict[str, object]) -> tuple[str, ...]:
    """Return the modes that a module names, by the newer key or the older ones; else the mean."""
    mode = settings.get("pooling_mode")
    if isinstance(mode, str):
        return (mode,)
    if isinstance(mode, list):
        return tuple(mode)
    # Of any other kind it is no mode, which is said where it is looked up.
    if mode is not None:
        return (str(mode),)
    modes = [mode for key, mode in _OLD_KEYS.items() if settings.get(key)]
    return tuple(modes) or ("mean",)


_POOLING = {"pooling_mode", "include_prompt", *_OLD_KEYS}


def _prompt_tokens(path: Path, prompt: str) -> int:
    """Count a prompt's tokens as the library does: marks in front included, not the one behind."""
    if not prompt:
        return 0
    tokenizer = load_tokenizer(path)
    ids = tokenizer(prompt, truncation=True)["input_ids"]
    if not ids:
        return 0
    if ids[-1] in tokenizer.all_special_ids:
        return len(ids) - 1
    return len(ids)


def _read_dense(module: Module, chain: Chain, _path: Path, _prompt: str | None) -> _Dense:
    known = {"in_features", "out_features", "bias", "activation_function", "use_residual"}
    settings = _settings(module, chain, {*known, "module_input_name", "module_output_name"})
    name = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    short = name.rpartition(".")[2]
    if not name.startswith("torch.nn.") or short not in _ACTIVATIONS:
        raise chain.refused(f"the activation {name} of the module Dense")
    is_residual = bool(settings.get("use_residual"))
    has_other_size = settings.get("in_features") != settings.get("out_features")
    names = ["linear.weight"]
    if settings.get("bias", True):
        names.append("linear.bias")
    if is_residual and has_other_size:
        names.append("residual.weight")
    weights = _weights(module, names)
    source, target = _names(settings, chain)
    return _Dense(
        weights["linear.weight"],
        weights.get("linear.bias"),
        _ACTIVATIONS[short](),
        is_residual,
        weights.get("residual.weight"),
        source,
        target,
    )


def _read_normalize(module: Module, chain: Chain, _path: Path, _prompt: str | None) -> _Normalize:
    settings = _settings(module, chain, {"module_input_name", "module_output_name"})
    return _Normalize(*_names(settings, chain))


def _read_layer_norm(module: Module, chain: Chain, _path: Path, _prompt: str | None) -> _LayerNorm:
    _settings(module, chain, {"dimension"})
    weights = _weights(module, ["norm.weight", "norm.bias"])
    return _LayerNorm(weights["norm.weight"], weights["norm.bias"])


_READERS: dict[str, Callable[[Module, Chain, Path, str | None], Step]] = {
    "Pooling": _read_pool,
    "Dense": _read_dense,
    "Normalize": _read_normalize,
    "LayerNorm": _read_layer_norm,
}


def _settings(module: Module, chain: Chain, known: set[str]) -> dict[str, object]:
    """Read a module's settings. Raises :class:`ModelError` for one that is not among those ``known``."""
    settings = read_settings(module.folder)
    # Whatever it means, it could change the vectors.
    unknown = sorted(set(settings) - known)
    if unknown:
        raise chain.refused(f"the setting {unknown[0]} of the module {module.kind}")
    return settings


def _names(settings: dict[str, object], chain: Chain) -> tuple[str, str]:
    """Return which vectors a module reads and which it gives."""
    source = settings.get("module_input_name") or SENTENCE
    target = settings.get("module_output_name") or source
    for name in (source, target):
        if name not in {TOKENS, SENTENCE}:
            raise chain.refused(f"a module that reads or gives {name!r}")
    return str(source), str(target)


def _weights(module: Module, names: Sequence[str]) -> dict[str, Tensor]:
    """Load a module's weights in float32, from safetensors or, in older models, a pickle of tensors alone."""
    path = module.folder / "model.safetensors"
    is_safe = path.is_file()
    if not is_safe:
        path = module.folder / "pytorch_model.bin"
    try:
        if is_safe:
            tensors = load_file(path)
        else:
            # Tensors alone: any other pickle could run code.
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensors[name].float() for name in names}
    except Exception as error:
        raise ModelError(
            f"{path}: expected the tensors {', '.join(names)} of the module {module.kind} "
            f"({first_line(error)}); fetch the model again"
        ) from error
