"""Whether a model that does not fit in memory can be calibrated layer by layer, and what that takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Streaming:
    """A calibration with one layer in memory at a time.

    ``layers`` is the name of the list of layers. ``memory`` are bytes: the weights and moments that are there
    at a time, and ``held``, what layers gave that stays in memory. ``disk`` are the bytes of temporary files.
    """

    layers: str
    memory: int
    held: int
    disk: int
