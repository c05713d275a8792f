"""Which tensors of a module are one, because they lie in the same memory.

A tied weight is mostly one object with several names. But two parameters may share their memory all the same
(``self.decoder.weight.data = self.words.weight.data``): what is written to one of them, the other one has.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from prensa.errors import ModelError


def tied(kind: str, tensors: Mapping[str, Tensor]) -> list[tuple[str, ...]]:
    """List the names of each tensor, by their order; ``kind`` is the class of the module that has them.

    Raises :class:`ModelError` for tensors that share a part of their memory: neither could have its own
    values.
    """
    names: dict[Hashable, list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(_place(tensor), []).append(name)
    groups = [tuple(of_one) for of_one in names.values()]
    firsts = [of_one[0] for of_one in groups]
    for one, other in _neighbours(firsts, tensors):
        if _overlap(tensors[one], tensors[other]):
            raise ModelError(
                f"{kind}: {one} and {other} share a part of their memory, expected tensors that are one or "
                "apart; give one of them a copy, as with tensor.clone()"
            )
    return groups


def _place(tensor: Tensor) -> Hashable:
    """Return what two tensors have in common if they are one: the object, or where its values lie."""
    storage = _storage(tensor)
    if storage is None:
        return id(tensor)
    layout: list[tuple[int, int]] = []
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        # Of a dimension with one place the stride says nothing.
        layout.append((size, stride if size > 1 else 0))
    return storage, tensor.storage_offset(), tensor.dtype, tuple(layout)


def _storage(tensor: Tensor) -> tuple[torch.device, int] | None:
    """Return the device and the address of a tensor's memory, None for one that has none or hides it."""
    if not tensor.numel() or tensor.layout is not torch.strided:
        return None
    try:
        address = tensor.untyped_storage().data_ptr()
    except RuntimeError:
        # Of a class that holds other tensors inside.
        return None
    return tensor.device, address


def _neighbours(names: Sequence[str], tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Yield pairs of tensors in one storage whose first to last bytes reach into each other."""
    by_storage: dict[Hashable, list[str]] = {}
    for name in names:
        storage = _storage(tensors[name])
        if storage is not None:
            by_storage.setdefault(storage, []).append(name)
    for there in by_storage.values():
        there.sort(key=lambda name: _bytes(tensors[name]).start)
        for at, one in enumerate(there):
            for other in there[at + 1 :]:
                # Those behind it begin later still.
                if _bytes(tensors[other]).start >= _bytes(tensors[one]).stop:
                    break
                yield one, other


def _bytes(tensor: Tensor) -> range:
    """Return the bytes of its storage that a tensor lies among, from its first to its last."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements += (size - 1) * stride
    start = tensor.storage_offset()
    return range(start * tensor.itemsize, (start + elements) * tensor.itemsize)


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors in one storage share a byte. Columns of a matrix lie among each other without."""
    start = min(_bytes(one).start, _bytes(other).start)
    stop = max(_bytes(one).stop, _bytes(other).stop)
    marked = torch.zeros(stop - start, dtype=torch.bool)
    _of_bytes(marked, one, start).fill_(1)
    return bool(_of_bytes(marked, other, start).any())


def _of_bytes(marked: Tensor, tensor: Tensor, start: int) -> Tensor:
    """Return the marks of a tensor's bytes, of those from ``start`` on."""
    strides = [stride * tensor.itemsize for stride in tensor.stride()]
    first = tensor.storage_offset() * tensor.itemsize - start
    return marked.as_strided((*tensor.shape, tensor.itemsize), (*strides, 1), first)
