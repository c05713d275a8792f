"""Whether a model that is served by PyTorch is folded: where that is faster on this machine."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.runtime.deberta import can_fold, foldings_of
from prensa.runtime.gain import folding_gain
from prensa.serving.choices import question, recall, remember
from prensa.serving.loads import shapes
from prensa.texts.encoding import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FOLDED = "folded"
_AS_IT_IS = "as it is"

_log = logging.getLogger(__name__)


def pays_to_fold(directory: Path, model: PreTrainedModel, device: str, encoded: Encoded) -> bool:
    """Whether a model that was loaded from a directory is faster folded, on texts as long as ``encoded``.

    It is measured once, and recalled after that. A model that has nothing to fold is not looked at further.
    """
    if not can_fold(model):
        return False
    loads = shapes(encoded.lengths)
    dtype = str(model.dtype).removeprefix("torch.")
    asked = question(directory, "folding", device, dtype, loads)
    answer = recall(asked, (_FOLDED, _AS_IT_IS))
    if answer is None:
        gain = folding_gain(foldings_of(model), loads)
        answer = _FOLDED if gain >= 1 else _AS_IT_IS
        _log.info("%s: PyTorch answers %.2f times as fast folded; %s", directory, gain, answer)
        remember(asked, answer)
    return answer == _FOLDED
