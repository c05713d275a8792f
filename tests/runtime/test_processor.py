"""How many cores a runtime may use."""

import os

import pytest
import torch

from prensa.runtime import processor
from prensa.runtime.processor import physical_cores


@pytest.fixture(autouse=True)
def usable(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(processor, "_without_hyperthreads", lambda numbers: len(numbers) // 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)


def test_hyperthreads_count_once():
    assert physical_cores() == 4


@pytest.mark.parametrize(("limit", "cores"), [("3", 3), ("9", 4), ("0", 1), ("many", 4), ("", 4)])
def test_the_usual_variable_limits_them(monkeypatch, limit, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert physical_cores() == cores


def test_threads_that_a_program_has_left_to_pytorch(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert physical_cores() == 2


def test_where_the_system_says_nothing_each_is_a_core(monkeypatch):
    monkeypatch.undo()
    assert processor._without_hyperthreads({10**6, 10**6 + 1}) == 2
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("written", "expected"), [("1000000\n", 1_000_000), ("max\n", None), ("9223372036854771712\n", None)]
)
def test_a_container_may_have_less_memory_than_the_machine(written, expected, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text(written)
    limits = (tmp_path / "memory.max", tmp_path / "missing")
    monkeypatch.setattr(processor, "_LIMITS", limits)
    assert processor.memory_limit() == (expected or processor.memory_bytes())
