"""What a module holds: every tensor of its state dict once, with its names, its place and what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from prensa.checkpoint.roles import role_of
from prensa.errors import ModelError, SettingError
from prensa.modules.memory import tied
from prensa.ops.spec import TensorSpec

WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Held:
    """A parameter or buffer. ``names`` are all that it has in the state dict: a tied one has several.

    Two objects in the same memory are one, too; ``tensor`` is then the first. ``places`` are the modules that
    hold it, by the order of its names, and the attribute that it is of each; what tensors of this kind are
    for (``spec.role``) is decided over all of them.
    """

    names: tuple[str, ...]
    tensor: Tensor
    places: tuple[tuple[nn.Module, str], ...]
    spec: TensorSpec

    @property
    def name(self) -> str:
        """The name that it is stored under."""
        return self.names[0]

    def is_in(self, prefix: str) -> bool:
        """Whether it belongs to the part with this name; everything belongs to ``""``."""
        return not prefix or any(name.startswith(f"{prefix}.") for name in self.names)


def contents(module: nn.Module) -> list[Held]:
    """List the tensors of a module's state dict, in its order.

    Raises :class:`ModelError` for values that are no tensors, for tensors that are not the module's own or
    share a part of their memory, and for tensors without values (``meta``).
    """
    kind = type(module).__name__
    own = {id(tensor) for tensor in [*module.parameters(), *module.buffers()]}
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise ModelError(
                f"{kind}: the state dict holds a {type(tensor).__name__} as {name}, expected tensors alone; "
                "keep it outside of the state dict"
            )
        if tensor.is_meta and not nn.parameter.is_lazy(tensor):
            raise ModelError(
                f"{kind}: {name} is on the meta device and holds no values; give the module some, as with "
                'module.to_empty(device="cpu")'
            )
        if nn.parameter.is_lazy(tensor):
            raise ModelError(f"{kind}: {name} has no shape yet; run the module once")
        # Values that are written there would reach nothing.
        if id(tensor) not in own:
            raise ModelError(
                f"{kind}: the state dict makes {name} anew and holds no tensor of the module itself, as "
                "wrapped and sharded modules do; give the module inside"
            )
        tensors[name] = tensor
    held = []
    # Their memory says what is tied: two tensors may have equal values by chance.
    for names in tied(kind, tensors):
        held.append(_held(module, names, tensors[names[0]]))
    return held


def tie(module: nn.Module, held: Sequence[Held]) -> None:
    """Make one parameter of those that were one tensor in the module that this one is a copy of.

    ``held`` is what that module holds. Copies of parameters share no memory, though their originals did.
    """
    for each in held:
        first = _parameter(module, each.names[0])
        for name in each.names[1:]:
            other = _parameter(module, name)
            if first is None or other is None or other is first:
                continue
            owner, attribute = _place(module, name)
            setattr(owner, attribute, first)


def _parameter(module: nn.Module, name: str) -> nn.Parameter | None:
    """Return a parameter by its name, None if something else has it."""
    owner, attribute = _place(module, name)
    return dict(owner.named_parameters(recurse=False)).get(attribute)


def part_named(module: nn.Module, prefix: str) -> str:
    """Return the name of a part of a module, ``"encoder"`` for ``"encoder."``.

    Raises :class:`SettingError` if the module has no such part.
    """
    name = prefix.rstrip(".")
    try:
        module.get_submodule(name)
    except AttributeError as error:
        parts = ", ".join(dict(module.named_children())) or "none"
        raise SettingError(
            f"prefix {prefix!r}: {type(module).__name__} has no such part; its parts are {parts}"
        ) from error
    return name


def _held(module: nn.Module, names: tuple[str, ...], tensor: Tensor) -> Held:
    places = tuple(_place(module, name) for name in names)
    roles = [role_of(owner, attribute) for owner, attribute in places]
    # As in a model directory: an output layer that is tied to an embedding is one.
    role = "embedding" if "embedding" in roles else roles[0]
    spec = TensorSpec(
        name=names[0],
        shape=tuple(tensor.shape),
        dtype=tensor.dtype,
        file=type(module).__name__,
        role=role,
        layer=type(places[0][0]).__name__,
        in_model=True,
    )
    return Held(names, tensor, places, spec)


def _place(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the module that owns a tensor, and the tensor's name there."""
    path, _, attribute = name.rpartition(".")
    try:
        return module.get_submodule(path), attribute
    except AttributeError:
        # A class may name what it stores as it likes; such a tensor is nobody's weight.
        return module, name
