"""Windows answered by the workers of a Ray cluster, each with the same model.

These are actors of Ray and not ``ray.data``: there a run that was stopped begins anew, files are cut by
blocks and not by the shards that were read, and a text that ends a worker again and again ends the run. Here
the process that was started reads, writes and keeps the journal as always, so that files are the same, and a
run that was stopped goes on with or without Ray; only texts and answers travel.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.cluster.address import Workers
from prensa.cluster.joined import joined
from prensa.cluster.pool import Pool
from prensa.predicting.answers import NOTHING, Answered, Form, answer_rows, given_up
from prensa.predicting.on_node import OnNode
from prensa.predicting.run import Asked
from prensa.progress import Progress
from prensa.serving.desk import Desk, OnBatch
from prensa.serving.load import load_to_serve
from prensa.serving.served import Served
from prensa.texts.columns import Texts
from prensa.texts.table import Cell

if TYPE_CHECKING:
    import ray
    from ray.actor import ActorHandle

_REASON = "every worker ended at this text"


@dataclass(frozen=True)
class Settings:
    """How a model is loaded and run: see :func:`load_to_serve`."""

    runtime: str
    dtype: str | None
    texts: Texts | None
    max_batch_tokens: int


@dataclass(frozen=True)
class Model:
    """What a worker loads, and what it makes of answers."""

    on_node: OnNode
    settings: Settings
    form: Form


@dataclass(frozen=True)
class Loaded:
    """What a worker has loaded, and how others load the same: by settings that may have been measured."""

    runtime: str
    precision: str
    again: Callable[[Path], Served]


class Worker:
    """Answers windows in a process of its own. Made by Ray, on any node."""

    def __init__(self, model: Model) -> None:
        """Load nothing yet."""
        self._model = model
        self._served: Served | None = None

    def load(self, as_loaded: Loaded | None) -> Loaded:
        """Load the model, as another worker has or as it is fastest. Raises what loading raises."""
        own = self._model.settings
        with self._model.on_node.at_work():
            directory = self._model.on_node.directory()
            if as_loaded is None:
                served = load_to_serve(directory, runtime=own.runtime, dtype=own.dtype, texts=own.texts)
            else:
                served = as_loaded.again(directory)
            served.desk = Desk(own.max_batch_tokens)
            self._served = served
            return Loaded(served.record.runtime, served.record.precision, served.again_from())

    def answer(self, texts: Sequence[Sequence[Cell]]) -> Answered:
        """Answer a window. Raises what :func:`answer_rows` raises."""
        assert self._served is not None  # noqa: S101  it is loaded first
        with self._model.on_node.at_work():
            return answer_rows(self._served, self._model.form, texts)


@dataclass(frozen=True)
class _Windows:
    """Windows as the questions of a pool."""

    form: Form

    def known(self, question: Asked) -> Answered | None:
        """Return no rows where there are none."""
        return NOTHING if question.window is None else None

    def asked(self, question: Asked) -> object:
        """Return the texts alone: the columns that are kept stay here."""
        assert question.window is not None  # noqa: S101  it is known otherwise
        return question.window.texts

    def halves(self, question: Asked) -> Sequence[Asked]:
        """Return both halves of the rows, none of a single row."""
        window = question.window
        assert window is not None  # noqa: S101  it is known otherwise
        if len(window) == 1:
            return []
        middle = len(window) // 2
        parts = []
        for some in (slice(None, middle), slice(middle, None)):
            texts = tuple(cells[some] for cells in window.texts)
            parts.append(dataclasses.replace(question, window=dataclasses.replace(window, texts=texts)))
        return parts

    def joined(self, answers: Sequence[Answered]) -> Answered:
        """Return the rows of all in order."""
        rows: list[Mapping[str, Cell]] = []
        problems: Counter[str] = Counter()
        for answered in answers:
            rows += answered.rows
            problems.update(answered.problems)
        return Answered(rows, problems)

    def given_up(self, question: Asked) -> Answered:
        """Return a row without an answer, and why."""
        assert question.window is not None  # noqa: S101  it is known otherwise
        return given_up(self.form, [cells[0] for cells in question.window.texts], _REASON)


class ByWorkers:
    """Workers with one model, the first of which has loaded it."""

    def __init__(self, pool: Pool[Asked, Answered], loaded: Loaded) -> None:
        """Take workers that were started."""
        self._pool = pool
        self.loaded = loaded

    def answers(self, asked: Iterable[Asked], on_batch: OnBatch) -> Iterator[tuple[Asked, Answered]]:
        """Have windows answered, several at a time. Batches are not reported."""
        return self._pool.answers(asked)


@contextmanager
def on_cluster(
    workers: Workers, directory: Path, form: Form, settings: Settings, digest: str, progress: Progress
) -> Iterator[ByWorkers]:
    """Start workers while the block runs; ``digest`` is that of the model in ``directory``.

    Raises what joining the cluster raises, and what loading the model there raises, naming the node.
    """
    with ExitStack() as stack:
        cluster = stack.enter_context(joined(workers.address))
        size = cluster.count(workers.count, workers.cpus)
        on_node = OnNode.of(directory, digest, cluster, workers.cpus)
        model = Model(on_node, settings, form)
        hiring = _Hiring(model)
        pool: Pool[Asked, Answered] = Pool(cluster, _Windows(form), hiring, size, workers.cpus)
        stack.enter_context(pool)
        waits = (
            "starting a worker" if cluster.is_free(workers.cpus) else "waiting for free CPUs of the cluster"
        )
        progress(waits, 0, 1)
        loaded = pool.first()
        assert isinstance(loaded, Loaded)  # noqa: S101  it is what `load` returns
        hiring.loaded = loaded
        yield ByWorkers(pool, loaded)


class _Hiring:
    """Starts workers; all but the first load what that one has chosen."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.loaded: Loaded | None = None

    def __call__(self) -> tuple[ActorHandle, ray.ObjectRef]:
        import ray

        actor = ray.remote(Worker).options(num_cpus=self._model.on_node.cpus).remote(self._model)
        return actor, actor.load.remote(self.loaded)
