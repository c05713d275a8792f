"""What answering needs to know of a model's config, and an export's record keeps.

``transformers`` says it, and its own modules take longer to import than a small export takes to load. So what
it said when a model was exported is in the record. It holds for one state of the config and of the
tokenizer's files: whoever changes a label there has them read again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.effects import READ, WITHOUT_EFFECT
from prensa.checkpoint.kinds import Kind, Task, without_duplicates
from prensa.texts.plain_tokenizer import Traits

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# The record holds what these files say, and is none of them.
_WITHOUT_EFFECT = WITHOUT_EFFECT | {"prensa_export.json"}
_DIGITS = 24


@dataclass(frozen=True)
class Facts:
    """What a model's config says.

    ``class_name`` is the class that it names. ``kind`` is what it does, None for what is not answered, and
    ``names`` are the names of its numbers, in order; ``is_number`` says that they are trained as numbers, not
    as logits of labels. ``ids`` and ``types`` are how many token ids and token types it has rows for, None
    where no table limits them.
    """

    class_name: str
    kind: Kind | None
    names: tuple[str, ...]
    is_number: bool
    ids: int | None
    types: int | None

    @property
    def task(self) -> Task | None:
        """What the model is for, as :func:`~prensa.checkpoint.task.task_of` has it."""
        if self.kind is None:
            return None
        if self.kind in {"classes", "multi-label", "tokens"}:
            return Task(self.kind, without_duplicates(list(self.names)))
        return Task(self.kind)


@dataclass(frozen=True)
class Known:
    """What the record of an export keeps: the facts, and what makes of its tokenizer.json its tokenizer.

    ``files`` is the :func:`digest_of_settings` of the files that say so. ``traits`` are None for a
    tokenizer that needs ``transformers``.
    """

    files: str
    facts: Facts
    traits: Traits | None


def facts_of(config: PretrainedConfig) -> Facts:
    """Return what ``transformers`` makes of a config. Raises :class:`~prensa.errors.ModelError`."""
    # Imported here: where a record has the facts, neither PyTorch nor transformers is needed.
    from prensa.checkpoint.roles import model_class
    from prensa.checkpoint.task import task_of
    from prensa.texts.tokenizers import embedding_rows

    task = task_of(config)
    return Facts(
        class_name=model_class(config).__name__,
        kind=None if task is None else task.kind,
        names=tuple(str(config.id2label[index]) for index in sorted(config.id2label)),
        is_number=config.problem_type == "regression",
        ids=embedding_rows(config),
        types=getattr(config, "type_vocab_size", None),
    )


def learn(directory: Path) -> Known | None:
    """Return what a record keeps of the files in its directory, None where code of the model's own may count.

    That runs only where the user allows it, whatever it said before.
    """
    from prensa.checkpoint.roles import load_config
    from prensa.texts.plain_tokenizer import traits_of
    from prensa.texts.tokenizers import load_tokenizer

    if allowed().remote_code:
        return None
    config = load_config(directory)
    return Known(
        digest_of_settings(directory), facts_of(config), traits_of(directory, load_tokenizer(directory))
    )


def still_known(known: Known | None, directory: Path) -> Known | None:
    """Return what is known of the files in a directory, None where they have changed since."""
    if known is None or known.files != digest_of_settings(directory):
        return None
    return known


def digest_of_settings(directory: Path) -> str:
    """Return a digest of the files that say how a model's texts are read and what its numbers mean."""
    state = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        if path.suffix not in READ or path.name in _WITHOUT_EFFECT or not path.is_file():
            continue
        state.update(f"{path.name} {path.stat().st_size}\n".encode())
        state.update(path.read_bytes())
    return state.hexdigest()[:_DIGITS]
