import pytest
import torch

from prensa.evaluation.memory import Job, memory_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_an_evaluation_on_a_cuda_device(original, pressed, evaluated):
    found = evaluated(original, pressed, device="cuda", limit=30)
    assert found.device.startswith("cuda")
    assert "CUDA" in found.machine.accelerator
    assert found.results[0].dtype == "float16"  # as its config.json says
    assert all(second > 0 for timing in found.results[0].timings for second in timing.seconds)
    assert found.results[0].quality.figures


def test_memory_of_the_allocator(pressed):
    row = {"input_ids": [2, 5, 6, 3], "attention_mask": [1] * 4}
    found = memory_of(Job(str(pressed), "auto", "cuda", row, 4, 0))
    assert found.accelerator_bytes > 0
