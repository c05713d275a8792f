"""What is written in the end, and who can load it.

A new format is one file beside this one and one line in the table.
"""

from __future__ import annotations

from prensa.formats.base import Format, Stored
from prensa.formats.bitsandbytes import BitsAndBytes
from prensa.formats.packed import PackedFormat
from prensa.formats.plain import Plain

FORMATS: dict[str, Format] = {
    Plain.name: Plain(),
    BitsAndBytes.name: BitsAndBytes(),
    PackedFormat.name: PackedFormat(),
}

__all__ = ["FORMATS", "Format", "Stored"]
