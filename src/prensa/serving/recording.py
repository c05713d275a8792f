"""Compare an export with PyTorch, text by text, and choose what its record keeps of that.

The record must hold on this machine: it keeps texts that were answered in this runtime as well as texts are
on the whole, so that loading, which compares again by the same tolerance, finds what exporting has found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prensa.serving.answering import Answering
from prensa.serving.distance import Comparison, Rows, as_rows, thinned
from prensa.serving.exported import Engine, arrays, whole
from prensa.texts.encoding import Encoded

_KEPT, _TOKENS = 8, 512  # texts that a record keeps, and about how many tokens they may have in all


@dataclass
class Compared:
    """How near an export's answers are on all texts, and for each text on what a record would keep of it."""

    total: Comparison = field(default_factory=Comparison)
    exact: dict[int, Rows] = field(default_factory=dict)
    found: dict[int, Rows] = field(default_factory=dict)

    def answer(self, index: int) -> tuple[float, ...]:
        """Return PyTorch's answer to a text as a record keeps it: float32 has no more than eight digits."""
        return tuple(float(f"{number:.8g}") for number in self.exact[index].reshape(-1).tolist())

    def kept(self, encoded: Encoded) -> list[int]:
        """Choose texts for a record: different, rather short, and answered no worse than texts on the whole.

        Should there be none, as a record keeps part of long answers only, those that were answered best.
        """
        apart = {index: self._distance(index) for index in sorted(self.exact)}
        best = sorted(apart.values())[:_KEPT][-1]
        limit = self.total.distance if min(apart.values()) <= self.total.distance else best
        good = [index for index, own in apart.items() if own <= limit]
        different = {tuple(encoded.rows[index]["input_ids"]): index for index in good}
        order = sorted(different.values(), key=lambda index: (encoded.lengths[index], index))
        shorter = order[: max(_KEPT, len(order) // 2)]
        step = max(1, len(shorter) // _KEPT)
        kept: list[int] = []
        for index in shorter[::step][:_KEPT]:
            if kept and sum(encoded.lengths[each] for each in kept) + encoded.lengths[index] > _TOKENS:
                break
            kept.append(index)
        return kept

    def _distance(self, index: int) -> float:
        own = Comparison(self.total.scale)
        own.add(self.found[index], self.exact[index])
        return own.distance


def compare(engine: Engine, names: tuple[str, ...], exact: Answering, encoded: Encoded) -> Compared:
    """Have an engine answer texts one by one, and compare with PyTorch."""
    compared = Compared()
    for index, truth in exact.answers(encoded):
        found = as_rows(whole(engine(arrays(encoded.rows[index], names)))[0])
        compared.total.add(found, truth)
        compared.exact[index], compared.found[index] = thinned(truth), thinned(found)
    return compared
