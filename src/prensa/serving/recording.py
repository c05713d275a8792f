"""Compare an export with PyTorch, text by text, and choose what its record keeps of that.

The record must hold on this machine: it keeps texts that were answered in this runtime as well as texts are
on the whole, so that loading, which compares again by the same tolerance, finds what exporting has found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prensa.serving.distance import Comparison, Rows, as_rows, thinned
from prensa.serving.exported import Engine, arrays, whole
from prensa.serving.ways import InBatches
from prensa.texts.encoding import Encoded

# Texts that a record keeps, and about how many tokens they may have in all.
_KEPT = 8
_TOKENS = 512


@dataclass
class Compared:
    """How near an export's answers are on all texts, and for each text what a record would keep of it.

    ``exact`` are PyTorch's answers and ``of_export`` the export's, by the number of the text.
    """

    total: Comparison = field(default_factory=Comparison)
    exact: dict[int, Rows] = field(default_factory=dict)
    of_export: dict[int, Rows] = field(default_factory=dict)

    def answer(self, index: int) -> tuple[float, ...]:
        """Return PyTorch's answer to a text as a record keeps it: float32 has no more than eight digits."""
        numbers = self.exact[index].reshape(-1).tolist()
        return tuple(float(f"{number:.8g}") for number in numbers)

    def kept(self, encoded: Encoded) -> list[int]:
        """Choose texts for a record: different, rather short, and answered no worse than texts on the whole.

        Should there be none, as a record keeps part of long answers only, those that were answered best.
        """
        # Of texts that are the same, the last one stands for all.
        different = {}
        for index in self._well_answered():
            ids = tuple(encoded.rows[index]["input_ids"])
            different[ids] = index
        lengths = encoded.lengths
        order = sorted(different.values(), key=lambda index: (lengths[index], index))
        shorter = order[: max(_KEPT, len(order) // 2)]

        # From all over the shorter half, as long as they are not too many tokens in all.
        step = max(1, len(shorter) // _KEPT)
        kept: list[int] = []
        tokens = 0
        for index in shorter[::step][:_KEPT]:
            tokens += lengths[index]
            if kept and tokens > _TOKENS:
                break
            kept.append(index)
        return kept

    def _well_answered(self) -> Sequence[int]:
        apart = {}
        for index in sorted(self.exact):
            apart[index] = self._distance(index)
        limit = self.total.distance
        if min(apart.values()) > limit:
            best = sorted(apart.values())[:_KEPT]
            limit = best[-1]
        return [index for index, own in apart.items() if own <= limit]

    def _distance(self, index: int) -> float:
        own = Comparison(self.total.scale)
        own.add(self.of_export[index], self.exact[index])
        return own.distance


def compare(engine: Engine, names: tuple[str, ...], exact: InBatches, encoded: Encoded) -> Compared:
    """Have an engine answer texts one by one, and compare with PyTorch."""
    compared = Compared()
    for index, truth in exact.answers(encoded):
        output = whole(engine(arrays(encoded.rows[index], names)))
        rows = as_rows(output[0])
        compared.total.add(rows, truth)
        # Thinned: the answers of a language model are a row of its vocabulary's size for each token.
        compared.exact[index] = thinned(truth)
        compared.of_export[index] = thinned(rows)
    return compared
