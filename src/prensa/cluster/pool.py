"""Workers that answer questions in any order, while the answers come in the order of the questions.

A worker is an actor of Ray with one model. It may end at any time: its node goes, its memory does not
suffice, or a question crashes it. What it had is then asked of others, and another one takes its place. The
question that it was at is suspected: after its second worker it is halved, and so are the halves, until the
one text that ends every worker stands alone and is given up. Ray's own retries would end the whole run there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from prensa.cluster.joined import Cluster, as_raised
from prensa.errors import DeviceError, ModelError, first_line

if TYPE_CHECKING:
    import ray
    from ray.actor import ActorHandle

Q = TypeVar("Q")
A = TypeVar("A")

# Questions that a worker has: one that it answers, and the next one, for which it need not wait.
_AT_A_WORKER = 2
# Questions that are read ahead for each worker, so that a slow one does not stop the others.
_AHEAD = 4
# Workers that a question may end before it is halved.
_ENDED = 2
# Workers in a row that may end while they load the model, and questions that may be given up in all.
_STARTS = 3
_GIVEN_UP = 20


class Work(Protocol[Q, A]):
    """What a pool must know of its questions."""

    def known(self, question: Q) -> A | None:
        """Return the answer where no worker is needed for it."""

    def asked(self, question: Q) -> object:
        """Return what is sent to a worker."""

    def halves(self, question: Q) -> Sequence[Q]:
        """Return two questions that are this one together, or none if it is the smallest."""

    def joined(self, answers: Sequence[A]) -> A:
        """Return the answer to the whole of the answers to its halves."""

    def given_up(self, question: Q) -> A:
        """Return the answer to a question that ends every worker."""


@dataclass
class _Task(Generic[Q, A]):
    """A question on its way, and how many workers have ended at it."""

    question: Q
    ended: int = 0
    answer: A | None = None
    halves: list[_Task[Q, A]] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        if self.halves:
            return all(half.is_done for half in self.halves)
        return self.answer is not None


@dataclass
class _Worker(Generic[Q, A]):
    """The ``number``-th actor, ``loading`` until it has its model; its tasks, the oldest first."""

    actor: ActorHandle
    number: int
    loading: ray.ObjectRef | None
    tasks: deque[tuple[ray.ObjectRef, _Task[Q, A]]] = field(default_factory=deque)

    @property
    def next(self) -> ray.ObjectRef | None:
        """What it gives next, None if it has nothing to do."""
        if self.loading is not None:
            return self.loading
        return self.tasks[0][0] if self.tasks else None


Hire = Callable[[], "tuple[ActorHandle, ray.ObjectRef]"]
"""Starts an actor with a method ``answer``; returns it and what is there when it has loaded its model."""


class Pool(Generic[Q, A]):
    """``size`` workers of a cluster, with ``cpus`` each. For ``with``: they end with the block."""

    def __init__(self, cluster: Cluster, work: Work[Q, A], hire: Hire, size: int, cpus: int) -> None:
        """Start no worker yet."""
        self._cluster = cluster
        self._work = work
        self._hire = hire
        self._size = size
        self._cpus = cpus
        self._workers: list[_Worker[Q, A]] = []
        self._waiting: deque[_Task[Q, A]] = deque()
        self._started = 0
        self._failed_starts = 0
        self._started_at_failure = 0
        self._given_up = 0

    def __enter__(self) -> Pool[Q, A]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            _end(worker.actor)
        self._workers = []

    def first(self) -> object:
        """Start one worker, and return what it says when it has its model. Raises what loading raises."""
        self._start_one()
        while True:
            worker = self._workers[0]
            said = self._received(worker, worker.loading)
            if said is not None:
                worker.loading = None
                return said

    def answers(self, questions: Iterable[Q]) -> Iterator[tuple[Q, A]]:
        """Yield questions with their answers, in order, a few of them read ahead.

        Raises what answering raises, and what reading the questions raises once those before are answered.
        """
        while len(self._workers) < self._size:
            self._start_one()
        reading = _Reading(questions)
        under_way: deque[_Task[Q, A]] = deque()
        while True:
            while len(under_way) < _AHEAD * self._size and not reading.is_over:
                for question in reading.next():
                    task = _Task[Q, A](question, answer=self._work.known(question))
                    under_way.append(task)
                    if not task.is_done:
                        self._waiting.append(task)
            self._hand_out()
            if under_way and under_way[0].is_done:
                task = under_way.popleft()
                yield task.question, self._result(task)
            elif under_way:
                self._receive()
            else:
                reading.raise_error()
                return

    def _result(self, task: _Task[Q, A]) -> A:
        if task.halves:
            return self._work.joined([self._result(half) for half in task.halves])
        assert task.answer is not None  # noqa: S101  it is done
        return task.answer

    def _start_one(self) -> None:
        actor, loading = self._hire()
        self._started += 1
        self._workers.append(_Worker(actor, self._started, loading))

    def _hand_out(self) -> None:
        """Give what waits to those who have least to do."""
        while self._waiting:
            free = [worker for worker in self._workers if worker.loading is None]
            if not free:
                return
            worker = min(free, key=lambda one: len(one.tasks))
            if len(worker.tasks) >= _AT_A_WORKER:
                return
            task = self._waiting.popleft()
            answer = worker.actor.answer.remote(self._work.asked(task.question))
            worker.tasks.append((answer, task))

    def _receive(self) -> None:
        """Wait for whatever comes first, and take it in."""
        import ray

        coming = {worker.next: worker for worker in self._workers if worker.next is not None}
        [reference], _ = ray.wait(list(coming), num_returns=1)
        worker = coming[reference]
        content = self._received(worker, reference)
        if content is None:
            return
        if worker.loading is not None:
            worker.loading = None
            self._failed_starts = 0
            return
        _, task = worker.tasks.popleft()
        task.answer = content

    def _received(self, worker: _Worker[Q, A], reference: ray.ObjectRef | None) -> A | None:
        """Return what a worker gives; None if it has ended. Raises the error that it raised."""
        import ray

        try:
            with as_raised():
                content: A = ray.get(reference)
        except ray.exceptions.RayError as error:
            self._replace(worker, first_line(error))
            return None
        return content

    def _replace(self, worker: _Worker[Q, A], reason: str) -> None:
        """Take the tasks of a worker that has ended back, and start another one where there is room."""
        _end(worker.actor)
        self._workers.remove(worker)
        tasks = [task for _, task in worker.tasks]
        # In their order again: the oldest first.
        self._waiting.extendleft(reversed(tasks[1:]))
        if tasks:
            self._suspect(tasks[0])
        # A node that is lost ends many at once, all of which were started before the first of them ended.
        elif worker.number > self._started_at_failure:
            self._failed_starts += 1
            self._started_at_failure = self._started
            if self._failed_starts == _STARTS:
                raise ModelError(
                    f"{_STARTS} workers ended while they loaded the model ({reason}); too little memory?"
                )
        if len(self._workers) < self._cluster.room(self._cpus):
            self._start_one()
        elif not self._workers:
            raise DeviceError("the cluster has lost all nodes that workers ran on")

    def _suspect(self, task: _Task[Q, A]) -> None:
        """Ask once more what a worker ended at; what ends several of them in smaller parts."""
        task.ended += 1
        if task.ended < _ENDED:
            self._waiting.appendleft(task)
            return
        halves = self._work.halves(task.question)
        if not halves:
            task.answer = self._work.given_up(task.question)
            self._given_up += 1
            if self._given_up > _GIVEN_UP:
                raise ModelError(
                    f"workers end at text after text, {_GIVEN_UP:,} so far; take another `runtime`"
                )
            return
        # Each is halved as soon as it ends one more.
        task.halves = [_Task(half, ended=_ENDED - 1) for half in halves]
        self._waiting.extendleft(reversed(task.halves))


class _Reading(Generic[Q]):
    """Questions that are read ahead: an error among them waits until those before are answered."""

    def __init__(self, questions: Iterable[Q]) -> None:
        self._iterator = iter(questions)
        self._error: Exception | None = None
        self.is_over = False

    def next(self) -> list[Q]:
        """Return the next one, or none."""
        try:
            return [next(self._iterator)]
        except StopIteration:
            self.is_over = True
        except Exception as error:  # noqa: BLE001  it is raised when its turn comes
            self.is_over = True
            self._error = error
        return []

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _end(actor: ActorHandle) -> None:
    import ray

    ray.kill(actor, no_restart=True)
