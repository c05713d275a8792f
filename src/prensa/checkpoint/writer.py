"""Write safetensors files tensor by tensor.

The format begins with a header that lists every offset, but sizes of packed tensors are known only
once they are coded. So room is reserved for the longest header possible, the tensors are streamed
behind it, and the header is filled in at the end, padded with spaces as the format allows.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from prensa.checkpoint.headers import SAFETENSORS_NAMES

# transformers refuses files that do not say it.
_METADATA = {"format": "pt"}
_ALIGNMENT = 8
# Characters of an entry besides name and shape, with the longest offsets; and of one number in a shape.
_ENTRY = 72
_DIMENSION = 12


class ShardWriter:
    """A safetensors file that grows by :meth:`add`. Use it as a context manager.

    ``expected`` are the names that may be added, with their number of dimensions.
    """

    def __init__(self, path: Path, expected: Iterable[tuple[str, int]]) -> None:
        """Open the file and leave room for the header."""
        room = 64
        for name, dimensions in expected:
            # As JSON a name may be longer: an umlaut takes six characters.
            room += len(json.dumps(name)) + _ENTRY + _DIMENSION * dimensions
        self._room = room + -room % _ALIGNMENT
        self._header: dict[str, object] = {"__metadata__": _METADATA}
        self._offset = 0
        self._names: set[str] = set()
        self._waiting: list[tuple[str, Tensor]] = []
        self._file = path.open("wb")
        self._file.seek(8 + self._room)

    def add(self, name: str, tensor: Tensor) -> None:
        """Append one tensor. Raises :class:`ValueError` for a name that is there already.

        One that would leave the next unaligned waits for the end: some readers need aligned numbers.
        """
        if name in self._names:
            raise ValueError(f"tensor {name} was added twice")
        self._names.add(name)
        if tensor.nbytes % _ALIGNMENT:
            self._waiting.append((name, tensor))
        else:
            self._append(name, tensor)

    def _append(self, name: str, tensor: Tensor) -> None:
        # The same bytes as numbers of one byte: NumPy knows no bfloat16.
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
        self._file.write(data.data)
        self._header[name] = {
            "dtype": SAFETENSORS_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [self._offset, self._offset + len(data)],
        }
        self._offset += len(data)

    def __enter__(self) -> ShardWriter:  # noqa: PYI034  typing.Self is newer than Python 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                self._finish()

    def _finish(self) -> None:
        # Widest numbers first: behind a tensor of eight-byte numbers one of four bytes is aligned, too.
        for name, tensor in sorted(self._waiting, key=lambda pair: -pair[1].dtype.itemsize):
            self._append(name, tensor)
        text = json.dumps(self._header, separators=(",", ":"))
        header = text.encode().ljust(self._room)
        if len(header) > self._room:
            raise ValueError("a tensor was added that was not expected")
        self._file.seek(0)
        self._file.write(struct.pack("<Q", len(header)) + header)
        self._file.flush()
        os.fsync(self._file.fileno())
