"""Callers in many threads, and in one event loop, share a model."""

import asyncio
import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from tests.bert import bert

import prensa
from prensa.serving.desk import Desk
from prensa.serving.waiting import Request


def rows(*lengths):
    return [{"input_ids": list(range(length))} for length in lengths]


def sums(batch):
    """Answer as a model would that adds ids up."""
    return [np.float32([sum(row["input_ids"])]) for row in batch]


class Gate:
    """A model that answers when it may, and remembers its batches."""

    def __init__(self):
        self.began, self.opened = threading.Semaphore(0), threading.Event()
        self.batches = []

    def __call__(self, batch):
        self.began.release()
        assert self.opened.wait(60)
        self.batches.append([len(row["input_ids"]) for row in batch])
        return sums(batch)


def wait_for(condition):
    waited = threading.Event()
    for _ in range(6000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it never came to that")


def test_a_caller_alone_works_in_its_own_thread():
    found = []

    def answer(batch):
        found.append(threading.current_thread())
        return sums(batch)

    outputs = Desk().outputs(rows(3, 1, 2), answer, most=2)
    assert [output.item() for output in outputs] == [3, 0, 1]
    assert found == [threading.current_thread()] * 2


def test_who_comes_while_a_batch_runs_is_answered_together():
    desk, model = Desk(), Gate()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(desk.outputs, rows(4), model)
        assert model.began.acquire(timeout=60)
        others = [pool.submit(desk.outputs, rows(5), model) for _ in range(8)]
        wait_for(lambda: desk.length == 8)
        model.opened.set()
        assert [each.result()[0].item() for each in (first, *others)] == [6, *[10] * 8]
    assert model.batches == [[4], [5] * 8]
    assert desk.length == desk.longest_run == 0


def test_one_text_that_fails_fails_no_other():
    desk, model = Desk(), Gate()

    def answer(batch):
        outputs = model(batch)
        if any(len(row["input_ids"]) == 7 for row in batch):
            raise ValueError("seven")
        return outputs

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(desk.outputs, rows(1), answer)
        assert model.began.acquire(timeout=60)
        others = [pool.submit(desk.outputs, rows(length), answer) for length in (6, 7, 8)]
        wait_for(lambda: desk.length == 3)
        model.opened.set()
        first.result()
        assert others[0].result()[0].item() == 15
        assert others[2].result()[0].item() == 28
        with pytest.raises(ValueError, match="seven"):
            others[1].result()
    # All were tried together first.
    assert [8, 7, 6] in model.batches


def test_a_thread_that_ends_leaves_its_batch_to_others():
    desk = Desk()
    died = []

    def dies(batch):
        died.append(len(batch))
        raise SystemExit

    given = [Request(rows(length)) for length in (2, 3)]
    for request in given:
        desk.submit(request)
    with pytest.raises(SystemExit):
        desk.work(dies, lambda: False)
    assert died == [2]
    desk.work(sums, lambda: all(request.is_over for request in given))
    assert [request.in_order()[0].item() for request in given] == [1, 3]
    assert desk.longest_run == 0


def test_a_text_that_ends_each_thread_fails_alone():
    desk = Desk()

    def dies(batch):
        if any(len(row["input_ids"]) == 3 for row in batch):
            raise SystemExit
        return sums(batch)

    bad, good = Request(rows(3)), Request(rows(2))
    desk.submit(bad)
    desk.submit(good)
    for _ in range(2):
        with pytest.raises(SystemExit):
            desk.work(dies, lambda: bad.is_over)
    desk.work(dies, lambda: good.is_over)
    assert good.in_order()[0].item() == 1
    with pytest.raises(prensa.ModelError, match="ended twice"):
        bad.in_order()


def test_who_leaves_is_not_answered():
    desk, model = Desk(), Gate()
    entered = []
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(desk.outputs, rows(4), model)
        assert model.began.acquire(timeout=60)
        leaving = pool.submit(desk.outputs, rows(5), model, None, entered.append)
        wait_for(lambda: entered)
        desk.withdraw(entered[0])
        with pytest.raises(CancelledError):
            leaving.result(60)
        model.opened.set()
        first.result()
    assert model.batches == [[4]]


def test_done_is_called_once_and_outside_of_the_lock():
    desk = Desk()
    lengths = []
    request = Request(rows(1, 2), most=1, done=lambda _: lengths.append(desk.longest_run))
    desk.submit(request)
    desk.work(sums, lambda: request.is_over)
    assert lengths == [0]
    assert request.since <= request.began <= request.ended


def test_patience_waits_for_as_many_as_came_the_last_time():
    desk = Desk()
    seen = []

    def answer(batch):
        seen.append(len(batch))
        return sums(batch)

    def work():
        desk.work(answer, lambda: sum(seen) >= 4, patience=60)

    for _ in range(2):
        desk.submit(Request(rows(2)))
    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: seen)
    desk.submit(Request(rows(2)))
    desk.submit(Request(rows(2)))
    thread.join(60)
    assert seen == [2, 2]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    path = bert(tmp_path_factory.mktemp("desk") / "model", "BertForSequenceClassification")
    return prensa.load(path, runtime="torch", dtype="float32")


TEXTS = ["one", "two three", ("a", "pair"), "four " * 4, "x"]


def test_an_event_loop_gets_the_answers_of_predict(served):
    right = list(served.predict(TEXTS))

    async def ask():
        calls = [served.apredict(TEXTS), *(served.apredict([text]) for text in TEXTS * 5)]
        return await asyncio.gather(*calls)

    first, *others = asyncio.run(ask())
    found = [*first, *(answer for (answer,) in others)]
    for answer, wanted in zip(found, right * 6, strict=True):
        assert answer.scores.keys() == wanted.scores.keys()
        np.testing.assert_allclose(answer.output, wanted.output, atol=1e-5)


def test_an_event_loop_gets_the_errors_of_predict(served):
    with pytest.raises(prensa.DataError, match="input 1: expected"):
        asyncio.run(served.apredict(["a", 3]))
    with pytest.raises(prensa.SettingError, match="batch_size"):
        asyncio.run(served.apredict(["a"], batch_size=0))


def test_a_task_that_is_cancelled_leaves_the_line(served, monkeypatch):
    model = Gate()
    monkeypatch.setattr(
        type(served), "outputs_of", lambda self, batch, kind: [each.repeat(2) for each in model(batch)]
    )

    async def ask():
        first = asyncio.create_task(served.apredict(["one"]))
        await asyncio.to_thread(model.began.acquire)
        second = asyncio.create_task(served.apredict(["two", "three"]))
        await asyncio.to_thread(wait_for, lambda: served.desk.length == 2)
        second.cancel()
        await asyncio.to_thread(wait_for, lambda: served.desk.length == 0)
        model.opened.set()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second

    asyncio.run(ask())
    assert len(model.batches) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_behind_its_parents_callers():
    desk, model = Desk(), Gate()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(desk.outputs, rows(4), model)
        assert model.began.acquire(timeout=60)
        child = os.fork()
        if not child:
            os._exit(0 if desk.outputs(rows(3), sums)[0].item() == 3 else 1)
        _, status = os.waitpid(child, 0)
        model.opened.set()
        first.result()
    assert os.waitstatus_to_exitcode(status) == 0
