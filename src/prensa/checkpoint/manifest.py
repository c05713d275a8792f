"""The manifest: what really happened to each tensor, as ``manifest.json`` beside the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prensa.errors import FormatError
from prensa.files.records import from_plain, read_json, to_plain
from prensa.ops.spec import ROLES, Role

MANIFEST_FILE = "manifest.json"
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class PassReport:
    """What one pass did to one tensor.

    ``relative_squared_error`` is the squared error that the pass added, over the original's squared norm.
    """

    name: str
    zeros_added: int
    relative_squared_error: float
    note: str = ""


@dataclass(frozen=True)
class TensorReport:
    """One tensor from the original to the file.

    ``nbytes`` are the stored bytes without the file's header; ``dtype`` is the original's,
    ``stored_dtype`` that of the decoded tensor. ``relative_squared_error`` compares it with the original.
    Zeros and error are None if no weight was read.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    dtype: str
    stored_dtype: str
    file: str
    codec: str
    nbytes_before: int
    nbytes: int
    zeros: int | None
    relative_squared_error: float | None
    passes: tuple[PassReport, ...] = ()
    note: str = ""

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each element, 0 for a tensor without elements."""
        if not self.numel:
            return 0.0
        return 8 * self.nbytes / self.numel


@dataclass(frozen=True)
class FileReport:
    """A weight file: its size on disk and its SHA-256."""

    name: str
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class Calibration:
    """What a result was calibrated on. ``unreached`` are the tensors that no text reached.

    ``count`` texts of ``tokens`` tokens went through the model; tokens were counted in ``counted`` texts.
    """

    texts: str
    count: int
    tokens: int
    counted: int
    unreached: tuple[str, ...] = ()


@dataclass(frozen=True)
class VocabularyReport:
    """What became of the vocabulary: token ``i`` of the result was token ``kept[i]`` of ``before``.

    ``covered`` is the share of the tokens of ``counted`` texts in ``texts`` that stayed, ``unchanged`` the
    share of those texts that are tokenized as before.
    """

    before: int
    kept: tuple[int, ...]
    texts: str | None
    counted: int
    covered: float | None
    unchanged: float | None


@dataclass(frozen=True)
class PartReport:
    """The neurons or heads of a layer, by its number in the original: unit ``i`` was unit ``kept[i]``.

    ``cost`` is what the cut was expected to change of the outputs, as a share of their variance.
    """

    layer: int
    kind: Literal["heads", "neurons"]
    before: int
    kept: tuple[int, ...]
    cost: float


@dataclass(frozen=True)
class GoneReport:
    """A whole layer that went, by its number in the original.

    ``cost`` is what its absence changed of the outputs, as a share of their variance (of a language model,
    in nats), before the rest was fitted to make good for it and with those gone that went before it.
    """

    layer: int
    cost: float


@dataclass(frozen=True)
class DistillReport:
    """How a smaller model learnt its original's answers; losses are those on texts kept apart."""

    texts: int
    steps: int
    seconds: float
    loss_before: float
    loss_after: float
    stopped: bool = False


@dataclass(frozen=True)
class ShrinkReport:
    """What became of a model's structure: layer ``i`` of the result was layer ``layers[i]``.

    ``wanted`` is how many times as fast it was to be, and ``faster`` how many it was, measured ``where``
    it says. ``fitted`` texts of ``texts`` made good what went; ``change`` is how far outputs were off
    afterwards, on others, as a share of their variance (of a language model, in nats). ``clock`` has the
    seconds that small variants of the model took, from which all others follow.
    """

    layers_before: int
    layers: tuple[int, ...]
    parts: tuple[PartReport, ...]
    wanted: float
    faster: float
    where: str
    texts: str
    fitted: int
    change: float
    distilled: DistillReport | None = None
    clock: Mapping[str, float] = field(default_factory=dict)
    gone: tuple[GoneReport, ...] = ()


@dataclass(frozen=True)
class HealReport:
    """How what is stored beside the integers learnt the original's answers.

    ``numbers`` of them learnt, on ``texts`` of ``source`` without labels; losses are those on texts kept
    apart, of the numbers as they are stored. ``stopped`` says that it was ended early, ``broken`` that the
    loss stopped being a number, after which nothing was learnt. ``kept`` says whether the result is the
    healed one, and ``why`` what spoke against it. ``nbytes_before`` are the weight files before.
    """

    source: str
    texts: int
    numbers: int
    steps: int
    seconds: float
    loss_before: float
    loss_after: float
    best_step: int
    nbytes_before: int
    stopped: bool = False
    broken: bool = False
    kept: bool = True
    why: str = ""


@dataclass(frozen=True)
class Manifest:
    """All that happened in one run. ``nbytes_before`` are the original weight files, from the disk.

    ``nbytes_float32`` is what the same tensors would take in float32: many checkpoints come in
    half precision already, and then the given file is not what the model was trained as. ``notes`` say what a
    user should know of the names in the checkpoint; tensors that the model does not use are in no table.
    """

    format: str
    nbytes_before: int
    nbytes_float32: int
    files: tuple[FileReport, ...]
    tensors: tuple[TensorReport, ...]
    prensa_version: str
    version: int = MANIFEST_VERSION
    calibration: Calibration | None = None
    vocabulary: VocabularyReport | None = None
    shrink: ShrinkReport | None = None
    heal: HealReport | None = None
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the written weight files."""
        return sum(file.nbytes for file in self.files)

    def save(self, directory: Path) -> None:
        """Write ``manifest.json``."""
        text = json.dumps(to_plain(self), indent=1)
        (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def by_role(tensors: Iterable[TensorReport]) -> dict[Role, list[TensorReport]]:
    """Group tensors by what they are for, in the order of ``ROLES``, without empty groups."""
    groups: dict[Role, list[TensorReport]] = {role: [] for role in ROLES}
    for tensor in tensors:
        groups[tensor.role].append(tensor)
    return {role: group for role, group in groups.items() if group}


def has_manifest(directory: Path) -> bool:
    """Whether a directory is a result of Prensa, and no other model."""
    return (directory / MANIFEST_FILE).is_file()


def load_manifest(directory: Path) -> Manifest:
    """Read ``manifest.json``. Raises :class:`FormatError` if it is damaged or of another version."""
    path = directory / MANIFEST_FILE
    try:
        content = read_json(path)
    except ValueError as error:
        raise FormatError(f"{path}: not a readable manifest ({error})") from error

    # Before anything else: a newer version may have fields that would look like damage.
    if isinstance(content, dict):
        if "version" not in content:
            raise FormatError(f"{path}: not a readable manifest (it has no version)")
        version = content["version"]
        if version != MANIFEST_VERSION:
            raise FormatError(
                f"{path}: expected version {MANIFEST_VERSION}, found {version}; install a newer prensa"
            )
    try:
        return from_plain(content, Manifest)
    except ValueError as error:
        raise FormatError(f"{path}: not a readable manifest ({error})") from error
