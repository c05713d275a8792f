import torch

from prensa.evaluation import machine


def test_this_machine():
    found = machine.this_machine()
    assert found.processor
    assert found.threads == torch.get_num_threads()
    assert found.memory_bytes > 1e8
    assert found.versions["torch"] == torch.__version__
    assert "no-such-package" not in machine.installed_versions(("no-such-package",))
    assert found.accelerator == ""


def test_a_cuda_device_is_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "Some GPU")
    assert machine.this_machine("cuda:0").accelerator.startswith("Some GPU, CUDA")
