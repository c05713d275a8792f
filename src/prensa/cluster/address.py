"""The words that say where work is done: in this process, or by workers of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prensa.errors import SettingError
from prensa.extras import require

Kind = Literal["local", "auto", "cluster", "client"]
"""Start Ray here, join the one that runs here, join one elsewhere, or go through its client server."""

_CLIENT = "ray://"
_MOST = 65535
_EXPECTED = "expected ray, ray:local, ray:auto, ray:HOST:PORT or ray:ray://HOST:PORT"


@dataclass(frozen=True)
class Address:
    """Where a Ray cluster is. ``host`` and ``port`` are empty for those that are found by themselves."""

    kind: Kind
    host: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        """How Ray writes it."""
        if self.kind == "client":
            return f"{_CLIENT}{self.host}:{self.port}"
        if self.kind == "cluster":
            return f"{self.host}:{self.port}"
        return self.kind


@dataclass(frozen=True)
class Workers:
    """Where workers run, how many of them (None for as many as there is room for), and the CPUs of each."""

    address: Address
    count: int | None = None
    cpus: int = 1


def workers_from(
    on: str | None, workers: int | None, worker_cpus: int | None, extra: str = "ray"
) -> Workers | None:
    """Read the options; None where everything is done in this process.

    Raises :class:`SettingError` for an address that is none, and for numbers below 1 or without ``on``, and
    :class:`~prensa.errors.MissingPackageError` where workers are wanted without the packages of ``extra``.
    """
    for name, value in {"workers": workers, "worker_cpus": worker_cpus}.items():
        if value is not None and on is None:
            raise SettingError(f"`{name}`: only for workers of a cluster; give `on=ray`, too")
        if value is not None and value < 1:
            raise SettingError(f"`{name}` must be at least 1, found {value}")
    if on is None:
        return None
    address = address_from(on)
    require(extra, f"`on={on}`")
    return Workers(address, workers, worker_cpus or 1)


def address_from(on: str) -> Address:
    """Read an address. Raises :class:`SettingError` for what is none."""
    engine, _, where = on.partition(":")
    if engine != "ray":
        raise SettingError(f"`on={on}`: {_EXPECTED}")
    if where in {"", "local"}:
        return Address("local")
    if where == "auto":
        return Address("auto")
    kind: Kind = "client" if where.startswith(_CLIENT) else "cluster"
    # In brackets an IPv6 address has colons, too.
    host, _, port = where.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= _MOST:
        raise SettingError(f"`on={on}`: {_EXPECTED}")
    return Address(kind, host, int(port))
