"""A small model and its original, loaded to answer as one; the threshold between them given or chosen."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.kinds import Task
from prensa.checkpoint.locate import locate
from prensa.errors import SettingError
from prensa.evaluation.budget import Budget, share_of
from prensa.evaluation.halves import halve_texts
from prensa.extras import require
from prensa.jobs.cascade_memory import question_of, recall_threshold, remember_threshold
from prensa.jobs.permissions import Permissions
from prensa.progress import Progress, silent
from prensa.serving.cascade import Cascade, common_task
from prensa.serving.engines import AUTO
from prensa.serving.load import check_to_serve, load_to_serve
from prensa.serving.loads import own_texts
from prensa.serving.opening import facts_in
from prensa.serving.served import Served
from prensa.texts.columns import Texts
from prensa.texts.library import Library
from prensa.texts.source import Source, as_source

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cascading:
    """What stands before what, and from which margin on its answers count.

    ``min_agreement`` has the threshold chosen on one half of ``texts`` and confirmed on the other; a
    ``threshold`` that was chosen before takes no texts.
    """

    small: str | Path
    original: str | Path
    min_agreement: float | str | None = None
    threshold: float | None = None
    texts: Source | str | Path | Iterable[object] | None = None
    runtime: str = AUTO
    device: str = "cpu"
    dtype: str | torch.dtype | None = None
    permissions: Permissions = Permissions()

    def plan(self) -> CascadingPlan:
        """Find out whether it can be done, and read the texts. Reads no weights.

        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        if (self.min_agreement is None) == (self.threshold is None):
            raise SettingError(
                "`then` needs one of `min_agreement`, to choose from which margin on answers count, and "
                "`threshold`, one that was chosen before"
            )
        Budget(min_agreement=self.min_agreement)
        with self.permissions.allowing():
            small = locate(self.small)
            original = locate(self.original)
            task = common_task(small, original, (facts_in(small).task, facts_in(original).task))
            for path in (small, original):
                check_to_serve(path, self.runtime, self.dtype)
            texts = None
            if self.min_agreement is not None:
                require("evaluate", "`min_agreement`")
                texts = _read(self.texts, task)
                halve_texts(texts)
            return CascadingPlan(self, small, original, task, texts)


@dataclass(frozen=True)
class CascadingPlan:
    """A cascade that can be loaded; ``texts`` are None where the threshold is known."""

    job: Cascading
    small: Path
    original: Path
    task: Task
    texts: Texts | None

    def run(self, progress: Progress = silent) -> Cascade:
        """Load both models, and choose the threshold unless it was given.

        The original's answers are those that it gives in the runtime that it is served by. Raises
        :class:`DifferentAnswersError` where no threshold is confirmed to keep the agreement, and
        :class:`DataError` where too few texts decide.
        """
        job = self.job
        with job.permissions.allowing():
            progress("loading", 0, 2)
            small = self._loaded(self.small)
            progress("loading", 1, 2)
            original = self._loaded(self.original)
            progress("loading", 2, 2)
            if self.texts is None:
                return Cascade(small, original, job.threshold or 0.0)
            return self._with_threshold(small, original, self.texts, progress)

    def _with_threshold(self, small: Served, original: Served, texts: Texts, progress: Progress) -> Cascade:
        """Take the threshold that an earlier start has chosen for the same question, or choose one."""
        wanted = share_of("min_agreement", self.job.min_agreement) or 0.0
        models = ((self.small, small), (self.original, original))
        asked = question_of(*models, texts, wanted, self.job.device)
        # A head that was made at random may be another one the next time, and code may lie anywhere.
        permissions = self.job.permissions
        may_differ = permissions.allow_new_head or permissions.trust_remote_code
        chosen = None if may_differ else recall_threshold(asked)
        note = "; chosen by an earlier start"
        if chosen is None:
            # Imported here: what judges takes longer to import than two small exports take to load.
            from prensa.jobs.cascade_choice import choose_threshold

            chosen = choose_threshold(small, original, self.task, texts, wanted, progress)
            note = ""
            if not may_differ:
                remember_threshold(asked, chosen)
        cascade = Cascade(small, original, chosen.threshold)
        cascade.account = f"{chosen.account}{note}"
        # Serving both is then slower than serving the original, and no more exact.
        level = logging.INFO if chosen.pays else logging.WARNING
        _log.log(level, "%s: %s", self.small, cascade.account)
        return cascade

    def _loaded(self, path: Path) -> Served:
        job = self.job
        return load_to_serve(path, runtime=job.runtime, device=job.device, dtype=job.dtype, texts=self.texts)


def _read(texts: Source | str | Path | Iterable[object] | None, task: Task) -> Texts:
    """Read the texts to choose on. Their labels do not matter: it is the original's answers that count."""
    if texts is None:
        raise SettingError(
            "`min_agreement` needs `texts`: a few hundred or more like those that will be answered, without "
            "labels; or give the `threshold` that was chosen before"
        )
    if isinstance(texts, (Source, str, Path)):
        source = dataclasses.replace(as_source(texts), label_column="")
        return Library().texts(source, task)
    return own_texts(texts)
