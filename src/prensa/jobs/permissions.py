"""What a job allows beyond the usual rules, as the jobs hand it on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from prensa.checkpoint.allowed import allowing


@dataclass(frozen=True)
class Permissions:
    """The three exceptions: see :class:`prensa.checkpoint.allowed.Allowed`."""

    allow_new_head: bool = False
    trust_remote_code: bool = False
    unchecked: bool = False

    def allowing(self) -> AbstractContextManager[None]:
        """Allow it while the block runs."""
        return allowing(
            remote_code=self.trust_remote_code, new_head=self.allow_new_head, unchecked=self.unchecked
        )

    @contextmanager
    def granted(self) -> Iterator[None]:
        """Allow it, with PyTorch as in a new process, while the block runs."""
        # Imported here: what loads exports does without PyTorch.
        from prensa.isolation import as_usual

        with as_usual(), self.allowing():
            yield
