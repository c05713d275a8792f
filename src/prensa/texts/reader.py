"""What turns texts into ids, and the lock that each one has."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, TypeAlias

from prensa.texts.plain_tokenizer import PlainTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Reader: TypeAlias = "PreTrainedTokenizerBase | PlainTokenizer"
"""A tokenizer, of ``transformers`` or without it."""

_locks: weakref.WeakKeyDictionary[Reader, threading.RLock] = weakref.WeakKeyDictionary()
# Another thread may have held one of them, and does not exist in a forked process.
os.register_at_fork(after_in_child=_locks.clear)


def alone(tokenizer: Reader) -> threading.RLock:
    """Return a tokenizer's lock, for ``with``: each call sets how that tokenizer truncates from then on."""
    return _locks.setdefault(tokenizer, threading.RLock())
