import itertools
import types

import pytest

from prensa.evaluation import speed
from prensa.evaluation.results import Timing
from prensa.runtime import devices


def rows(*lengths):
    return [{"input_ids": [1] * length} for length in lengths]


def test_loads_are_the_quartiles_of_the_texts():
    found = speed.loads(rows(*range(1, 102)), 4)
    assert [(len(load.rows), load.tokens) for load in found[:3]] == [(1, 26), (1, 51), (1, 76)]
    assert [len(load.rows) for load in found[3:]] == [4, 4, 4]
    assert [load.tokens for load in found[3:]] == [27, 52, 77]


def test_few_or_equal_texts():
    assert [(len(load.rows), load.tokens) for load in speed.loads(rows(3), 8)] == [(1, 3), (8, 3)]
    assert [(len(load.rows), load.tokens) for load in speed.loads(rows(3, 3), 1)] == [(1, 3)]


def test_models_take_turns(monkeypatch):
    calls = []
    monkeypatch.setattr(speed, "timer", lambda device: lambda work: work() or 1.0)
    works = [lambda: calls.append("a"), lambda: calls.append("b")]
    told = []
    load = speed.Load(rows(5), 5)
    timings = speed.measure(works, load, "cpu", lambda done, total: told.append((done, total)))
    assert calls[:4] == ["a", "a", "b", "b"]  # warming up
    assert calls[4:10] == ["a", "b", "a", "b", "b", "a"]
    assert [timing.seconds for timing in timings] == [(1.0,) * speed._FEWEST] * 2
    assert told[-1] == (speed._FEWEST, speed._FEWEST)
    assert {timing.tokens for timing in timings} == {5}


@pytest.mark.parametrize(("seconds", "size", "rounds"), [(9, 1, 20), (9, 8, 7), (0.1, 8, 40), (0.0, 1, 200)])
def test_rounds(seconds, size, rounds):
    assert speed._rounds(seconds, size) == rounds


def test_ratio_percentiles_and_throughput():
    original, result = Timing(7, 4, (2.0, 4.0, 6.0)), Timing(7, 4, (1.0, 2.0, 6.0))
    found = speed.ratio(original, result)
    assert (found.median, found.low, found.high) == (2.0, 1.5, 2.0)
    assert speed.percentile(original, 50) == 4
    assert speed.throughput(original) == 1


def test_the_typical_timing_is_that_of_one_text_of_middle_length():
    timings = [Timing(tokens, size, (1.0,)) for size in (8, 1) for tokens in (10, 50)]
    assert speed.typical(timings, 10) == Timing(10, 1, (1.0,))
    assert speed.typical(timings, 40) == Timing(50, 1, (1.0,))
    assert speed.typical((), 10) is None


def test_an_accelerator_is_warmed_up_for_a_while(monkeypatch):
    calls = []
    clock = types.SimpleNamespace(perf_counter=itertools.count(step=0.1).__next__)
    monkeypatch.setattr(devices, "time", clock)
    monkeypatch.setattr(devices, "synchronize", lambda device: None)
    devices.warm_up("cpu", lambda: calls.append(0))
    assert len(calls) == 2
    devices.warm_up("meta", lambda: calls.append(0))
    assert len(calls) > 6


def test_cuda_is_timed_by_its_own_events(monkeypatch):
    log = []

    class Event:
        def __init__(self, *, enable_timing):
            assert enable_timing

        def record(self):
            log.append("record")

        def elapsed_time(self, other):
            return 12.0

    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.synchronize", lambda *_: log.append("wait"))
    assert devices.timer("cuda:0")(lambda: log.append("work")) == 0.012
    assert log == ["wait", "record", "work", "record", "wait"]
