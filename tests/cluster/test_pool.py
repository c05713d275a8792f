"""Workers that end: their questions are answered by others, each once and in order."""

import os
import time

import pytest

ray = pytest.importorskip("ray")

from prensa.cluster.pool import Pool  # noqa: E402
from prensa.errors import DataError, ModelError  # noqa: E402


class Numbers:
    """A question is a list of numbers; the answer is each with the squares."""

    def known(self, question):
        return None if question else []

    def asked(self, question):
        return question

    def halves(self, question):
        middle = len(question) // 2
        return [question[:middle], question[middle:]] if middle else []

    def joined(self, answers):
        return [number for answer in answers for number in answer]

    def given_up(self, question):
        return [None]


def hiring(tmp_path, **how):
    """Have such actors."""
    squares = ray.remote(squares_of(tmp_path, **how)).options(num_cpus=1)

    def hire():
        actor = squares.remote()
        return actor, actor.load.remote()

    return hire


def squares_of(tmp_path, *, deadly=(), loads=True):
    """Return actors that end at a number, the first time only where it is negative."""

    # Inside of a function, so that it travels as it is: workers cannot import a test.
    class Squares:
        def load(self):
            if not loads:
                os._exit(1)
            return "loaded"

        def answer(self, question):
            (tmp_path / f"{question[0]}-{time.monotonic_ns()}").touch()
            return [self.square(number) for number in question]

        def square(self, number):
            if number in deadly or (number < 0 and self.is_first(number)):
                os._exit(1)
            if number == 404:
                raise DataError("no such number")
            if number == 7:
                time.sleep(0.3)
            return number * number

        def is_first(self, number):
            try:
                (tmp_path / f"seen{number}").mkdir()
            except FileExistsError:
                return False
            return True

    return Squares


def answered(cluster, questions, hire, size=2):
    with Pool(cluster, Numbers(), hire, size, 1) as pool:
        assert pool.first() == "loaded"
        return list(pool.answers(questions))


def test_answers_come_in_order(joined_nodes, tmp_path):
    questions = [[7], [1, 2], [], *([number] for number in range(20, 60))]
    pairs = answered(joined_nodes, questions, hiring(tmp_path))
    assert pairs == [(question, [number**2 for number in question]) for question in questions]
    assert len(list(tmp_path.iterdir())) == len(questions) - 1


def test_what_a_worker_was_at_when_it_ended_is_answered_by_another(joined_nodes, tmp_path):
    questions = [[1], [-2], [3], [-4], [5]]
    pairs = answered(joined_nodes, questions, hiring(tmp_path))
    assert [answer for _, answer in pairs] == [[1], [4], [9], [16], [25]]


def test_what_ends_every_worker_is_found_and_given_up(joined_nodes, tmp_path):
    questions = [[1, 2], [3, 4, 13, 5, 6], [8]]
    pairs = answered(joined_nodes, questions, hiring(tmp_path, deadly={13}))
    assert [answer for _, answer in pairs] == [[1, 4], [9, 16, None, 25, 36], [64]]


def test_workers_that_never_load_end_it(joined_nodes, tmp_path):
    with pytest.raises(ModelError, match="3 workers ended while they loaded the model"):
        answered(joined_nodes, [[1]], hiring(tmp_path, loads=False))


class Replaced:
    """A cluster with room for workers, all of which are made up."""

    def room(self, cpus):
        return 16


def test_a_node_that_goes_while_its_workers_load(monkeypatch):
    """All of them end at once; that says nothing of those that are started in their place."""
    monkeypatch.setattr("prensa.cluster.pool._end", lambda actor: None)
    pool = Pool(Replaced(), Numbers(), lambda: (object(), object()), 16, 1)
    for _ in range(16):
        pool._start_one()
    for worker in list(pool._workers):
        pool._replace(worker, "the node died")
    assert len(pool._workers) == 16
    # Where those in their place do not load either, it ends.
    pool._replace(pool._workers[0], "killed")
    with pytest.raises(ModelError, match=r"3 workers ended while they loaded the model \(killed\)"):
        pool._replace(pool._workers[-1], "killed")


def test_errors_are_raised_as_they_were(joined_nodes, tmp_path):
    with pytest.raises(DataError, match=r"^no such number$"):
        answered(joined_nodes, [[1], [404]], hiring(tmp_path))


def test_an_error_while_reading_waits_for_the_answers_before(joined_nodes, tmp_path):
    def questions():
        yield [1]
        yield [2]
        raise DataError("cut short")

    found = []
    with Pool(joined_nodes, Numbers(), hiring(tmp_path), 1, 1) as pool:
        pool.first()
        with pytest.raises(DataError, match="cut short"):
            found.extend(pool.answers(questions()))
    assert found == [([1], [1]), ([2], [4])]


def test_a_node_that_goes(nodes, joined_nodes, tmp_path):
    """Its workers go with it, and so do answers that were still there: nothing is lost, or there twice."""
    second = nodes.add_node(num_cpus=2, object_store_memory=100 << 20)
    try:
        assert joined_nodes.room(1) == 4
        assert joined_nodes.is_free(4)
        assert not joined_nodes.is_free(5)
        # Both have this machine's name, and each is asked.
        said = joined_nodes.on_each_node(lambda word: word, "here")
        assert [answer for _, answer in said] == ["here", "here"]
        found = []
        with Pool(joined_nodes, Numbers(), hiring(tmp_path), 4, 1) as pool:
            pool.first()
            for pair in pool.answers([[7, number] for number in range(40)]):
                found.append(pair)
                if len(found) == 8:
                    nodes.remove_node(second, allow_graceful=False)
                    second = None
        assert [question[1] for question, _ in found] == list(range(40))
        assert all(answer == [49, question[1] ** 2] for question, answer in found)
    finally:
        if second is not None:
            nodes.remove_node(second)


def test_a_worker_that_is_killed(joined_nodes, tmp_path):
    hired = []

    def hire():
        hired.append(hiring(tmp_path)())
        return hired[-1]

    found = []
    with Pool(joined_nodes, Numbers(), hire, 2, 1) as pool:
        pool.first()
        for pair in pool.answers([[7, number] for number in range(12)]):
            found.append(pair)
            if len(found) == 3:
                ray.kill(hired[0][0])
    assert [question[1] for question, _ in found] == list(range(12))
    assert len(hired) == 3
